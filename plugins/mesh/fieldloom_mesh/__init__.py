"""Fieldloom's room of meshes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fieldloom import hookimpl


@hookimpl
def register_stages() -> dict[str, str]:
    """Name the stages; their modules are imported on first use."""
    return {
        "mesh.check": "fieldloom_mesh.stages.files:Check",
        "mesh.gather": "fieldloom_mesh.stages.sampling:Gather",
        "mesh.info": "fieldloom_mesh.stages.files:Info",
        "mesh.read": "fieldloom_mesh.stages.files:Read",
        "mesh.render": "fieldloom_mesh.stages.pictures:Render",
        "mesh.resample": "fieldloom_mesh.stages.sampling:Resample",
        "mesh.voxelize": "fieldloom_mesh.stages.sampling:Voxelize",
        "mesh.write": "fieldloom_mesh.stages.files:Write",
    }


@hookimpl
def artifact_readers() -> Mapping[str, Callable[[Any], Any]]:
    """Offer meshes as pyvista grids: ``run.read("wake", "pyvista")``."""
    return {"pyvista": _as_grid}


def _as_grid(dataset: Any) -> Any:
    from .pyvista_grids import grid_of

    return grid_of(dataset)
