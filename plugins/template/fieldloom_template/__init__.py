"""The plugin: which stages it has. Keep this module light; the stages' modules are imported on first use."""

from __future__ import annotations

from fieldloom import hookimpl


@hookimpl
def register_stages() -> dict[str, str]:
    """Name the stages and where they are."""
    return {
        "template.signal": "fieldloom_template.stages:Signal",
        "template.smooth": "fieldloom_template.stages:Smooth",
    }
