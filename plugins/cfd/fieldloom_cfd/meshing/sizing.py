"""Wanted edge lengths around an outline, and quick distances to it.

The size field is the minimum of cones: ``h_min`` on the outline, ``wake_h`` on
the axis of the wake, and smaller sizes at fine spots (corners, noses, thin
parts, narrow gaps), each growing with the distance.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.ndimage import map_coordinates

from .outlines import Outline
from .polygons import Array, Bool

SizeField = Callable[[Array], Array]

SPOT_GROWTH = 0.25
"""Increase of the edge length around a fine spot, per length."""
CORNER_SIZE, CURVATURE_SIZE, THICKNESS_SIZE, GAP_SIZE = 0.5, 0.5, 1.5, 0.25
"""Edge length at a corner in h_min, along a bend in radii of curvature, on a
thin part in thicknesses, in a gap in widths."""
FINEST, FINEST_THIN = 1 / 8, 1 / 4
"""Lower bounds of the edge length in h_min, in general and for thin parts."""
FACING_SAMPLES, FACING_COSINE = 300, 0.9
GRID_NODES = 40_000


@dataclass(frozen=True, eq=False)
class Domain:
    """Rectangle ``[0, length] x [0, height]`` without the inside of an outline."""

    length: float
    height: float
    outline: Outline
    spacing: float

    @cached_property
    def _grid(self) -> tuple[Array, Array]:
        """Distances on a grid (ny, nx) over the rectangle and the grid's spacings (x, y)."""
        step = max(self.spacing, np.sqrt(self.length * self.height / GRID_NODES))
        nx, ny = (int(np.ceil(side / step)) + 1 for side in (self.length, self.height))
        x, y = np.meshgrid(np.linspace(0, self.length, nx), np.linspace(0, self.height, ny))
        distance = self.outline.distance(np.stack([x.ravel(), y.ravel()], axis=1))
        return distance.reshape(ny, nx), np.array([self.length / (nx - 1), self.height / (ny - 1)])

    def distance(self, points: Array) -> Array:
        """Signed distance (k,) to the outline, to a tenth of the spacing or so, negative inside."""
        if self.outline.disc:
            return self.outline.distance(points)
        values, step = self._grid
        index = (points / step)[:, ::-1].T
        return np.asarray(map_coordinates(values, index, order=1, mode="nearest"), dtype=np.float64)

    def _near(self, points: Array, margin: Array) -> Bool:
        """Which points may be nearer to the outline than the margin (k,)."""
        slack = 0.0 if self.outline.disc else self._grid[1].max()
        return self.distance(points) < margin + slack

    def gap(self, points: Array) -> Array:
        """Signed distance (k,) to the boundary, positive inside the domain, in metres."""
        x, y = points[:, 0], points[:, 1]
        obstacle = self.distance(points)
        near = self._near(points, np.full(len(points), 3 * self.spacing))
        obstacle[near] = self.outline.distance(points[near])
        return np.asarray(np.minimum.reduce([obstacle, x, self.length - x, y, self.height - y]))

    def keep_inside(self, points: Array, size: Array) -> Array:
        """Push points (k, 2) that come nearer to the boundary than 0.4 of the size (k,) back."""
        margin, pushed = 0.4 * size, points.copy()
        near = np.flatnonzero(self._near(points, margin))
        foot, signed = self.outline.nearest(points[near]), self.outline.distance(points[near])
        out = (points[near] - foot) / np.where(signed == 0, 1e-300, signed)[:, None]  # unit, away from the obstacle
        close = signed < margin[near]
        pushed[near[close]] = foot[close] + margin[near[close], None] * out[close]
        upper = np.array([self.length, self.height]) - margin[:, None]
        return np.clip(pushed, margin[:, None], upper)


def facing_width(points: Array, normals: Array) -> Array:
    """Distance (n,) to the nearest point that faces each one, infinite where none does.

    ``normals`` (n, 2) point into the region whose width is wanted: inwards for
    the thickness of the obstacle, outwards for its pockets.
    """
    to = points[None] - points[:, None]
    far = np.linalg.norm(to, axis=-1) + 1e-300
    ahead = (to * normals[:, None]).sum(axis=-1) > FACING_COSINE * far
    facing = -(to * normals[None]).sum(axis=-1) > FACING_COSINE * far
    return np.asarray(np.where(ahead & facing, far, np.inf).min(axis=1))


def outline_sizes(outline: Outline, length: float, height: float, h_min: float) -> tuple[Array, Array]:
    """Places (k, 2) on and beside the outline and the edge length (k,) that each asks for."""
    s = np.linspace(0.0, outline.perimeter, FACING_SAMPLES, endpoint=False)
    points, along = outline.at(s), outline.tangent(s)
    inwards = np.stack([-along[:, 1], along[:, 0]], axis=1)
    walls = np.stack([points * [0, 1], points * [1, 0], points * [0, 1] + [length, 0], points * [1, 0] + [0, height]])
    gap = np.linalg.norm(walls - points, axis=-1).ravel()
    thin = np.maximum(THICKNESS_SIZE * facing_width(points, inwards), FINEST_THIN * h_min)
    places = [
        (points, thin),
        (points, GAP_SIZE * facing_width(points, -inwards)),
        (np.tile(points, (4, 1)), GAP_SIZE * gap),
        (walls.reshape(-1, 2), GAP_SIZE * gap),
        (outline.points, CURVATURE_SIZE * outline.curvature_radius),
        (outline.at(outline.corners), corner_sizes(outline, h_min)),
    ]
    where, h = (np.concatenate(column) for column in zip(*places, strict=True))
    return where, np.maximum(h, FINEST * h_min)


def corner_sizes(outline: Outline, h_min: float) -> Array:
    """Edge lengths (c,) wanted at the corners: no longer than the sides that meet there."""
    ahead = np.diff(np.append(outline.corners, outline.corners[:1] + outline.perimeter))
    return np.minimum(CORNER_SIZE * h_min, np.minimum(ahead, np.roll(ahead, 1)))


def fine_spots(outline: Outline, length: float, height: float, h_min: float) -> tuple[Array, Array]:
    """The few places (k, 2) and edge lengths (k,) that stand for all that ask for less than ``h_min``."""
    if outline.disc and min_clearance(outline, length, height)[1] * GAP_SIZE > h_min:
        return np.empty((0, 2)), np.empty(0)
    where, h = outline_sizes(outline, length, height, h_min)
    where, h = where[h < 0.95 * h_min], h[h < 0.95 * h_min]
    spots, sizes = [], []
    while h.size:
        spots.append(where[h.argmin()])
        sizes.append(h.min())
        reach = sizes[-1] + SPOT_GROWTH * np.linalg.norm(where - spots[-1], axis=1)
        where, h = where[h < 0.9 * reach], h[h < 0.9 * reach]
    return np.array(spots).reshape(-1, 2), np.array(sizes)


def min_clearance(outline: Outline, length: float, height: float) -> tuple[str, float]:
    """The side of the channel nearest to the outline, and the gap in metres."""
    x0, x1, y0, y1 = outline.bounds
    gaps = {"inlet": x0, "outlet": length - x1, "lower wall": y0, "upper wall": height - y1}
    return min(gaps.items(), key=lambda item: item[1])


def wake_size(
    domain: Domain,
    reference: float,
    h_min: float,
    h_max: float,
    spots: tuple[Array, Array],
    *,
    growth: float,
    wake_h: float,
    wake_length: float,
) -> SizeField:
    """Wanted edge length: fine on the obstacle, medium in the wake, coarse far away.

    Parameters
    ----------
    domain : Domain
    reference : float
        Half the obstacle's reference size in metres: a circle's radius.
    h_min, h_max : float
        Edge length on the obstacle and its upper bound, in metres.
    spots : tuple of ndarray
        Places (k, 2) and edge lengths (k,) that are finer, in metres.
    growth : float
        Relative increase of the edge length over one reference of distance, so
        that meshes with different ``h_min`` form a self-similar family.
    wake_h : float
        Edge length on the wake's axis, in metres.
    wake_length : float
        Length of the refined axis downstream of the obstacle's centre, in metres.

    Returns
    -------
    callable
        Maps points (k, 2) to edge lengths (k,), in metres.
    """
    x0, y0 = domain.outline.centre

    def size(points: Array) -> Array:
        dx, dy = points[:, 0] - x0, points[:, 1] - y0
        near = h_min * (1 + growth * np.maximum(domain.distance(points), 0.0) / reference)
        beyond = dx - np.clip(dx, 0.0, wake_length)
        to_wake = np.maximum(np.hypot(beyond, dy) - reference, 0.0)
        h = np.minimum(np.minimum(near, wake_h * (1 + growth * to_wake / reference)), h_max)
        for place, finest in zip(*spots, strict=True):
            away = np.hypot(points[:, 0] - place[0], points[:, 1] - place[1])
            np.minimum(h, finest + SPOT_GROWTH * away, out=h)
        return h

    return size
