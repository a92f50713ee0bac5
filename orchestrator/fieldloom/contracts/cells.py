"""The cells of a mesh: their types, how they split into simplices, which of their faces are the boundary.

Cells are numbered as VTK numbers them.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import xarray as xr

Floats = NDArray[np.floating[Any]]
Index = NDArray[np.int64]


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
LINEAR: Mapping[int, int] = {21: 3, 22: 5, 23: 9, 24: 10, 25: 12, 26: 13, 27: 14, 28: 9, 29: 12}
"""The linear cell with the same corners."""
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
_FACES: Mapping[int, tuple[tuple[int, ...], ...]] = {
    5: ((0, 1), (1, 2), (2, 0)),
    9: ((0, 1), (1, 2), (2, 3), (3, 0)),
    10: ((0, 1, 2), (0, 1, 3), (1, 2, 3), (0, 2, 3)),
    12: ((0, 1, 2, 3), (4, 5, 6, 7), (0, 1, 5, 4), (1, 2, 6, 5), (2, 3, 7, 6), (3, 0, 4, 7)),
    13: ((0, 1, 2), (3, 4, 5), (0, 1, 4, 3), (1, 2, 5, 4), (2, 0, 3, 5)),
    14: ((0, 1, 2, 3), (0, 1, 4), (1, 2, 4), (2, 3, 4), (3, 0, 4)),
}
"""Sides of a cell, by its corners."""
FRAMES: Mapping[int, tuple[tuple[int, ...], ...]] = {
    5: ((0, 1, 2),),
    9: ((0, 1, 3), (1, 2, 0), (2, 3, 1), (3, 0, 2)),
    10: ((0, 1, 2, 3),),
    12: (
        *((0, 1, 3, 4), (1, 2, 0, 5), (2, 3, 1, 6), (3, 0, 2, 7)),
        *((4, 7, 5, 0), (5, 4, 6, 1), (6, 5, 7, 2), (7, 6, 4, 3)),
    ),
    13: ((0, 1, 2, 3), (1, 2, 0, 4), (2, 0, 1, 5), (3, 5, 4, 0), (4, 3, 5, 1), (5, 4, 3, 2)),
    14: ((0, 1, 3, 4), (1, 2, 0, 4), (2, 3, 1, 4), (3, 0, 2, 4)),
}
"""Each corner and its neighbours, in the order that spans a positive measure where the cell is not folded."""


def points_of(data: xr.Dataset) -> NDArray[np.float64]:
    """Coordinates of the nodes, shape (n, 3), in the units of ``node_x``."""
    return np.stack([data[name].to_numpy().astype(np.float64) for name in ("node_x", "node_y", "node_z")], axis=1)


def is_flat(points: Floats) -> bool:
    """Tell whether points (n, 3) lie on a plane z = constant, but for round-off."""
    extent = np.ptp(points, axis=0)
    return bool(extent[2] <= 1e-9 * max(float(extent.max()), 1e-300))


def dimension(types: NDArray[np.uint8]) -> int:
    """Topological dimension of the cells of highest dimension; 0 without cells."""
    return max((CELL_TYPES[kind].dimension for kind in np.unique(types).tolist()), default=0)


def simplices(data: xr.Dataset) -> tuple[Index, Index]:
    """Split the cells of highest dimension into triangles or tetrahedra.

    Quadrilaterals and polygons that are not convex are cut so that nothing outside them is covered.

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
    highest = dimension(types)
    if highest < 2:
        raise ValueError("the mesh has neither faces nor volumes, only points or lines")
    points = points_of(data)
    found = []
    for kind in np.unique(types).tolist():
        cells = np.flatnonzero(types == kind)
        if CELL_TYPES[kind].dimension < highest:
            continue
        if kind == 7:
            found.append(_fans(points, connectivity, offsets, cells))
        for split in _SPLITS.get(kind, ()):
            found.append((connectivity[offsets[cells][:, None] + np.array(split)], cells))
        if kind == 9:
            _use_other_diagonal(points, found[-2][0], found[-1][0])
    corners, parents = (np.concatenate(part) for part in zip(*found, strict=True))
    order = np.argsort(parents, kind="stable")
    return _oriented(points, corners[order]), parents[order]


def _normals(points: Floats, triangles: Index) -> Floats:
    a, b, c = (points[triangles[:, k]] for k in range(3))
    normal: Floats = np.cross(b - a, c - a)
    return normal


def _use_other_diagonal(points: Floats, one: Index, two: Index) -> None:
    """Cut quadrilaterals (0 1 2), (0 2 3) along the other diagonal where these two are turned against each other."""
    folded = (_normals(points, one) * _normals(points, two)).sum(axis=1) < 0
    a, b, c, d = one[folded, 0], one[folded, 1], one[folded, 2], two[folded, 2]
    one[folded], two[folded] = np.stack([a, b, d], 1), np.stack([b, c, d], 1)


def _fans(points: Floats, connectivity: Index, offsets: Index, cells: Index) -> tuple[Index, Index]:
    """Split polygons: convex ones into a fan around their first corner, others by cutting ears."""
    sides = offsets[cells + 1] - offsets[cells] - 2
    parents = np.repeat(cells, sides)
    step = np.arange(len(parents)) - np.repeat(np.cumsum(sides) - sides, sides)
    first = offsets[parents]
    fans = np.stack([connectivity[first], connectivity[first + step + 1], connectivity[first + step + 2]], 1)
    normal = _normals(points, fans)
    starts = np.cumsum(sides) - sides
    whole = np.repeat(np.add.reduceat(normal, starts), sides, axis=0)
    for cell in np.unique(parents[(normal * whole).sum(axis=1) < 0]).tolist():
        ring = connectivity[offsets[cell] : offsets[cell + 1]]
        fans[parents == cell] = cut_ears(points[ring], ring)
    return fans, parents


def cut_ears(points: Floats, ring: Index) -> Index:
    """Triangles (k - 2, 3) that fill a simple polygon of ``k`` corners, which need not be convex (Meisters 1975)."""
    following = np.roll(points, -1, axis=0)
    normal = np.cross(points, following).sum(axis=0)
    left, triangles = list(range(len(ring))), []
    while len(left) > 3:
        n = len(left)
        candidates = ((left[i - 1], left[i], left[(i + 1) % n]) for i in range(n))
        ear = next((t for t in candidates if _is_ear(points, left, t, normal)), (left[-1], left[0], left[1]))
        triangles.append(ear)
        left.remove(ear[1])
    found: Index = ring[np.array([*triangles, tuple(left)])]
    return found


def _is_ear(points: Floats, left: list[int], triangle: tuple[int, int, int], normal: Floats) -> bool:
    a, b, c = points[list(triangle)]
    if np.dot(np.cross(b - a, c - a), normal) <= 0:
        return False
    others = points[[i for i in left if i not in triangle]]
    inside = np.ones(len(others), bool)
    for p, q in ((a, b), (b, c), (c, a)):
        inside &= np.cross(q - p, others - p) @ normal >= 0
    return not inside.any()


def _oriented(points: Floats, corners: Index) -> Index:
    """Exchange two corners of every tetrahedron, or plane triangle, with negative measure."""
    if corners.shape[1] == 3 and not is_flat(points):
        return corners
    edges = points[corners[:, 1:], : corners.shape[1] - 1] - points[corners[:, :1], : corners.shape[1] - 1]
    negative = np.linalg.det(edges) < 0
    corners[negative, :2] = corners[negative, 1::-1]
    return corners


def measures(points: Floats, corners: Index) -> NDArray[np.float64]:
    """Area of each triangle (s, 3), wherever it lies, or volume of each tetrahedron (s, 4); points are (n, 3)."""
    edges = points[corners[:, 1:]] - points[corners[:, :1]]
    if corners.shape[1] == 4:
        return np.asarray(np.abs(np.linalg.det(edges)) / 6)
    return np.asarray(np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1) / 2)


def weights(data: xr.Dataset) -> dict[str, NDArray[np.float64]]:
    """Area or volume around each ``node`` and of each ``cell``; nothing for a grid, or for points and lines alone."""
    if "cell_types" not in data.variables or dimension(data["cell_types"].to_numpy()) < 2:
        return {}
    corners, parents = simplices(data)
    size, d = measures(points_of(data), corners), corners.shape[1]
    places = {"node": (corners.ravel(), np.repeat(size / d, d)), "cell": (parents, size)}
    return {
        dim: np.bincount(at, share, data.sizes[dim]).astype(np.float64, copy=False)
        for dim, (at, share) in places.items()
    }


def boundary(data: xr.Dataset) -> Index:
    """Sides that belong to one cell only: edges (f, 2) of plane cells, triangles (f, 3) of volumes.

    Whole sides are compared, by their corners, with nodes that coincide taken as one; sides with four corners are
    then split. So it does not matter how neighbouring cells would be cut into simplices.
    """
    connectivity, offsets, types = (data[f"cell_{part}"].to_numpy() for part in ("connectivity", "offsets", "types"))
    points = points_of(data)
    _, place = np.unique(points, axis=0, return_inverse=True)
    highest, sides = dimension(types), []
    for kind in np.unique(types).tolist():
        cells = np.flatnonzero(types == kind)
        if CELL_TYPES[kind].dimension < highest:
            continue
        if kind == 7:
            sides.append(_polygon_sides(connectivity, offsets, cells))
        for side in _FACES.get(LINEAR.get(kind, kind), ()):
            found = connectivity[offsets[cells][:, None] + np.array(side)]
            sides.append(np.pad(found, ((0, 0), (0, 4 - len(side))), constant_values=-1))
    every = np.concatenate(sides)
    merged = np.sort(np.where(every < 0, -1, np.asarray(place).reshape(-1)[every]), axis=1)
    _, first, count = np.unique(merged, axis=0, return_index=True, return_counts=True)
    rim = every[np.sort(first[count == 1])]
    parts = [rim[:, :2]] if highest == 2 else [rim[:, :3], rim[rim[:, 3] >= 0][:, [0, 2, 3]]]
    return np.concatenate(parts).astype(np.int64)


def _polygon_sides(connectivity: Index, offsets: Index, cells: Index) -> Index:
    sizes = offsets[cells + 1] - offsets[cells]
    step = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    start, size = np.repeat(offsets[cells], sizes), np.repeat(sizes, sizes)
    edges = np.stack([connectivity[start + step], connectivity[start + (step + 1) % size]], axis=1)
    return np.pad(edges, ((0, 0), (0, 2)), constant_values=-1)
