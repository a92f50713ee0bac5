"""Meshes in VTK's flat arrays: build one, take its arrays out, say what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .cells import CELL_TYPES, is_flat, points_of, simplices

if TYPE_CHECKING:
    import xarray as xr

__all__ = [
    "CELL_TYPES",
    "CONVENTIONS",
    "face_nodes",
    "field_names",
    "is_flat",
    "mesh_variables",
    "points_of",
    "simplices",
    "triangle_variables",
    "violations",
]

Floats = NDArray[np.floating[Any]]
Index = NDArray[np.int64]

CONVENTIONS = "CF-1.11 UGRID-1.0"


_CORNERS = {5: 3, 9: 4, 22: 3, 23: 4, 28: 4}
_TOPOLOGY = frozenset({"cell_connectivity", "cell_offsets", "cell_types", "face_nodes", "mesh"})


def mesh_variables(
    points: Floats, connectivity: Index, offsets: Index, types: NDArray[np.uint8], units: str = "m"
) -> dict[str, tuple[Any, ...]]:
    """Make the variables of a mesh Dataset from VTK's arrays.

    Parameters
    ----------
    points : ndarray, shape (n, 2) or (n, 3)
        Coordinates of the nodes; a missing third is zero.
    connectivity : ndarray of int, shape (k,)
        Node indices of all cells.
    offsets : ndarray of int, shape (m + 1,)
        Where each cell starts in ``connectivity``, and its end.
    types : ndarray of uint8, shape (m,)
        VTK's cell types.
    units : str
        Of the coordinates; empty if they are not known.

    Returns
    -------
    dict
        For :class:`xarray.Dataset`; ``node_x/y/z`` should become coordinates. A mesh of triangles and
        quadrilaterals also has UGRID's ``face_nodes`` (m, corners), where -1 fills a triangle's fourth.
    """
    columns = np.zeros((len(points), 3), points.dtype)
    columns[:, : points.shape[1]] = points
    unit = {"units": units} if units else {}
    variables: dict[str, tuple[Any, ...]] = {
        f"node_{axis}": ("node", np.ascontiguousarray(columns[:, k]), {"long_name": f"{axis} of the nodes", **unit})
        for k, axis in enumerate("xyz")
    }
    variables |= {
        "cell_connectivity": ("conn", np.asarray(connectivity, np.int64)),
        "cell_offsets": ("cell_edge", np.asarray(offsets, np.int64)),
        "cell_types": ("cell", np.asarray(types, np.uint8)),
    }
    faces = face_nodes(variables["cell_connectivity"][1], variables["cell_offsets"][1], variables["cell_types"][1])
    if faces is not None:
        about = {"cf_role": "face_node_connectivity", "start_index": 0, "fill_index": -1}
        variables["face_nodes"] = (("cell", "face_corner"), faces, about)
        variables["mesh"] = ((), np.int32(0), _ugrid_topology())
    return variables


def _ugrid_topology() -> dict[str, Any]:
    return {
        "cf_role": "mesh_topology",
        "topology_dimension": 2,
        "node_coordinates": "node_x node_y",
        "face_node_connectivity": "face_nodes",
    }


def triangle_variables(points: Floats, triangles: Index, units: str = "m") -> dict[str, tuple[Any, ...]]:
    """Make the variables of a mesh of triangles (m, 3); see :func:`mesh_variables`."""
    cells = len(triangles)
    offsets = np.arange(0, 3 * cells + 1, 3, dtype=np.int64)
    return mesh_variables(points, triangles.ravel().astype(np.int64), offsets, np.full(cells, 5, np.uint8), units)


def face_nodes(connectivity: Index, offsets: Index, types: NDArray[np.uint8]) -> Index | None:
    """Corners of triangles and quadrilaterals (m, 3 or 4), filled with -1; None if there are other cells."""
    if not len(types) or not set(np.unique(types).tolist()) <= set(_CORNERS):
        return None
    corners = np.array([_CORNERS.get(kind, 0) for kind in range(max(_CORNERS) + 1)])[types]
    width = int(corners.max())
    column = np.arange(width)
    inside = column < corners[:, None]
    places = np.where(inside, offsets[:-1, None] + column, 0)
    return np.where(inside, connectivity[places], -1)


def field_names(data: xr.Dataset) -> list[str]:
    """Names of the fields: numbers on nodes or cells, with time before and components after them."""
    return [str(name) for name, variable in data.data_vars.items() if _is_field(str(name), variable)]


def _is_field(name: str, variable: xr.DataArray) -> bool:
    dims = [str(dim) for dim in variable.dims if dim != "time"]
    on_mesh = bool(dims) and dims[0] in ("node", "cell") and len(dims) <= 2
    return on_mesh and name not in _TOPOLOGY and variable.dtype.kind in "fiub"


def violations(data: xr.Dataset) -> Iterator[str]:
    """Say what makes ``data`` no valid mesh: cells, indices, coordinates, where its fields lie."""
    if not data.sizes["cell"]:
        yield "the mesh has no cells"
        return
    points = points_of(data)
    connectivity, offsets, types = (data[f"cell_{part}"].to_numpy() for part in ("connectivity", "offsets", "types"))
    shape = list(_offset_violations(connectivity, offsets, types))
    found = shape or list(_cell_violations(len(points), connectivity, offsets, types))
    yield from found or _face_violations(data)
    if bad := int((~np.isfinite(points)).any(axis=1).sum()):
        yield f"{bad} of {len(points)} nodes have a coordinate that is not finite"
    yield from _field_violations(data)
    yield from time_violations(data)


def _offset_violations(connectivity: Index, offsets: Index, types: NDArray[np.uint8]) -> Iterator[str]:
    if len(offsets) != len(types) + 1:
        yield f"'cell_offsets' has {len(offsets)} entries; {len(types)} cells need {len(types) + 1}"
    elif offsets[0] != 0 or offsets[-1] != len(connectivity):
        yield (
            f"'cell_offsets' should go from 0 to {len(connectivity)}, the length of 'cell_connectivity', "
            f"and goes from {offsets[0]} to {offsets[-1]}"
        )
    elif (np.diff(offsets) <= 0).any():
        yield f"'cell_offsets' should increase, and does not at cell {int((np.diff(offsets) <= 0).argmax())}"


def _cell_violations(n: int, connectivity: Index, offsets: Index, types: NDArray[np.uint8]) -> Iterator[str]:
    outside = (connectivity < 0) | (connectivity >= n)
    if outside.any():
        entry = int(outside.argmax())
        cell = int(np.searchsorted(offsets, entry, side="right")) - 1
        yield f"cell {cell} points to node {int(connectivity[entry])}, but the mesh has {n} nodes (0 to {n - 1})"
    counts = np.diff(offsets)
    for number in np.unique(types).tolist():
        kind = CELL_TYPES.get(number)
        if kind is None:
            known = ", ".join(f"{number} {kind.name}" for number, kind in CELL_TYPES.items())
            yield f"cell type {number} is not one of those that a mesh may hold: {known}"
        elif kind.nodes is not None and (wrong := (types == number) & (counts != kind.nodes)).any():
            cell = int(wrong.argmax())
            yield f"cell {cell} is a {kind.name} with {int(counts[cell])} nodes; it should have {kind.nodes}"


def _field_violations(data: xr.Dataset) -> Iterator[str]:
    for name, variable in data.data_vars.items():
        place = variable.attrs.get("location")
        if place in ("node", "cell") and place not in variable.dims:
            lengths = " x ".join(f"{dim} {size}" for dim, size in variable.sizes.items()) or "no dimension"
            yield (
                f"field {name!r} says that it lies on the {place}s and has {lengths}; the mesh has "
                f"{data.sizes['node']} nodes and {data.sizes['cell']} cells"
            )
        elif name not in _TOPOLOGY and {"node", "cell"} & set(variable.dims):
            rest = [dim for dim in variable.dims if dim != "time"]
            if rest[0] not in ("node", "cell") or rest[1:2] in (["node"], ["cell"]) or "time" in variable.dims[1:]:
                yield f"field {name!r} has dims {variable.dims}; the order is ([time,] node|cell[, component])"


def time_violations(data: xr.Dataset) -> Iterator[str]:
    """Say where the time does not increase."""
    if "time" in data.coords and data["time"].dims == ("time",) and data.sizes["time"] > 1:
        steps = np.diff(data["time"].to_numpy()).astype(np.float64)
        if not (steps > 0).all():
            yield f"time does not increase after instant {int((~(steps > 0)).argmax())}"


def _face_violations(data: xr.Dataset) -> Iterator[str]:
    if "face_nodes" in data.variables:
        wanted = face_nodes(*(data[f"cell_{part}"].to_numpy() for part in ("connectivity", "offsets", "types")))
        if wanted is None or not np.array_equal(wanted, data["face_nodes"].to_numpy()):
            yield "'face_nodes' does not list the cells of 'cell_connectivity'; leave it out or make it anew"
