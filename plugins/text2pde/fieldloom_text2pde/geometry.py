"""What a mesh says about the walls around it: signed distances, directions, and which sides are walls.

Coordinates alone do not tell a network where the flow must stop: without these features an autoencoder of wakes is
worse than repeating the first frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

Array = NDArray[np.float64]
Index = NDArray[np.int64]

SIDES = ("left", "right", "bottom", "top")
FEATURES = 12
"""Columns of :meth:`Geometry.features`."""


@dataclass(frozen=True, slots=True)
class Box:
    """The rectangle that a model was trained on, metres."""

    low: tuple[float, float]
    high: tuple[float, float]

    @property
    def size(self) -> Array:
        """Sides, shape (2,)."""
        return np.subtract(self.high, self.low)

    def centres(self, ny: int, nx: int) -> Array:
        """Centres of ``ny`` x ``nx`` equal cells, shape (ny * nx, 2), x fastest."""
        x, y = ((np.arange(n) + 0.5) / n * s + a for n, s, a in zip((nx, ny), self.size, self.low, strict=True))
        return np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)

    def unit(self, points: Array) -> Array:
        """Coordinates from 0 to 1."""
        return np.asarray((points - self.low) / self.size)


def box_of(points: Array) -> Box:
    """Smallest rectangle around points (n, 2)."""
    return Box(tuple(points.min(axis=0).tolist()), tuple(points.max(axis=0).tolist()))


@dataclass(frozen=True, slots=True)
class Geometry:
    """Walls of one domain.

    Attributes
    ----------
    box : Box
        The domain's outer rectangle.
    segments : ndarray, shape (s, 2, 2)
        Edges of the obstacles inside it (edge, end, coordinate); there may be none.
    walls : tuple of bool
        Which of :data:`SIDES` do not let the flow slip.
    """

    box: Box
    segments: Array
    walls: tuple[bool, bool, bool, bool]

    def distance(self, points: Array) -> tuple[Array, Array]:
        """Signed distance to the obstacles, negative inside, and the unit vector away from them.

        Parameters
        ----------
        points : ndarray, shape (n, 2)

        Returns
        -------
        distance : ndarray, shape (n,)
            Infinite without obstacles.
        direction : ndarray, shape (n, 2)
        """
        if not len(self.segments):
            return np.full(len(points), np.inf), np.zeros_like(points)
        nearest = _nearest_on_segments(points, self.segments)
        offset = points - nearest
        distance = np.linalg.norm(offset, axis=1)
        sign = np.where(_inside(points, self.segments), -1.0, 1.0)
        direction = offset / np.maximum(distance, 1e-12)[:, None]
        return sign * distance, sign[:, None] * direction

    def side_distances(self, points: Array) -> Array:
        """Distances to the four sides, shape (n, 4), in the order of :data:`SIDES`."""
        low, high = points - self.box.low, np.asarray(self.box.high) - points
        return np.stack([low[:, 0], high[:, 0], low[:, 1], high[:, 1]], axis=1)

    def wall_distance(self, points: Array) -> Array:
        """Distance to the nearest wall, obstacle or side, shape (n,); zero inside obstacles and outside the box."""
        distance = np.maximum(self.distance(points)[0], 0.0)
        sides = np.maximum(self.side_distances(points)[:, np.asarray(self.walls)], 0.0)
        return np.minimum(distance, sides.min(axis=1, initial=np.inf))

    def features(self, points: Array) -> Array:
        """Describe points to a network, shape (n, :data:`FEATURES`), every column within about [-1, 1].

        Distances to obstacles at three scales of length, the direction away from them, inverse distance,
        distances to sides at two scales, and position.
        """
        scale = float(self.box.size.min())
        distance, direction = self.distance(points)
        sides = self.side_distances(points) / scale
        low, high = np.minimum(sides[:, 0], sides[:, 1]), np.minimum(sides[:, 2], sides[:, 3])
        near = [np.tanh(distance / (scale * part)) for part in (0.03, 0.12, 0.5)]
        unit = 2 * self.box.unit(points) - 1
        fade = np.exp(-np.maximum(np.nan_to_num(distance, posinf=1e9), 0.0) / (0.3 * scale))
        columns = [*near, direction[:, 0], direction[:, 1], fade]
        columns += [np.tanh(low * 4), np.tanh(high * 30), np.tanh(high * 6), unit[:, 0], unit[:, 1], unit[:, 1] ** 2]
        return np.stack(columns, axis=1)


def geometry_of(
    points: Array, triangles: Index, walls: tuple[bool, bool, bool, bool], box: Box | None = None
) -> Geometry:
    """Find the obstacles of a mesh: boundary edges that do not lie on the sides of its rectangle.

    Parameters
    ----------
    points : ndarray, shape (n, 2)
        Nodes.
    triangles : ndarray of int, shape (m, 3)
    walls : tuple of bool
        Which sides are walls: a mesh does not say.
    box : Box, optional
        The rectangle; that of the nodes unless given.
    """
    box = box or box_of(points)
    edges = boundary_edges(triangles)
    tolerance = 1e-6 * float(box.size.max())
    low, high = np.abs(points - box.low) < tolerance, np.abs(points - box.high) < tolerance
    on_side = np.concatenate([low, high], axis=1)  # (n, 4)
    outer = (on_side[edges[:, 0]] & on_side[edges[:, 1]]).any(axis=1)
    return Geometry(box, points[edges[~outer]], walls)


def boundary_edges(triangles: Index) -> Index:
    """Edges that belong to one triangle only, shape (b, 2)."""
    edges = np.sort(triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    unique, counts = np.unique(edges, axis=0, return_counts=True)
    return np.asarray(unique[counts == 1])


def still_sides(points: Array, velocity: Array, box: Box) -> tuple[bool, bool, bool, bool]:
    """Tell which sides of the rectangle hold the flow: those whose nodes never move.

    Parameters
    ----------
    points : ndarray, shape (n, 2)
    velocity : ndarray, shape (time, n, 2)
    """
    speed = np.abs(velocity).max(axis=(0, 2))
    tolerance = 1e-6 * float(box.size.max())
    still = speed < 1e-6 * max(float(speed.max()), 1e-300)
    found = []
    for axis, end in ((0, box.low), (0, box.high), (1, box.low), (1, box.high)):
        nodes = np.abs(points[:, axis] - end[axis]) < tolerance
        corners = nodes & (np.abs(points[:, 1 - axis] - box.low[1 - axis]) < tolerance)
        corners |= nodes & (np.abs(points[:, 1 - axis] - box.high[1 - axis]) < tolerance)
        inner = nodes & ~corners
        found.append(bool(inner.any() and still[inner].all()))
    return found[0], found[1], found[2], found[3]


def _nearest_on_segments(points: Array, segments: Array, candidates: int = 4) -> Array:
    """Nearest point on any segment, looked for among those whose middles are nearest."""
    k = min(candidates, len(segments))
    _, found = cKDTree(segments.mean(axis=1)).query(points, k=k)
    start, end = segments[found.reshape(-1, k)].transpose(2, 0, 1, 3)  # (n, k, 2) each
    along = end - start
    share = ((points[:, None] - start) * along).sum(-1) / np.maximum((along**2).sum(-1), 1e-300)
    feet = start + np.clip(share, 0.0, 1.0)[..., None] * along
    best = ((feet - points[:, None]) ** 2).sum(-1).argmin(axis=1)
    return np.asarray(feet[np.arange(len(points)), best])


def _inside(points: Array, segments: Array) -> NDArray[np.bool_]:
    """Even-odd rule: how many segments a ray to the right crosses."""
    (x0, y0), (x1, y1) = segments[:, 0].T, segments[:, 1].T
    inside = np.zeros(len(points), bool)
    near = (points >= segments.min(axis=(0, 1))).all(axis=1) & (points <= segments.max(axis=(0, 1))).all(axis=1)
    x, y = points[near, 0, None], points[near, 1, None]
    spans = (y0 > y) != (y1 > y)
    with np.errstate(divide="ignore", invalid="ignore"):
        crossing = x < x0 + (y - y0) / (y1 - y0) * (x1 - x0)
    inside[near] = (spans & crossing).sum(axis=1) % 2 == 1
    return inside
