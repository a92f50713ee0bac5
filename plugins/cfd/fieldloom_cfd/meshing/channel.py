"""Graded triangle meshes of a channel around an obstacle of any outline.

A deterministic variant of the mesher of Persson & Strang (2004): boundary
nodes are placed first, exactly on the walls and on the outline, and never
move; interior nodes relax as a truss whose bars push towards the wanted
length ``h(x)``; the topology is a Delaunay triangulation, but for flips that
give every triangle a node off the boundary.

References
----------
P.-O. Persson, G. Strang, "A Simple Mesh Generator in MATLAB", SIAM Review
46(2), 329-345, 2004. https://doi.org/10.1137/S0036144503429121
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from ..limits import MIN_CLEARANCE
from .outlines import Outline, circle
from .polygons import Array, cross
from .sizing import SPOT_GROWTH, Domain, SizeField, fine_spots, min_clearance, wake_size
from .triangulation import (
    Index,
    circumcentres,
    encroaching,
    free_corners,
    missing_edges,
    relax,
    short_ends,
    smooth,
    triangle_angles,
    triangulate,
)

SMOOTHING_STEPS, REPAIRS = 5, 12
GOOD_ANGLE = 27.0
"""Smoothing goes on, and nodes are added, while an angle in degrees is smaller."""
SLENDER = 4.0
"""The reference size is the frontal height, but at least the chord over this."""


@dataclass(frozen=True)
class ChannelMesh:
    """Triangle mesh of a rectangular channel around an obstacle.

    Attributes
    ----------
    nodes : ndarray, shape (n, 2)
        Coordinates in metres; boundary nodes come first.
    triangles : ndarray of int, shape (m, 3)
        Counter-clockwise node indices; each has a node off the boundary.
    inlet, outlet, walls, obstacle : ndarray of int
        Node indices of each boundary part. The four corners belong to
        ``walls`` alone. ``obstacle`` runs counter-clockwise.
    outline : Outline
        The obstacle's true boundary.
    obstacle_s : ndarray
        Arc length on the outline of each node of ``obstacle``, in metres, increasing.
    """

    nodes: Array
    triangles: Index
    inlet: Index
    outlet: Index
    walls: Index
    obstacle: Index
    outline: Outline
    obstacle_s: Array

    def obstacle_midpoints(self) -> Array:
        """Points (k, 2) of the outline halfway from each obstacle node to the next, in metres."""
        return self.outline.at((self.obstacle_s + _next(self.obstacle_s, self.outline)) / 2)


def _next(s: Array, outline: Outline) -> Array:
    """The following arc length (k,) of each, one turn later for the last."""
    return np.append(s[1:], s[0] + outline.perimeter)


def reference_size(outline: Outline) -> float:
    """Size that edge lengths are measured by: the frontal height; of slender obstacles a quarter chord."""
    return max(outline.frontal, outline.chord / SLENDER)


def check_geometry(length: float, height: float, outline: Outline, h_min: float) -> None:
    """Refuse an obstacle that touches or leaves the channel, and edges that are too long for it.

    Raises
    ------
    ValueError
        When the clearance to a side is below ``MIN_CLEARANCE`` frontal heights,
        or ``h_min`` is above a sixth of the reference size.
    """
    side, gap = min_clearance(outline, length, height)
    if not gap >= MIN_CLEARANCE * outline.frontal:
        raise ValueError(
            f"the gap between the obstacle and the {side} is {gap:.4g} m; it must be at least {MIN_CLEARANCE} "
            f"frontal heights = {MIN_CLEARANCE * outline.frontal:.4g} m: move the obstacle or make it smaller"
        )
    limit = reference_size(outline) / 6 * (1 + 1e-12)
    if not 0 < h_min <= limit:
        raise ValueError(f"h_min must be in (0, {limit:.4g}] m, a sixth of the obstacle's size, got {h_min}")
    sides = np.diff(np.append(outline.corners, outline.corners[:1] + outline.perimeter))
    if (sides < h_min / 32).any():
        a, b = outline.at(outline.corners[sides.argmin()] + np.array([0.0, sides.min()]))
        raise ValueError(
            f"the side of the obstacle from {a} to {b} is only {sides.min():.3g} m long, below h_min / 32 = "
            f"{h_min / 32:.3g} m: merge these points or make h_min smaller"
        )


def graded(density: Array, fewest: int) -> Array:
    """Places (n + 1,) in [0, 1], both ends included, with equal integrals of the density between.

    ``density`` (k,) holds the edges per unit at k equally spaced places.
    """
    count = np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2) / (len(density) - 1)])
    n = max(fewest, round(count[-1]))
    return np.interp(np.linspace(0.0, count[-1], n + 1), count, np.linspace(0.0, 1.0, len(density)))


def graded_segment(start: Array, end: Array, size: SizeField) -> Array:
    """Points on a straight segment, spaced by the size field, both ends included."""
    s = np.linspace(0.0, 1.0, 2001)[:, None]
    t = graded(np.linalg.norm(end - start) / size((1 - s) * start + s * end), 2)[:, None]
    points = start + t * (end - start)  # exact where a coordinate is constant
    points[0], points[-1] = start, end
    return points


def outline_nodes(outline: Outline, size: SizeField) -> Array:
    """Arc lengths of the nodes on the outline: every corner, the rest spaced by the size field."""
    stops = outline.corners if outline.corners.size else np.zeros(1)
    nodes = []
    for start, end in itertools.pairwise([*stops, stops[0] + outline.perimeter]):
        s = np.linspace(start, end, 2001)
        # a closed curve without corners keeps the 16 nodes that its shape needs
        t = graded((end - start) / size(outline.at(s)), 1 if outline.corners.size else 16)
        nodes.append(start + t[:-1] * (end - start))
    return np.concatenate(nodes)


def boundary_points(length: float, height: float, size: SizeField) -> tuple[Array, dict[str, Index]]:
    """Nodes of the rectangle and the index set of each part."""
    corner = np.array([[0, 0], [length, 0], [length, height], [0, height]], float)
    sides = [graded_segment(corner[i], corner[(i + 1) % 4], size)[:-1] for i in range(4)]
    offset = np.concatenate([[0], np.cumsum([len(side) for side in sides])])
    bottom, right, top, left = (np.arange(a, b, dtype=np.int64) for a, b in itertools.pairwise(offset))
    parts = {
        "inlet": left[1:],
        "outlet": right[1:],
        # each side starts at a corner: right[0] and left[0] are corners too
        "walls": np.concatenate([bottom, right[:1], top, left[:1]]),
    }
    return np.vstack(sides), parts


def lattice(low: Array, high: Array, h: float) -> Array:
    """Integer coordinates (k, 2) of the hexagonal lattice of spacing ``h`` within a box."""
    step = np.array([h, h * np.sqrt(3) / 2])
    first, last = np.ceil(low / step).astype(int), np.ceil(high / step).astype(int)
    return np.stack(np.meshgrid(*(np.arange(a, b) for a, b in zip(first, last, strict=True))), -1).reshape(-1, 2)


def seed_points(domain: Domain, size: SizeField, h_min: float, spots: tuple[Array, Array], growth: float) -> Array:
    """Interior start points: hexagonal lattices thinned to the wanted density.

    The whole channel has a lattice of spacing ``h_min``; around the fine spots
    there are lattices of half the spacing each, for the sizes below. A fixed
    generator decides which lattice points stay, so that the result is a
    deterministic function of the arguments.
    """
    side = np.array([domain.length, domain.height])
    chance, seeds, h, above = np.random.default_rng(0), [], h_min, np.inf
    boxes = [(np.array([h_min / 2, h_min * np.sqrt(3) / 2]), side)]
    while boxes:
        index = np.unique(np.vstack([lattice(low, high, h) for low, high in boxes]), axis=0)
        points = (index + [[0.5, 0.0]] * (index[:, 1:] % 2 == 1)) * [h, h * np.sqrt(3) / 2]
        wanted = size(points)
        # Persson & Strang section 3, step 2: keep with probability (h / wanted)^2
        stay = (wanted >= h) & (wanted < above) & (chance.random(len(points)) < (h / wanted) ** 2)
        seeds.append(points[stay][domain.gap(points[stay]) > 0.6 * wanted[stay]])
        above, h = h, h / 2
        reach = (above - spots[1]) / growth
        boxes = [(np.maximum(x - r, 0), np.minimum(x + r, side)) for x, r in zip(spots[0], reach, strict=True) if r > 0]
    return np.vstack(seeds)


def repair(points: Array, s: Array, outer: int, domain: Domain, size: SizeField) -> tuple[Array, Array]:
    """Points and arc lengths of the outline's nodes, which start at ``outer``, made conforming.

    Each round splits the outline's edges that the triangulation lacks, adds or
    removes nodes at bad triangles, and smooths again. The best round counts.
    """
    best = ((False, -1.0), points, s)
    for turn in range(REPAIRS):
        obstacle = outer + np.arange(len(s))
        free = obstacle[-1] + 1
        triangles, stuck = free_corners(points, triangulate(points, obstacle), free)
        lacking, angle = missing_edges(triangles, obstacle), triangle_angles(points, triangles).min(axis=1)
        score = (not lacking.size and not stuck.size, float(angle.min()))
        best = max(best, (score, points, s), key=lambda item: item[0])
        if score >= (True, GOOD_ANGLE):
            break
        bad = np.flatnonzero(angle < GOOD_ANGLE)
        drop = short_ends(points, triangles[bad], free) if turn % 3 == 2 else bad[:0]
        # an interior node in its way goes; an edge that the other side of a thin part hides is split
        between, hidden = encroaching(points, obstacle, lacking)
        drop = np.concatenate([drop, between])
        extra = [points[triangles[stuck]].mean(axis=1)]
        if turn % 3 == 1:
            centre = circumcentres(points[triangles[bad]])
            extra.append(centre[domain.gap(centre) > 0.3 * size(centre)])
        s = np.sort(np.concatenate([s, ((s + _next(s, domain.outline)) / 2)[hidden]]))
        points = np.vstack([points[:outer], domain.outline.at(s), np.delete(points, drop, axis=0)[free:], *extra])
        points = smooth(points, outer + np.arange(len(s)), domain, size, 3)
    return best[1:]


def channel_mesh(
    length: float = 2.2,
    height: float = 0.41,
    outline: Outline | None = None,
    h_min: float | None = None,
    h_max: float | None = None,
    *,
    growth: float = 1.0,
    wake_h: float | None = None,
    wake_length: float | None = None,
) -> ChannelMesh:
    """Mesh the channel ``[0, length] x [0, height]`` without the inside of an outline.

    Parameters
    ----------
    length, height : float
        Sides of the channel in metres.
    outline : Outline, optional
        At least ``MIN_CLEARANCE`` frontal heights from every side; the circle
        of the DFG benchmark unless given.
    h_min : float, optional
        Edge length on the obstacle in metres, finer at corners, bends and thin
        parts; an 18th of :func:`reference_size` unless given (a circle's radius / 9).
    h_max : float, optional
        Largest edge length in metres; ``8 h_min`` unless given.
    growth : float
        Relative increase of the edge length over half a reference size of distance.
    wake_h, wake_length : float, optional
        Edge length on the axis of the wake (``2.4 h_min``), and the length of
        that axis from the obstacle's centre (9 half reference sizes behind it), in metres.

    Returns
    -------
    ChannelMesh
        Every boundary node lies exactly on its wall or on the outline.

    Raises
    ------
    ValueError
        For an obstacle too near to a side, or a mesh whose boundary is not the
        wanted one (``h_min`` too coarse for the gap).
    """
    outline = circle((0.2, 0.2), 0.05) if outline is None else outline
    half = reference_size(outline) / 2
    h_min = half / 9 if h_min is None else h_min
    check_geometry(length, height, outline, h_min)
    domain, spots = Domain(length, height, outline, h_min), fine_spots(outline, length, height, h_min)
    size = wake_size(
        domain,
        half,
        h_min,
        8 * h_min if h_max is None else h_max,
        spots,
        growth=growth,
        wake_h=2.4 * h_min if wake_h is None else wake_h,
        wake_length=outline.bounds[1] - outline.centre[0] + 9 * half if wake_length is None else wake_length,
    )
    rectangle, parts = boundary_points(length, height, size)
    outer, s = len(rectangle), outline_nodes(outline, size)
    obstacle = outer + np.arange(len(s))
    points = np.vstack([rectangle, outline.at(s), seed_points(domain, size, h_min, spots, SPOT_GROWTH)])
    points = smooth(relax(points, obstacle, domain, size), obstacle, domain, size, SMOOTHING_STEPS)
    points, s = repair(points, s, outer, domain, size)
    obstacle = outer + np.arange(len(s))
    triangles, stuck = free_corners(points, triangulate(points, obstacle), obstacle[-1] + 1)
    check_boundary(points, triangles, obstacle, stuck)
    mesh = ChannelMesh(points, triangles, **parts, obstacle=obstacle, outline=outline, obstacle_s=s)
    check_curved(mesh)
    return mesh


def check_boundary(points: Array, triangles: Index, obstacle: Index, stuck: Index) -> None:
    """Prove that the mesh is a disc with one hole whose rim is the obstacle.

    Raises
    ------
    ValueError
        When boundary edges do not join neighbouring boundary nodes, or a
        triangle has only boundary nodes.
    """
    sides = triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    key = np.sort(sides, axis=1) @ np.array([len(points), 1])
    _, first, count = np.unique(key, return_index=True, return_counts=True)
    rim, lacking = sides[first[count == 1]], missing_edges(triangles, obstacle)
    if lacking.size or len(stuck):
        place = points[obstacle[lacking[0]]] if lacking.size else points[triangles[stuck[0]]].mean(axis=0)
        raise ValueError(
            f"the mesh lacks {len(lacking)} edges of the obstacle and has {len(stuck)} triangles with only boundary "
            f"nodes, the first at ({place[0]:.4g}, {place[1]:.4g}) m: the obstacle has a part or a pocket that is too "
            "narrow there; make h_min smaller or the outline simpler"
        )
    used = np.unique(triangles).size
    if len(rim) != obstacle[-1] + 1 or (rim > obstacle[-1]).any() or used != len(points):
        raise ValueError(
            f"the mesh has {len(rim)} boundary edges and {used} used nodes; expected {obstacle[-1] + 1} "
            f"and {len(points)}: make h_min smaller"
        )


def curved_jacobian(mesh: ChannelMesh) -> Array:
    """Least Jacobian (k,) of the quadratic triangle at each obstacle edge, relative to the straight one.

    The midpoint of the obstacle edge lies on the outline. With one curved edge
    the Jacobian is linear in the barycentric coordinates: the vertices bound it.
    """
    after = np.full(len(mesh.nodes), -1)
    after[mesh.obstacle] = np.roll(mesh.obstacle, -1)
    turns = [np.roll(mesh.triangles, -k, axis=1) for k in range(3)]
    # the fluid lies to the right of the counter-clockwise outline
    abc = np.vstack([t[after[t[:, 1]] == t[:, 0]] for t in turns])
    b, a, c = mesh.nodes[abc].transpose(1, 0, 2)
    bulge = 4 * (mesh.obstacle_midpoints()[abc[:, 1] - mesh.obstacle[0]] - (a + b) / 2)
    # X = l1 b + l2 a + l3 c + l1 l2 bulge; the derivatives are b - c + l2 bulge and a - c + l1 bulge
    at_b, at_a = cross(b - c, a - c + bulge), cross(b - c + bulge, a - c)
    return np.asarray(np.minimum(1.0, np.minimum(at_a, at_b) / cross(b - c, a - c)))


def check_curved(mesh: ChannelMesh) -> None:
    """Refuse a mesh whose quadratic elements overlap themselves.

    Raises
    ------
    ValueError
        Where moving the midpoints to the outline turns an element over.
    """
    least = curved_jacobian(mesh).min()
    if not least > 0.1:
        raise ValueError(
            f"a curved element at the obstacle has a relative Jacobian of {least:.3g}, not above 0.1: "
            "the outline bends too much for its edges; make h_min smaller"
        )
