"""Plane geometry on arrays: polygons, and whether they may serve as outlines."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

Array = NDArray[np.float64]
Bool = NDArray[np.bool_]


def cross(a: Array, b: Array) -> Array:
    """z-components (...,) of the cross products of vectors (..., 2)."""
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]


def turning(vertices: Array) -> Array:
    """Turning angles (n,) at the vertices (n, 2) of a closed polygon, in radians, left positive."""
    after = np.roll(vertices, -1, axis=0) - vertices
    before = np.roll(after, 1, axis=0)
    return np.asarray(np.arctan2(cross(before, after), (before * after).sum(axis=1)))


def polygon_area(vertices: Array) -> float:
    """Signed area of a polygon (n, 2) in square metres, positive counter-clockwise."""
    from_first = vertices - vertices[0]
    return float(cross(from_first, np.roll(from_first, -1, axis=0)).sum() / 2)


def project(points: Array, a: Array, b: Array) -> Array:
    """Nearest points (..., 2) of the segments from ``a`` to ``b``."""
    side = b - a
    t = ((points - a) * side).sum(axis=-1) / np.maximum((side * side).sum(axis=-1), 1e-300)
    return np.asarray(a + np.clip(t, 0.0, 1.0)[..., None] * side)


def inside_polygon(vertices: Array, points: Array) -> Bool:
    """Which points (k, 2) lie inside the polygon (n, 2): crossing number, even-odd.

    The polygon is cut into chains that are monotone in y; a horizontal ray
    meets each at most once, at a place that one interpolation finds. The cost
    is ``O(chains k log n)``, not ``O(n k)``.
    """
    closed = np.vstack([vertices, vertices[:1]])
    rise = np.sign(np.diff(closed[:, 1]))
    cuts = np.flatnonzero(np.diff(rise)) + 1
    odd = np.zeros(len(points), dtype=bool)
    for start, end in zip([0, *cuts], [*cuts, len(rise)], strict=True):
        if rise[start]:
            chain = closed[start : end + 1][:: int(rise[start])]
            hit = (points[:, 1] >= chain[0, 1]) & (points[:, 1] < chain[-1, 1])
            odd[hit] ^= np.interp(points[hit, 1], chain[:, 1], chain[:, 0]) > points[hit, 0]
    return odd


def rotated(points: Array, degrees: float) -> Array:
    """Points (k, 2) turned counter-clockwise about the origin."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.asarray(points @ np.array([[c, s], [-s, c]]))


def check_polygon(vertices: Array, names: Sequence[str]) -> None:
    """Refuse what is not a simple polygon; the errors are those of :func:`polygon`."""
    if (bad := np.flatnonzero(~np.isfinite(vertices).all(axis=1))).size:
        raise ValueError(f"{names[bad[0]]}: {vertices[bad[0]].tolist()} is not finite; remove or correct the row")
    if len(vertices) < 3:
        raise ValueError(f"an outline needs at least 3 different points, got {len(vertices)}; add points")
    n, side = len(vertices), np.roll(vertices, -1, axis=0) - vertices
    if (bad := np.flatnonzero(~(np.abs(side) > 1e-12 * np.ptp(vertices, axis=0).max()).any(axis=1))).size:
        raise ValueError(
            f"{names[(bad[0] + 1) % n]} repeats {names[bad[0]]}: {vertices[bad[0]].tolist()}; remove one of them"
        )
    if np.ptp(vertices @ np.linalg.svd(vertices - vertices.mean(axis=0))[2][1]) <= 1e-9 * np.abs(side).max():
        raise ValueError("the outline has zero area: all points lie on one line; add points off that line")
    if (pair := first_crossing(vertices)) is not None:
        a, b = (f"the segment {names[i]} to {names[(i + 1) % n]}" for i in pair)
        raise ValueError(
            f"the outline meets itself: {a} and {b} cross or touch; put the points in order along the outline, once"
        )


def first_crossing(vertices: Array) -> tuple[int, int] | None:
    """The first two segments of a closed polygon that meet other than as neighbours, or None."""
    a, b = vertices, np.roll(vertices, -1, axis=0)
    n, side = len(a), b - a
    back = np.flatnonzero(np.abs(turning(vertices)) > np.pi - 1e-9)
    if back.size:  # a neighbour that runs straight back
        return int((back[0] - 1) % n), int(back[0])
    reach = float(np.linalg.norm(side, axis=1).max()) * (1 + 1e-9)
    pairs = cKDTree((a + b) / 2).query_pairs(reach, output_type="ndarray")
    i, j = np.sort(pairs, axis=1).T
    apart = ~np.isin(j - i, [1, n - 1])
    i, j = i[apart], j[apart]
    beside_i = cross(side[i], a[j] - a[i]) * cross(side[i], b[j] - a[i]) <= 0
    beside_j = cross(side[j], a[i] - a[j]) * cross(side[j], b[i] - a[j]) <= 0
    boxes = (np.minimum(a, b)[i] <= np.maximum(a, b)[j]) & (np.minimum(a, b)[j] <= np.maximum(a, b)[i])
    meet = np.flatnonzero(beside_i & beside_j & boxes.all(axis=1))
    return min(((int(i[k]), int(j[k])) for k in meet), default=None)
