"""Fieldloom's room of flow solvers."""

from __future__ import annotations

from fieldloom import hookimpl


@hookimpl
def register_stages() -> dict[str, str]:
    """Name the stages; their modules are imported on first use."""
    return {
        "cfd.cylinder-wake": "fieldloom_cfd.stages:CylinderWake",
        "cfd.plot-forces": "fieldloom_cfd.stages:PlotForces",
        "cfd.strouhal": "fieldloom_cfd.stages:StrouhalTable",
    }
