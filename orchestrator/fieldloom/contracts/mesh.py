"""Meshes in VTK's flat arrays: build one, take its arrays out, say what is wrong with it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import xarray as xr

Floats = NDArray[np.floating[Any]]
Index = NDArray[np.int64]

CONVENTIONS = "CF-1.11 UGRID-1.0"


class CellType(NamedTuple):
    """A cell type of VTK: its name, number of nodes (None: any) and topological dimension."""

    name: str
    nodes: int | None
    dimension: int


CELL_TYPES: Mapping[int, CellType] = {
    1: CellType("vertex", 1, 0),
    2: CellType("poly-vertex", None, 0),
    3: CellType("line", 2, 1),
    4: CellType("poly-line", None, 1),
    5: CellType("triangle", 3, 2),
    7: CellType("polygon", None, 2),
    9: CellType("quadrilateral", 4, 2),
    10: CellType("tetrahedron", 4, 3),
    12: CellType("hexahedron", 8, 3),
    13: CellType("wedge", 6, 3),
    14: CellType("pyramid", 5, 3),
    21: CellType("quadratic line", 3, 1),
    22: CellType("quadratic triangle", 6, 2),
    23: CellType("quadratic quadrilateral", 8, 2),
    24: CellType("quadratic tetrahedron", 10, 3),
    25: CellType("quadratic hexahedron", 20, 3),
    26: CellType("quadratic wedge", 15, 3),
    27: CellType("quadratic pyramid", 13, 3),
    28: CellType("biquadratic quadrilateral", 9, 2),
    29: CellType("triquadratic hexahedron", 27, 3),
}
"""Cell types that a mesh may hold, by VTK's number."""
_HEXAHEDRON = ((0, 1, 2, 6), (0, 2, 3, 6), (0, 3, 7, 6), (0, 7, 4, 6), (0, 4, 5, 6), (0, 5, 1, 6))
_WEDGE = ((0, 1, 2, 5), (0, 1, 5, 4), (0, 4, 5, 3))
_PYRAMID = ((0, 1, 2, 4), (0, 2, 3, 4))
_RING = (0, 4, 1, 5, 2, 6, 3, 7, 0)
_SPLITS: Mapping[int, tuple[tuple[int, ...], ...]] = {
    5: ((0, 1, 2),),
    9: ((0, 1, 2), (0, 2, 3)),
    10: ((0, 1, 2, 3),),
    12: _HEXAHEDRON,
    13: _WEDGE,
    14: _PYRAMID,
    22: ((0, 3, 5), (3, 1, 4), (5, 4, 2), (3, 4, 5)),
    23: ((0, 4, 7), (4, 1, 5), (5, 2, 6), (6, 3, 7), (4, 5, 6), (4, 6, 7)),
    24: (
        *((0, 4, 6, 7), (4, 1, 5, 8), (6, 5, 2, 9), (7, 8, 9, 3)),  # at the corners
        *((4, 9, 5, 8), (4, 9, 8, 7), (4, 9, 7, 6), (4, 9, 6, 5)),  # around the diagonal of what is left
    ),
    25: _HEXAHEDRON,
    26: _WEDGE,
    27: _PYRAMID,
    28: tuple((8, a, b) for a, b in itertools.pairwise(_RING)),
    29: _HEXAHEDRON,
}
"""How a cell splits into triangles or tetrahedra of its own nodes; of 25, 26, 27 and 29 the corners alone."""
_CORNERS = {5: 3, 9: 4, 22: 3, 23: 4, 28: 4}
_TOPOLOGY = frozenset({"cell_connectivity", "cell_offsets", "cell_types", "face_nodes", "mesh"})


def points_of(data: xr.Dataset) -> NDArray[np.float64]:
    """Coordinates of the nodes, shape (n, 3), in the units of ``node_x``."""
    return np.stack([data[name].to_numpy().astype(np.float64) for name in ("node_x", "node_y", "node_z")], axis=1)


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


def simplices(data: xr.Dataset) -> tuple[Index, Index]:
    """Split the cells of highest dimension into triangles or tetrahedra.

    Returns
    -------
    simplices : ndarray of int, shape (s, 3) or (s, 4)
        Node indices, in the order that gives positive area (on a plane) or volume.
    parents : ndarray of int, shape (s,)
        The cell that each came from.

    Raises
    ------
    ValueError
        If there are neither faces nor volumes.
    """
    connectivity, offsets, types = (data[f"cell_{part}"].to_numpy() for part in ("connectivity", "offsets", "types"))
    dimension = max((CELL_TYPES[kind].dimension for kind in np.unique(types).tolist()), default=0)
    if dimension < 2:
        raise ValueError("the mesh has neither faces nor volumes, only points or lines")
    found = []
    for kind in np.unique(types).tolist():
        cells = np.flatnonzero(types == kind)
        if CELL_TYPES[kind].dimension < dimension:
            continue
        if kind == 7:
            found += [_fans(connectivity, offsets, cells)]
        found += [(connectivity[offsets[cells][:, None] + np.array(split)], cells) for split in _SPLITS.get(kind, ())]
    corners, parents = (np.concatenate(part) for part in zip(*found, strict=True))
    order = np.argsort(parents, kind="stable")
    return _oriented(points_of(data), corners[order]), parents[order]


def _fans(connectivity: Index, offsets: Index, cells: Index) -> tuple[Index, Index]:
    """Split polygons into triangles around their first corner."""
    sides = offsets[cells + 1] - offsets[cells] - 2
    parents = np.repeat(cells, sides)
    step = np.arange(len(parents)) - np.repeat(np.cumsum(sides) - sides, sides)
    first = offsets[parents]
    return np.stack([connectivity[first], connectivity[first + step + 1], connectivity[first + step + 2]], 1), parents


def _oriented(points: Floats, corners: Index) -> Index:
    """Exchange two corners of every tetrahedron, or plane triangle, with negative measure."""
    if corners.shape[1] == 3 and np.ptp(points[:, 2]) > 0:
        return corners
    edges = points[corners[:, 1:], : corners.shape[1] - 1] - points[corners[:, :1], : corners.shape[1] - 1]
    negative = np.linalg.det(edges) < 0
    corners[negative, :2] = corners[negative, 1::-1]
    return corners


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
    yield from shape or _cell_violations(len(points), connectivity, offsets, types)
    if bad := int((~np.isfinite(points)).any(axis=1).sum()):
        yield f"{bad} of {len(points)} nodes have a coordinate that is not finite"
    yield from _field_violations(data)


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
