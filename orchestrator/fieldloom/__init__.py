"""Fieldloom: scientific workflows from YAML flow specs, with every intermediate array in Zarr.

The public names are listed here. Those that need heavy packages are imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .context import Collection, Context
from .errors import FieldloomError, PortError, SpecError, StageFailed
from .hookspecs import hookimpl
from .stage import Port, Resources, Stage, StageParams, Variable, param, path_param, stage

if TYPE_CHECKING:
    from fieldloom_storage import Stream

    from .api import run
    from .runs import Run, open_run

__version__ = "0.1.0"
__all__ = [
    "Collection",
    "Context",
    "FieldloomError",
    "Port",
    "PortError",
    "Resources",
    "Run",
    "SpecError",
    "Stage",
    "StageFailed",
    "StageParams",
    "Stream",
    "Variable",
    "hookimpl",
    "open_run",
    "param",
    "path_param",
    "run",
    "stage",
]


def __getattr__(name: str) -> Any:
    if name == "run":
        from .api import run

        return run
    if name in ("open_run", "Run"):
        from . import runs

        return getattr(runs, name)
    if name == "Stream":
        from fieldloom_storage import Stream

        return Stream
    raise AttributeError(f"module 'fieldloom' has no attribute {name!r}")
