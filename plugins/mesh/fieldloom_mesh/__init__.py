"""Fieldloom's room of meshes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fieldloom import hookimpl


@hookimpl
def register_stages() -> dict[str, str]:
    """Name the stages; their modules are imported on first use."""
    return {"mesh.render": "fieldloom_mesh.stages:Render", "mesh.write": "fieldloom_mesh.stages:Write"}


@hookimpl
def artifact_readers() -> Mapping[str, Callable[[Any], Any]]:
    """Offer meshes as pyvista grids: ``run.read("wake", "pyvista")``."""
    return {"pyvista": _as_grid}


def _as_grid(dataset: Any) -> Any:
    from .grids import grid_of

    return grid_of(dataset)
