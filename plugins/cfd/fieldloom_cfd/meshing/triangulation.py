"""Triangulations outside an obstacle: relaxation, smoothing, and what is wrong with them.

Boundary nodes come first, the obstacle's last among them, then interior nodes.

References
----------
P.-O. Persson, G. Strang, "A Simple Mesh Generator in MATLAB", SIAM Review
46(2), 329-345, 2004. https://doi.org/10.1137/S0036144503429121
L. Chen, M. Holst, "Efficient mesh optimization schemes based on optimal
Delaunay triangulations", Comput. Methods Appl. Mech. Eng. 200, 2011.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import Delaunay

from .polygons import Array, cross, inside_polygon
from .sizing import Domain, SizeField

Index = NDArray[np.int64]

TRUSS_STEPS = 90
MIN_FLIPPED_ANGLE = 15.0
"""Least angle in degrees that a flip at the boundary may leave."""


def unique_edges(triangles: Index) -> Index:
    """Edges (k, 2) of a triangulation, each once."""
    pairs = np.sort(triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    key = np.unique(pairs[:, 0] * (triangles.max() + 1) + pairs[:, 1])
    return np.stack(np.divmod(key, triangles.max() + 1), axis=1)


def triangulate(points: Array, obstacle: Index) -> Index:
    """Delaunay triangles outside the obstacle's nodes, counter-clockwise, no flat ones."""
    triangles = Delaunay(points).simplices.astype(np.int64)
    corners = points[triangles]
    area = signed_area(corners)
    triangles[area < 0] = triangles[area < 0][:, ::-1]
    outside = ~inside_polygon(points[obstacle], corners.mean(axis=1))
    span = np.ptp(corners, axis=1).max(axis=1)
    return np.asarray(triangles[outside & (np.abs(area) > 1e-8 * span**2)])


def signed_area(corners: Array) -> Array:
    """Signed areas (m,) of triangles given by corners (m, 3, 2)."""
    return np.asarray(0.5 * cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]))


def triangle_angles(nodes: Array, triangles: Index) -> Array:
    """Interior angles (m, 3) in degrees."""
    corner = nodes[triangles]
    one = np.roll(corner, -1, axis=1) - corner
    two = np.roll(corner, 1, axis=1) - corner
    return np.asarray(np.degrees(np.arctan2(cross(one, two), (one * two).sum(axis=-1))))


def truss_forces(points: Array, edges: Index, h: Array) -> Array:
    """Sum of the repulsive bar forces on every node, in metres, shape (n, 2); ``h`` (k,) are the wanted lengths."""
    bar = points[edges[:, 0]] - points[edges[:, 1]]
    span = np.linalg.norm(bar, axis=1)
    # Persson & Strang (2.4) and section 3, step 6: wanted length, 20 % internal pressure
    wanted = 1.2 * h * np.sqrt((span**2).sum() / (h**2).sum())
    pull = (np.maximum(wanted - span, 0.0) / span)[:, None] * bar
    n, (a, b) = len(points), edges.T
    return np.stack([np.bincount(a, f, n) - np.bincount(b, f, n) for f in pull.T], axis=1)


def circumcentres(corner: Array) -> Array:
    """Centres (m, 2) of the circles through triangles (m, 3, 2)."""
    a, b = corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]
    aa, bb = (a * a).sum(1), (b * b).sum(1)
    perp = np.stack([b[:, 1] * aa - a[:, 1] * bb, a[:, 0] * bb - b[:, 0] * aa], axis=1)
    return np.asarray(corner[:, 0] + perp / (2 * cross(a, b))[:, None])


def optimal_delaunay_step(points: Array, triangles: Index, size: SizeField) -> Array:
    """Move to the weighted mean of neighbouring circumcentres, shape (n, 2).

    One sweep of optimal Delaunay smoothing (Chen & Holst 2011) with the
    density ``h**-4``; removes slivers that the truss leaves behind.
    """
    corner = points[triangles]
    circum = circumcentres(corner)
    weight = signed_area(corner) / size(corner.mean(axis=1)) ** 4
    flat = triangles.ravel()
    total = np.bincount(flat, np.repeat(weight, 3), len(points))
    moved = [np.bincount(flat, np.repeat(weight * circum[:, k], 3), len(points)) for k in range(2)]
    return np.stack(moved, axis=1) / np.maximum(total, 1e-300)[:, None]


def relax(points: Array, obstacle: Index, domain: Domain, size: SizeField) -> Array:
    """Truss relaxation of the interior nodes, which follow the obstacle's (boundary nodes come first)."""
    points, triangulated, free = points.copy(), np.full_like(points, np.inf), obstacle[-1] + 1
    h = size(points)
    for _ in range(TRUSS_STEPS):
        if (np.linalg.norm(points - triangulated, axis=1) / h).max() > 0.1:  # Persson & Strang section 3, step 4
            triangulated, h = points.copy(), size(points)
            edges = unique_edges(triangulate(points, obstacle))
            wanted = size(points[edges].mean(axis=1))
        points[free:] += 0.2 * truss_forces(points, edges, wanted)[free:]
        points[free:] = domain.keep_inside(points[free:], h[free:])
    return points


def smooth(points: Array, obstacle: Index, domain: Domain, size: SizeField, steps: int) -> Array:
    """Optimal Delaunay smoothing of the interior nodes."""
    points, free = points.copy(), obstacle[-1] + 1
    for _ in range(steps):
        moved = optimal_delaunay_step(points, triangulate(points, obstacle), size)[free:]
        points[free:] = domain.keep_inside(moved, size(moved))
    return points


def missing_edges(triangles: Index, obstacle: Index) -> Index:
    """Places in ``obstacle`` of the nodes whose edge to the next one no triangle has."""
    n = triangles.max() + 1
    key = np.sort(np.stack([obstacle, np.roll(obstacle, -1)], axis=1), axis=1) @ np.array([n, 1])
    return np.flatnonzero(~np.isin(key, unique_edges(triangles) @ np.array([n, 1])))


def free_corners(points: Array, triangles: Index, n_fixed: int) -> tuple[Index, Index]:
    """Give triangles whose nodes all lie on the boundary an interior node, by a flip.

    Returns
    -------
    triangles : ndarray of int, shape (m, 3)
    stuck : ndarray of int
        Triangles that no flip mends.
    """
    triangles, stuck = triangles.copy(), []
    best: tuple[float, int, Index]
    for t in np.flatnonzero((triangles < n_fixed).all(axis=1)):
        best = (0.0, 0, triangles[:0])
        for a, b, c in (np.roll(triangles[t], k) for k in range(3)):
            for other in np.flatnonzero((triangles == a).any(axis=1) & (triangles == b).any(axis=1)):
                d = triangles[other].sum() - a - b
                pair = np.array([[c, a, d], [d, b, c]])
                angle = float(triangle_angles(points, pair).min())
                if d >= n_fixed and angle > max(best[0], MIN_FLIPPED_ANGLE):
                    best = (angle, int(other), pair)
        if best[0]:
            triangles[np.array([t, best[1]])] = best[2]
        else:
            stuck.append(t)
    return triangles, np.array(stuck, dtype=np.int64)


def encroaching(points: Array, obstacle: Index, lacking: Index) -> tuple[Index, Index]:
    """Interior nodes in the diametral circles of the obstacle's lacking edges, and the edges without any."""
    a, b = points[obstacle[lacking]], points[np.roll(obstacle, -1)[lacking]]
    free = obstacle[-1] + 1
    far = np.linalg.norm(points[free:] - ((a + b) / 2)[:, None], axis=2)
    within = far <= 0.505 * np.linalg.norm(b - a, axis=1)[:, None]
    return free + np.flatnonzero(within.any(axis=0)), lacking[~within.any(axis=1)]


def short_ends(points: Array, triangles: Index, n_fixed: int) -> Index:
    """For each triangle one end of its shortest edge that may go, no two of them in one triangle."""
    span = np.linalg.norm(points[triangles] - points[np.roll(triangles, -1, axis=1)], axis=2)
    row, k = np.arange(len(triangles)), span.argmin(axis=1)
    # interior nodes come last: the larger index of the two is interior if either is
    ends = np.unique(np.maximum(triangles[row, k], triangles[row, (k + 1) % 3]))
    chosen: list[int] = []
    for node in ends[ends >= n_fixed]:
        if not np.isin(triangles[(triangles == node).any(axis=1)], chosen).any():
            chosen.append(int(node))
    return np.array(chosen, dtype=np.int64)
