"""Which triangle or tetrahedron holds a point, for many points at once: interpolation as a sparse matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.spatial import cKDTree

Floats = NDArray[np.float64]
Index = NDArray[np.int64]

TOLERANCE = 1e-9
"""How far outside, in barycentric coordinates, still counts as inside."""
_PAIRS = 2_000_000
"""Point-simplex pairs that are tested at once: bounds the memory."""


@dataclass(frozen=True)
class Interpolation:
    """Where points lie in a mesh.

    Attributes
    ----------
    matrix : csr_array, shape (points, nodes)
        Linear interpolation from the nodes; rows of points outside are zero.
    simplex : ndarray of int, shape (points,)
        The simplex around each point; -1 outside.
    """

    matrix: sp.csr_array
    simplex: Index

    @property
    def inside(self) -> NDArray[np.bool_]:
        return self.simplex >= 0


def interpolation(nodes: Floats, simplices: Index, points: Floats, *, nearest: bool = False) -> Interpolation:
    """Find the simplex around each point.

    Simplices are listed in the cells of a uniform background grid that their bounding boxes touch; a point is
    tested against those of its own grid cell: exact, whatever the grading of the mesh.

    Parameters
    ----------
    nodes : ndarray, shape (n, d)
        Coordinates, d = 2 or 3.
    simplices : ndarray of int, shape (s, d + 1)
    points : ndarray, shape (p, d)
    nearest : bool
        Give points outside the value of the nearest node.
    """
    found = np.full(len(points), -1, np.int64)
    weights = np.zeros((len(points), simplices.shape[1]))
    bins = _Bins.of(nodes, simplices, len(points))
    order = bins.number(points)
    for chunk in np.array_split(np.arange(len(points)), max(1, len(points) * bins.density // _PAIRS)):
        _locate(nodes, simplices, points, chunk[order[chunk] >= 0], order, bins, found, weights)
    inside = np.flatnonzero(found >= 0)
    rows = np.repeat(inside, simplices.shape[1])
    columns, values = simplices[found[inside]].ravel(), weights[inside].ravel()
    if nearest:
        out = np.flatnonzero(found < 0)
        used = np.unique(simplices)
        rows = np.concatenate([rows, out])
        columns = np.concatenate([columns, used[cKDTree(nodes[used]).query(points[out])[1]]])
        values = np.concatenate([values, np.ones(len(out))])
    return Interpolation(sp.csr_array((values, (rows, columns)), shape=(len(points), len(nodes))), found)


@dataclass(frozen=True)
class _Bins:
    """Simplices by the cell of a uniform grid: those of cell i are ``members[starts[i]:starts[i + 1]]``."""

    low: Floats
    width: Floats
    shape: tuple[int, ...]
    members: Index
    starts: Index

    @classmethod
    def of(cls, nodes: Floats, simplices: Index, points: int) -> _Bins:
        corners = nodes[simplices]
        low, high = corners.min(axis=1), corners.max(axis=1)
        box_low, extent = low.min(axis=0), np.maximum(np.ptp(corners.reshape(-1, nodes.shape[1]), axis=0), 1e-300)
        wanted = float(np.clip(len(simplices), 1, 2_000_000))
        side = (np.prod(extent) / wanted) ** (1 / len(extent))
        shape = tuple(int(n) for n in np.clip(np.ceil(extent / side), 1, 4096))
        width = extent / shape
        slack = TOLERANCE * extent
        first = np.clip(((low - slack - box_low) / width).astype(np.int64), 0, np.array(shape) - 1)
        last = np.clip(((high + slack - box_low) / width).astype(np.int64), 0, np.array(shape) - 1)
        spans = last - first + 1
        counts = spans.prod(axis=1)
        simplex = np.repeat(np.arange(len(simplices)), counts)
        step = np.arange(len(simplex)) - np.repeat(np.cumsum(counts) - counts, counts)
        cell = np.zeros(len(simplex), np.int64)
        for axis, size in enumerate(shape):
            below = spans[simplex, axis + 1 :].prod(axis=1)
            cell = cell * size + first[simplex, axis] + (step // below) % spans[simplex, axis]
        order = np.argsort(cell, kind="stable")
        starts = np.searchsorted(cell[order], np.arange(np.prod(shape) + 1))
        return cls(box_low, width, shape, simplex[order], starts)

    @property
    def density(self) -> int:
        """Members of the fullest cell."""
        return int(np.diff(self.starts).max(initial=1))

    def number(self, points: Floats) -> Index:
        """The cell of each point, -1 outside the grid; the upper rim belongs to the last cell."""
        place = (points - self.low) / self.width
        slack = TOLERANCE * np.array(self.shape)
        within = ((place >= -slack) & (place <= np.array(self.shape) + slack)).all(axis=1)
        index = np.clip(np.where(within[:, None], place, 0).astype(np.int64), 0, np.array(self.shape) - 1)
        flat: Any = np.ravel_multi_index(tuple(index.T), self.shape)
        return np.where(within, flat, -1)


def _locate(
    nodes: Floats,
    simplices: Index,
    points: Floats,
    chunk: Index,
    cells: Index,
    bins: _Bins,
    found: Index,
    weights: Floats,
) -> None:
    """Test some points against the simplices of their cells; write into ``found`` and ``weights``."""
    start, end = bins.starts[cells[chunk]], bins.starts[cells[chunk] + 1]
    counts = end - start
    point = np.repeat(chunk, counts)
    step = np.arange(len(point)) - np.repeat(np.cumsum(counts) - counts, counts)
    candidate = bins.members[np.repeat(start, counts) + step]
    bary = barycentric(nodes[simplices[candidate]], points[point])
    worst = bary.min(axis=1)
    inside = worst >= -TOLERANCE
    point, candidate, bary, worst = point[inside], candidate[inside], bary[inside], worst[inside]
    order = np.lexsort((candidate, -np.maximum(worst, 0), point))  # deepest inside first, then the lowest number
    point, candidate, bary = point[order], candidate[order], bary[order]
    first = np.ones(len(point), bool)
    first[1:] = point[1:] != point[:-1]
    found[point[first]] = candidate[first]
    clipped = np.maximum(bary[first], 0)
    weights[point[first]] = clipped / clipped.sum(axis=1, keepdims=True)


def barycentric(corners: Floats, points: Floats) -> Floats:
    """Barycentric coordinates (p, d + 1) of points (p, d) in simplices (p, d + 1, d); NaN-free if one is flat."""
    edges = (corners[:, 1:] - corners[:, :1]).transpose(0, 2, 1)
    determinant = np.linalg.det(edges)
    flat = np.abs(determinant) < 1e-300
    edges[flat] = np.eye(edges.shape[1])
    rest = np.linalg.solve(edges, (points - corners[:, 0])[..., None])[..., 0]
    bary = np.concatenate([1 - rest.sum(axis=1, keepdims=True), rest], axis=1)
    bary[flat] = -np.inf
    return bary
