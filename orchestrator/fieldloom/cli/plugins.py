"""Commands on plugins and the installation: plugins, stages, new-plugin, doctor."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from .. import printing
from ..registry import Registry


def plugins(arguments: Namespace) -> int:
    """``fieldloom plugins``."""
    registry = Registry(arguments.plugin, arguments.no_plugin)
    rows = []
    for plugin in registry.plugins:
        count = sum(stage.startswith(f"{plugin.name}.") for stage in registry.stages)
        rows.append(
            (
                plugin.name,
                f"{plugin.distribution} {plugin.version}",
                f"set aside: {plugin.problem}" if plugin.problem else f"{count} stages",
            )
        )
    if arguments.json:
        printing.as_json(
            [
                {
                    "name": p.name,
                    "distribution": p.distribution,
                    "version": p.version,
                    "module": p.module,
                    "problem": p.problem,
                }
                for p in registry.plugins
            ]
        )
    elif not rows:
        printing.line("no plugins are installed; a plugin is a distribution with entry points in the group 'fieldloom'")
    else:
        printing.table(rows, ("plugin", "distribution", "status"))
    return 0


def stages(arguments: Namespace) -> int:
    """``fieldloom stages``."""
    from ..reference import stage_document, stage_text

    registry = Registry(arguments.plugin, arguments.no_plugin)
    if arguments.stage:
        registry.stage(arguments.stage)
        if arguments.json:
            printing.as_json(stage_document(registry, arguments.stage))
        else:
            printing.line(stage_text(registry, arguments.stage))
    elif arguments.json:
        printing.as_json([stage_document(registry, stage_id) for stage_id in registry.stages])
    else:
        rows = [(stage_id, stage_document(registry, stage_id)["summary"]) for stage_id in registry.stages]
        printing.table(rows, ("stage", "what it does"))
    return 0


def new_plugin(arguments: Namespace) -> int:
    """``fieldloom new-plugin``."""
    from ..scaffold import write_plugin

    folder = write_plugin(arguments.name, Path(arguments.to))
    printing.line(f"wrote {folder}. Next:")
    printing.line(f"  pip install -e {folder}")
    printing.line(f"  pytest {folder}")
    printing.line(f"  fieldloom stages {arguments.name}.smooth")
    return 0


def doctor(arguments: Namespace) -> int:
    """``fieldloom doctor``."""
    from ..doctor import examine

    checks = list(examine())
    if arguments.json:
        printing.as_json([{"name": c.name, "ok": c.ok, "found": c.found, "do": c.do} for c in checks])
    else:
        printing.table([("ok" if c.ok else "MISSING", c.name, c.found) for c in checks], ("", "what", "found"))
        for check in checks:
            if not check.ok:
                printing.line(f"{check.name}: {check.do}")
    return 0 if all(check.ok for check in checks) else 3
