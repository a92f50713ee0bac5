"""Graded triangle meshes of a channel with a circular obstacle.

A deterministic variant of the mesher of Persson & Strang (2004): boundary
nodes are placed first, exactly on the walls and on the circle, and never
move; interior nodes relax as a truss whose bars push towards the wanted
length ``h(x)``; the topology is always a Delaunay triangulation.

References
----------
P.-O. Persson, G. Strang, "A Simple Mesh Generator in MATLAB", SIAM Review
46(2), 329-345, 2004. https://doi.org/10.1137/S0036144503429121
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import Delaunay

Array = NDArray[np.float64]
Index = NDArray[np.int64]
SizeField = Callable[[Array], Array]

TRUSS_STEPS, SMOOTHING_STEPS = 90, 5
MIN_CLEARANCE = 0.5
"""Smallest gap between circle and any side of the channel, in radii."""


@dataclass(frozen=True)
class ChannelMesh:
    """Triangle mesh of a rectangular channel around a circle.

    Attributes
    ----------
    nodes : ndarray, shape (n, 2)
        Coordinates in metres; boundary nodes come first.
    triangles : ndarray of int, shape (m, 3)
        Counter-clockwise node indices.
    inlet, outlet, walls, obstacle : ndarray of int
        Node indices of each boundary part. The four corners belong to
        ``walls`` alone. ``obstacle`` runs counter-clockwise.
    centre : tuple of float
        Centre of the circle in metres.
    radius : float
        Radius of the circle in metres.
    """

    nodes: Array
    triangles: Index
    inlet: Index
    outlet: Index
    walls: Index
    obstacle: Index
    centre: tuple[float, float]
    radius: float


@dataclass(frozen=True)
class _Domain:
    """Rectangle without a disc: distances to its boundary."""

    length: float
    height: float
    centre: tuple[float, float]
    radius: float

    def gap(self, points: Array) -> Array:
        """Signed distance (k,) to the boundary, positive inside, in metres."""
        x, y = points[:, 0], points[:, 1]
        circle = np.hypot(x - self.centre[0], y - self.centre[1]) - self.radius
        return np.minimum.reduce([circle, x, self.length - x, y, self.height - y])

    def keep_inside(self, points: Array, size: SizeField) -> Array:
        """Push points that come nearer to the boundary than 0.4 h back."""
        margin = 0.4 * size(points)
        from_centre = points - self.centre
        r = np.maximum(np.hypot(*from_centre.T), 1e-12)
        factor = np.maximum(1.0, (self.radius + margin) / r)[:, None]
        pushed = self.centre + factor * from_centre
        upper = np.array([self.length, self.height]) - margin[:, None]
        return np.clip(pushed, margin[:, None], upper)


def check_geometry(length: float, height: float, centre: tuple[float, float], radius: float) -> None:
    """Refuse a circle that touches or leaves the channel.

    Raises
    ------
    ValueError
        When the clearance to a side is below ``MIN_CLEARANCE`` radii.
    """
    x, y = centre
    gaps = {
        "inlet": x - radius,
        "outlet": length - x - radius,
        "lower wall": y - radius,
        "upper wall": height - y - radius,
    }
    if not radius > 0:
        raise ValueError(f"radius must be positive, got {radius}")
    side, gap = min(gaps.items(), key=lambda item: item[1])
    if not gap >= MIN_CLEARANCE * radius:
        raise ValueError(
            f"the gap between the circle and the {side} is {gap:.4g} m; it must "
            f"be at least {MIN_CLEARANCE} radii = {MIN_CLEARANCE * radius:.4g} m"
        )


def wake_size(
    centre: tuple[float, float],
    radius: float,
    h_min: float,
    h_max: float,
    *,
    growth: float,
    wake_h: float,
    wake_length: float,
) -> SizeField:
    """Wanted edge length: fine on the circle, medium in the wake, coarse far away.

    Parameters
    ----------
    centre, radius
        Circle, in metres.
    h_min, h_max : float
        Edge length on the circle and its upper bound, in metres.
    growth : float
        Relative increase of the edge length over one radius of distance, so
        that meshes with different ``h_min`` form a self-similar family.
    wake_h : float
        Edge length on the wake's axis, in metres.
    wake_length : float
        Length of the refined axis downstream of the centre, in metres.

    Returns
    -------
    callable
        Maps points (k, 2) to edge lengths (k,), in metres.
    """
    x0, y0 = centre

    def size(points: Array) -> Array:
        dx, dy = points[:, 0] - x0, points[:, 1] - y0
        to_circle = np.maximum(np.hypot(dx, dy) - radius, 0.0)
        beyond = dx - np.clip(dx, 0.0, wake_length)
        to_wake = np.maximum(np.hypot(beyond, dy) - radius, 0.0)
        near = h_min * (1 + growth * to_circle / radius)
        wake = wake_h * (1 + growth * to_wake / radius)
        return np.minimum(np.minimum(near, wake), h_max)

    return size


def graded_segment(start: Array, end: Array, size: SizeField) -> Array:
    """Points on a straight segment, spaced by the size field, both ends included.

    Equal increments of the integral of ``1/h`` along the segment.
    """
    s = np.linspace(0.0, 1.0, 2001)[:, None]
    line = (1 - s) * start + s * end
    density = np.linalg.norm(end - start) / size(line)
    count = np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2) / 2000])
    n = max(2, round(count[-1]))
    t = np.interp(np.linspace(0.0, count[-1], n + 1), count, s[:, 0])[:, None]
    points = start + t * (end - start)  # exact where a coordinate is constant
    points[0], points[-1] = start, end
    return points


def circle_points(centre: tuple[float, float], radius: float, h: float) -> Array:
    """Equally spaced points on a circle, counter-clockwise, at most ``h`` apart."""
    n = max(16, int(np.ceil(2 * np.pi * radius / h)))
    angle = 2 * np.pi * np.arange(n) / n
    return np.array(centre) + radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)


def boundary_points(length: float, height: float, circle: Array, size: SizeField) -> tuple[Array, dict[str, Index]]:
    """Boundary nodes and the index set of each boundary part."""
    corner = np.array([[0, 0], [length, 0], [length, height], [0, height]], float)
    sides = [graded_segment(corner[i], corner[(i + 1) % 4], size)[:-1] for i in range(4)]
    offset = np.concatenate([[0], np.cumsum([len(side) for side in sides])])
    bottom, right, top, left = (np.arange(a, b, dtype=np.int64) for a, b in itertools.pairwise(offset))
    parts = {
        "inlet": left[1:],
        "outlet": right[1:],
        # each side starts at a corner: right[0] and left[0] are corners too
        "walls": np.concatenate([bottom, right[:1], top, left[:1]]),
        "obstacle": offset[-1] + np.arange(len(circle), dtype=np.int64),
    }
    return np.vstack([*sides, circle]), parts


def seed_points(length: float, height: float, size: SizeField, h_min: float, gap: SizeField) -> Array:
    """Interior start points: a hexagonal lattice thinned to the wanted density.

    A fixed generator decides which lattice points stay, so that the result is
    a deterministic function of the arguments.
    """
    dy = h_min * np.sqrt(3) / 2
    x, y = np.meshgrid(np.arange(h_min / 2, length, h_min), np.arange(dy, height, dy))
    x[1::2] += h_min / 2
    lattice = np.stack([x, y], axis=-1).reshape(-1, 2)
    h = size(lattice)
    inside = gap(lattice) > 0.6 * h
    # Persson & Strang section 3, step 2: keep with probability (h_min / h)^2
    chance = np.random.default_rng(0).random(len(lattice))
    return lattice[inside & (chance < (h_min / h) ** 2)]


def unique_edges(triangles: Index) -> Index:
    """Edges (k, 2) of a triangulation, each once."""
    pairs = np.sort(triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    key = np.unique(pairs[:, 0] * (triangles.max() + 1) + pairs[:, 1])
    return np.stack(np.divmod(key, triangles.max() + 1), axis=1)


def triangulate(points: Array, centre: tuple[float, float], radius: float) -> Index:
    """Delaunay triangles outside the circle, counter-clockwise, no flat ones."""
    triangles = Delaunay(points).simplices.astype(np.int64)
    corners = points[triangles]
    area = signed_area(corners)
    flip = area < 0
    triangles[flip] = triangles[flip][:, ::-1]
    outside = np.linalg.norm(corners.mean(axis=1) - centre, axis=1) > radius
    span = np.ptp(corners, axis=1).max(axis=1)
    return triangles[outside & (np.abs(area) > 1e-8 * span**2)]


def signed_area(corners: Array) -> Array:
    """Signed areas (m,) of triangles given by corners (m, 3, 2)."""
    a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    return 0.5 * (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])


def truss_forces(points: Array, edges: Index, size: SizeField) -> Array:
    """Sum of the repulsive bar forces on every node, in metres, shape (n, 2)."""
    bar = points[edges[:, 0]] - points[edges[:, 1]]
    span = np.linalg.norm(bar, axis=1)
    h = size(points[edges].mean(axis=1))
    # Persson & Strang (2.4) and section 3, step 6: wanted length, 20 % internal pressure
    wanted = 1.2 * h * np.sqrt((span**2).sum() / (h**2).sum())
    pull = (np.maximum(wanted - span, 0.0) / span)[:, None] * bar
    total = np.zeros_like(points)
    for axis in range(2):
        total[:, axis] = np.bincount(edges[:, 0], pull[:, axis], len(points)) - np.bincount(
            edges[:, 1], pull[:, axis], len(points)
        )
    return total


def optimal_delaunay_step(points: Array, triangles: Index, size: SizeField) -> Array:
    """Move to the weighted mean of neighbouring circumcentres, shape (n, 2).

    One sweep of optimal Delaunay smoothing (Chen & Holst 2011) with the
    density ``h**-4``; removes slivers that the truss leaves behind.
    """
    corner = points[triangles]
    a, b = corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]
    area = signed_area(corner)
    aa, bb = (a * a).sum(1), (b * b).sum(1)
    perp = np.stack([b[:, 1] * aa - a[:, 1] * bb, a[:, 0] * bb - b[:, 0] * aa], axis=1)
    circum = corner[:, 0] + perp / (4 * area)[:, None]
    weight = area / size(corner.mean(axis=1)) ** 4
    flat = triangles.ravel()
    total = np.bincount(flat, np.repeat(weight, 3), len(points))
    moved = [np.bincount(flat, np.repeat(weight * circum[:, k], 3), len(points)) for k in range(2)]
    return np.stack(moved, axis=1) / np.maximum(total, 1e-300)[:, None]


def triangle_angles(nodes: Array, triangles: Index) -> Array:
    """Interior angles (m, 3) in degrees."""
    corner = nodes[triangles]
    one = np.roll(corner, -1, axis=1) - corner
    two = np.roll(corner, 1, axis=1) - corner
    cross = one[..., 0] * two[..., 1] - one[..., 1] * two[..., 0]
    return np.degrees(np.arctan2(cross, (one * two).sum(axis=-1)))


def relax(points: Array, n_fixed: int, wall: _Domain, size: SizeField) -> Array:
    """Truss relaxation, then optimal Delaunay smoothing, of the interior nodes."""
    points, triangulated = points.copy(), np.full_like(points, np.inf)
    for _ in range(TRUSS_STEPS):
        moved = np.linalg.norm(points - triangulated, axis=1) / size(points)
        if moved.max() > 0.1:  # Persson & Strang section 3, step 4
            triangulated = points.copy()
            edges = unique_edges(triangulate(points, wall.centre, wall.radius))
        points[n_fixed:] += 0.2 * truss_forces(points, edges, size)[n_fixed:]
        points[n_fixed:] = wall.keep_inside(points[n_fixed:], size)
    for _ in range(SMOOTHING_STEPS):
        triangles = triangulate(points, wall.centre, wall.radius)
        points[n_fixed:] = optimal_delaunay_step(points, triangles, size)[n_fixed:]
        points[n_fixed:] = wall.keep_inside(points[n_fixed:], size)
    return points


def channel_mesh(
    length: float = 2.2,
    height: float = 0.41,
    centre: tuple[float, float] = (0.2, 0.2),
    radius: float = 0.05,
    h_min: float | None = None,
    h_max: float | None = None,
    *,
    growth: float = 1.0,
    wake_h: float | None = None,
    wake_length: float | None = None,
) -> ChannelMesh:
    """Mesh the channel ``[0, length] x [0, height]`` without the open disc.

    Parameters
    ----------
    length, height : float
        Sides of the channel in metres.
    centre, radius
        The circle in metres; at least ``MIN_CLEARANCE`` radii from every side.
    h_min : float, optional
        Edge length on the circle in metres; ``radius / 9`` unless given.
    h_max : float, optional
        Largest edge length in metres; ``8 h_min`` unless given.
    growth : float
        Relative increase of the edge length over one radius of distance.
    wake_h, wake_length : float, optional
        Edge length on the axis of the wake (``2.4 h_min``) and the length of
        that axis (``10 radius``), in metres.

    Returns
    -------
    ChannelMesh
        Every boundary node lies exactly on its wall or on the circle.

    Raises
    ------
    ValueError
        For a circle too near to a side, or a mesh whose boundary is not the
        wanted one (``h_min`` too coarse for the gap).
    """
    check_geometry(length, height, centre, radius)
    h_min = radius / 9 if h_min is None else h_min
    h_max = 8 * h_min if h_max is None else h_max
    if not 0 < h_min <= radius / 3:
        raise ValueError(f"h_min must be in (0, radius / 3 = {radius / 3:.4g}], got {h_min}")
    size = wake_size(
        centre,
        radius,
        h_min,
        h_max,
        growth=growth,
        wake_h=2.4 * h_min if wake_h is None else wake_h,
        wake_length=10 * radius if wake_length is None else wake_length,
    )
    domain = _Domain(length, height, centre, radius)
    circle = circle_points(centre, radius, h_min)
    fixed, parts = boundary_points(length, height, circle, size)
    points = np.vstack([fixed, seed_points(length, height, size, h_min, domain.gap)])
    points = relax(points, len(fixed), domain, size)
    triangles = triangulate(points, centre, radius)
    check_boundary(triangles, len(points), len(fixed), parts["obstacle"])
    return ChannelMesh(points, triangles, **parts, centre=centre, radius=radius)


def check_boundary(triangles: Index, n_nodes: int, n_fixed: int, obstacle: Index) -> None:
    """Prove that the mesh is a disc with one hole whose rim is the circle.

    Raises
    ------
    ValueError
        When boundary edges do not join neighbouring boundary nodes.
    """
    sides = triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    key = np.sort(sides, axis=1) @ np.array([n_nodes, 1])
    _, first, count = np.unique(key, return_index=True, return_counts=True)
    rim = sides[first[count == 1]]
    on_circle = (rim >= obstacle[0]).all(axis=1)
    used = np.unique(triangles).size
    if len(rim) != n_fixed or on_circle.sum() != len(obstacle) or used != n_nodes:
        raise ValueError(
            f"the mesh has {len(rim)} boundary edges ({on_circle.sum()} on the circle) and "
            f"{used} used nodes; expected {n_fixed}, {len(obstacle)} and {n_nodes}: "
            "make h_min smaller"
        )
