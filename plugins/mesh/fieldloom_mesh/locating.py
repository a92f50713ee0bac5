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
_PAIRS = 1_000_000
"""Point-simplex pairs that are tested at once: bounds the memory."""
_CROWD, _DEPTH = 64, 16
"""A grid cell with more simplices is divided again, so many times at most."""


@dataclass(frozen=True)
class Interpolation:
    """Where points lie in a mesh.

    Attributes
    ----------
    matrix : csr_array, shape (points, nodes)
        Linear interpolation from the nodes; rows of points outside are zero, or the nearest node's.
    simplex : ndarray of int, shape (points,)
        The simplex around each point; outside -1, or one at the nearest node.
    inside : ndarray of bool, shape (points,)
    """

    matrix: sp.csr_array
    simplex: Index
    inside: NDArray[np.bool_]


def interpolation(nodes: Floats, simplices: Index, points: Floats, *, nearest: bool = False) -> Interpolation:
    """Find the simplex around each point.

    Simplices are listed in the cells of a uniform background grid that their bounding boxes touch; a point is
    tested against those of its own grid cell. Cells that hold too many, as in graded meshes, get a finer grid of
    their own: exact, and fast whatever the grading.

    Parameters
    ----------
    nodes : ndarray, shape (n, d)
        Coordinates, d = 2 or 3.
    simplices : ndarray of int, shape (s, d + 1)
    points : ndarray, shape (p, d)
    nearest : bool
        Give points outside the value of the nearest node.
    """
    search = _Search(nodes, simplices, points)
    search.run(np.arange(len(simplices)), np.arange(len(points)), 0)
    simplex, weights = search.found.copy(), search.weights
    inside = np.flatnonzero(simplex >= 0)
    rows = np.repeat(inside, simplices.shape[1])
    columns, values = simplices[simplex[inside]].ravel(), weights[inside].ravel()
    out = np.flatnonzero(simplex < 0)
    if nearest and len(out):
        used, first = np.unique(simplices, return_index=True)
        near = cKDTree(nodes[used]).query(points[out])[1]
        simplex[out] = first[near] // simplices.shape[1]
        rows, columns = np.concatenate([rows, out]), np.concatenate([columns, used[near]])
        values = np.concatenate([values, np.ones(len(out))])
    matrix = sp.csr_array((values, (rows, columns)), shape=(len(points), len(nodes)))
    return Interpolation(matrix, simplex, search.found >= 0)


class _Search:
    """The simplex around each point, filled in part by part."""

    def __init__(self, nodes: Floats, simplices: Index, points: Floats) -> None:
        self.nodes, self.simplices, self.points = nodes, simplices, points
        self.found = np.full(len(points), -1, np.int64)
        self.weights = np.zeros((len(points), simplices.shape[1]))
        corners = nodes[simplices]
        self.low, self.high = corners.min(axis=1), corners.max(axis=1)
        self.slack = TOLERANCE * np.maximum(np.ptp(nodes, axis=0).max(), 1e-300)

    def run(self, members: Index, points: Index, depth: int) -> None:
        """Place ``points`` among the simplices ``members``."""
        if not len(points) or not len(members):
            return
        bins = _Bins.of(self.low[members] - self.slack, self.high[members] + self.slack, self.points[points])
        cells = bins.number(self.points[points])
        points, cells = points[cells >= 0], cells[cells >= 0]
        sizes = np.diff(bins.starts)[cells]
        crowded = (sizes > _CROWD) & (sizes < 0.9 * len(members)) & (depth < _DEPTH)
        for cell in np.unique(cells[crowded]).tolist():
            inside = bins.members[bins.starts[cell] : bins.starts[cell + 1]]
            self.run(members[inside], points[crowded & (cells == cell)], depth + 1)
        points, cells, sizes = points[~crowded], cells[~crowded], sizes[~crowded]
        for chunk in np.split(np.arange(len(points)), _cuts(sizes)):
            self._test(members, points[chunk], cells[chunk], bins)

    def _test(self, members: Index, points: Index, cells: Index, bins: _Bins) -> None:
        """Test some points against the simplices of their cells."""
        counts = np.diff(bins.starts)[cells]
        point = np.repeat(points, counts)
        step = np.arange(len(point)) - np.repeat(np.cumsum(counts) - counts, counts)
        candidate = members[bins.members[np.repeat(bins.starts[cells], counts) + step]]
        at = self.points[point]
        near = ((at >= self.low[candidate] - self.slack) & (at <= self.high[candidate] + self.slack)).all(axis=1)
        point, candidate = point[near], candidate[near]
        bary = barycentric(self.nodes[self.simplices[candidate]], self.points[point])
        worst = bary.min(axis=1)
        inside = worst >= -TOLERANCE
        point, candidate, bary, worst = point[inside], candidate[inside], bary[inside], worst[inside]
        order = np.lexsort((candidate, -np.maximum(worst, 0), point))  # deepest inside first, then the lowest number
        point, candidate, bary = point[order], candidate[order], bary[order]
        first = np.ones(len(point), bool)
        first[1:] = point[1:] != point[:-1]
        self.found[point[first]] = candidate[first]
        clipped = np.maximum(bary[first], 0)
        self.weights[point[first]] = clipped / clipped.sum(axis=1, keepdims=True)


def _cuts(sizes: Index) -> Index:
    """Where to cut a list of points so that no part tests more than ``_PAIRS`` pairs, but for single points."""
    total = np.cumsum(sizes)
    return np.flatnonzero(np.diff(total // _PAIRS)) + 1


@dataclass(frozen=True)
class _Bins:
    """Boxes by the cell of a uniform grid: those of cell i are ``members[starts[i]:starts[i + 1]]``."""

    low: Floats
    width: Floats
    shape: tuple[int, ...]
    members: Index
    starts: Index

    @classmethod
    def of(cls, low: Floats, high: Floats, points: Floats) -> _Bins:
        """Grid over the part of the boxes where there are points; coarser where boxes would be listed too often."""
        start = np.maximum(low.min(axis=0), points.min(axis=0))
        extent = np.maximum(np.minimum(high.max(axis=0), points.max(axis=0)) - start, 1e-12 * np.ptp(high, axis=0))
        extent = np.maximum(extent, 1e-300)
        wanted = float(np.clip(len(low), 1, 1_000_000))
        while True:
            side = np.prod(extent / extent.max()) ** (1 / len(extent)) * extent.max() / wanted ** (1 / len(extent))
            shape = tuple(int(n) for n in np.clip(np.ceil(extent / side), 1, 4096))
            width = extent / shape
            top = np.array(shape) - 1
            first = np.clip(((low - start) / width), 0, top).astype(np.int64)
            last = np.clip(((high - start) / width), 0, top).astype(np.int64)
            spans = last - first + 1
            spans[((high < start) | (low > start + extent)).any(axis=1)] = 0
            counts = spans.prod(axis=1)
            if counts.sum() <= 12 * len(low) + 1000 or wanted < 2:
                break
            wanted /= 4
        box = np.repeat(np.arange(len(low)), counts)
        step = np.arange(len(box)) - np.repeat(np.cumsum(counts) - counts, counts)
        cell = np.zeros(len(box), np.int64)
        for axis, size in enumerate(shape):
            below = spans[box, axis + 1 :].prod(axis=1)
            cell = cell * size + first[box, axis] + (step // below) % spans[box, axis]
        order = np.argsort(cell, kind="stable")
        starts = np.searchsorted(cell[order], np.arange(np.prod(shape) + 1))
        return cls(start, width, shape, box[order], starts)

    def number(self, points: Floats) -> Index:
        """The cell of each point, -1 outside the grid; the upper rim belongs to the last cell."""
        place = (points - self.low) / self.width
        within = ((place >= 0) & (place <= np.array(self.shape) * (1 + 1e-12))).all(axis=1)
        index = np.clip(np.where(within[:, None], place, 0).astype(np.int64), 0, np.array(self.shape) - 1)
        flat: Any = np.ravel_multi_index(tuple(index.T), self.shape)
        return np.where(within, flat, -1)


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
