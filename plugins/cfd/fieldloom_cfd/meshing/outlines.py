"""Closed outlines of obstacles, parametrised by arc length.

An outline runs counter-clockwise, in metres. It is one piecewise polynomial
in the arc length: of degree 1 for polygons, of degree 5 through dense samples
of each analytic piece for circles, ellipses and airfoils (relative error below
1e-12). Corners, where the tangent jumps, are breakpoints and are kept exactly.

References
----------
E. N. Jacobs, K. E. Ward, R. M. Pinkerton, "The characteristics of 78 related
airfoil sections from tests in the variable-density wind tunnel", NACA Report
460, 1933.
J. A. Baerentzen, H. Aanaes, "Signed distance computation using the angle
weighted pseudonormal", IEEE TVCG 11(3), 2005 (why the sign is not taken from
the nearest segment alone).
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import factorial

import numpy as np
from numpy.typing import ArrayLike
from scipy.interpolate import PPoly, make_interp_spline
from scipy.spatial import cKDTree

from .polygons import Array, Bool, check_polygon, cross, inside_polygon, polygon_area, project, rotated, turning

Piece = Callable[[Array], Array]

CORNER_TURN = 30.0
"""A polygon's vertex is a corner when the outline turns by more degrees there."""
PIECE_SAMPLES = 1024
"""Samples of an analytic piece: relative error below 1e-12 for ellipses up to 5:1 and airfoils from 6 %."""
DENSE_SAMPLES = 2000
GAUSS = np.polynomial.legendre.leggauss(8)


@dataclass(frozen=True, eq=False)
class Outline:
    """Closed curve, counter-clockwise, in metres.

    Attributes
    ----------
    curve : scipy.interpolate.PPoly
        Points (2,) as a function of the arc length, over one turn from 0.
    corners : ndarray, shape (c,)
        Arc lengths at which the tangent jumps, increasing, in [0, perimeter).
    disc : tuple of (centre, radius), optional
        Set for a circle: distances are then exact and fast.
    """

    curve: PPoly
    corners: Array
    disc: tuple[tuple[float, float], float] | None = None

    @property
    def perimeter(self) -> float:
        """Length of one turn in metres."""
        return float(self.curve.x[-1])

    def at(self, s: ArrayLike) -> Array:
        """Points (k, 2) at arc lengths (k,) in metres; periodic."""
        if self.disc:
            (x, y), r = self.disc
            return np.stack([x + r * np.cos(np.asarray(s) / r), y + r * np.sin(np.asarray(s) / r)], axis=-1)
        return np.asarray(self.curve(np.mod(s, self.perimeter)), dtype=np.float64)

    def tangent(self, s: ArrayLike) -> Array:
        """Unit tangents (k, 2) at arc lengths (k,); after the jump at a corner."""
        slope = np.asarray(self.curve(np.mod(s, self.perimeter), 1), dtype=np.float64)
        return np.asarray(slope / np.linalg.norm(slope, axis=-1, keepdims=True))

    @cached_property
    def knots(self) -> Array:
        """Arc lengths (n,) that resolve the outline: breakpoints, and points between far ones."""
        x = self.curve.x
        n = np.maximum(1, np.ceil(np.diff(x) * DENSE_SAMPLES / self.perimeter)).astype(int)
        part = np.arange(n.sum()) - np.repeat(np.cumsum(n) - n, n)
        return np.asarray(np.repeat(x[:-1], n) + part * np.repeat(np.diff(x) / n, n))

    @cached_property
    def points(self) -> Array:
        """Points (n, 2) at the knots."""
        return self.at(self.knots)

    @cached_property
    def bounds(self) -> tuple[float, float, float, float]:
        """Smallest x, largest x, smallest y, largest y in metres."""
        if self.disc:
            (x, y), r = self.disc
            return x - r, x + r, y - r, y + r
        low, high = self.points.min(axis=0), self.points.max(axis=0)
        return float(low[0]), float(high[0]), float(low[1]), float(high[1])

    @property
    def frontal(self) -> float:
        """Height seen by the flow along x, in metres."""
        return self.bounds[3] - self.bounds[2]

    @property
    def centre(self) -> tuple[float, float]:
        """Middle of the bounding box in metres."""
        x0, x1, y0, y1 = self.bounds
        return (x0 + x1) / 2, (y0 + y1) / 2

    @cached_property
    def chord(self) -> float:
        """Largest distance between two points of the outline, in metres."""
        few = self.points[:: max(1, len(self.points) // 400)]
        corners = self.at(self.corners)
        every = np.vstack([few, corners])
        return float(np.sqrt(((every[:, None] - every) ** 2).sum(axis=-1)).max())

    @cached_property
    def curvature_radius(self) -> Array:
        """Radii of curvature (n,) at the knots in metres, at least a chord's share; infinite on straight parts.

        A polygon's vertex that is no corner gets the mean length of its two
        sides over its turning angle. Corners themselves have no radius: inf.
        """
        if self.curve.c.shape[0] > 2:
            one, two = self.curve(self.knots, 1), self.curve(self.knots, 2)
            bend = np.abs(cross(one, two)) / np.linalg.norm(one, axis=1) ** 3
        else:
            start = self.curve.x[:-1]
            ahead = np.diff(self.curve.x)
            vertex = np.abs(turning(self.at(start))) / ((ahead + np.roll(ahead, 1)) / 2)
            bend = np.zeros(len(self.knots))
            bend[np.searchsorted(self.knots, start)] = vertex
        bend[np.isin(self.knots, self.corners)] = 0.0
        with np.errstate(divide="ignore"):
            return np.where(bend > 1e-9 / self.perimeter, 1 / np.maximum(bend, 1e-300), np.inf)

    @cached_property
    def _tree(self) -> cKDTree:
        return cKDTree(self.points)

    def inside(self, points: Array) -> Bool:
        """Which of the points (k, 2) lie inside the outline, (k,)."""
        if self.disc:
            return self.distance(points) < 0
        return inside_polygon(self.points, points)

    def nearest(self, points: Array) -> Array:
        """Nearest points (k, 2) of the outline, to about 1e-6 of its size."""
        if self.disc:
            away = points - self.disc[0]
            r = np.hypot(away[:, 0], away[:, 1])[:, None]
            unit = np.where(r > 0, away / np.maximum(r, 1e-300), [1.0, 0.0])
            return np.asarray(self.disc[0] + self.disc[1] * unit)
        # four samples: beside a sharp edge the nearest one may lie on the wrong side
        index = self._tree.query(points, k=4)[1]
        n = len(self.points)
        start = np.concatenate([index, (index - 1) % n], axis=1)
        a, b = self.points[start], self.points[(start + 1) % n]
        foot = project(points[:, None], a, b)
        best = ((foot - points[:, None]) ** 2).sum(axis=-1).argmin(axis=1)
        return np.asarray(foot[np.arange(len(points)), best])

    def distance(self, points: Array) -> Array:
        """Signed distances (k,) of points (k, 2) in metres, negative inside."""
        if self.disc:
            (x, y), r = self.disc
            return np.hypot(points[:, 0] - x, points[:, 1] - y) - r
        far = np.linalg.norm(points - self.nearest(points), axis=1)
        return np.asarray(np.where(self.inside(points), -far, far))


def _positive(**values: float) -> None:
    for name, value in values.items():
        if not (np.isfinite(value) and value > 0):
            raise ValueError(f"{name} must be positive and finite, got {value}")


def _arc_lengths(piece: Piece) -> tuple[Array, Array]:
    """Samples (n, 2) of a piece over [0, 1] and their arc lengths (n,) from its start."""
    u = np.linspace(0.0, 1.0, PIECE_SAMPLES)
    points = piece(u)
    slope = make_interp_spline(u, points, k=5).derivative()
    half = (u[1] - u[0]) / 2
    at = ((u[:-1] + u[1:]) / 2)[:, None] + half * GAUSS[0]
    steps = half * np.linalg.norm(slope(at), axis=-1) @ GAUSS[1]
    return points, np.concatenate([[0.0], np.cumsum(steps)])


def smooth(
    pieces: Sequence[Piece],
    corners: Sequence[int] = (),
    disc: tuple[tuple[float, float], float] | None = None,
) -> Outline:
    """Outline of analytic pieces, each a map of [0, 1] to points (k, 2) with non-zero speed.

    Parameters
    ----------
    pieces : sequence of callable
        In counter-clockwise order; each starts where the one before ends.
    corners : sequence of int
        The pieces that start at a corner.
    """
    start, breaks, coefficients, starts = 0.0, [np.zeros(1)], [], []
    for piece in pieces:
        points, s = _arc_lengths(piece)
        spline = make_interp_spline(s, points, k=5)
        # at every sample: the spline itself has wider spans at its ends
        coefficients.append(np.stack([spline(s[:-1], k) / factorial(k) for k in range(5, -1, -1)]))
        coefficients[-1][-1, 0] = points[0]  # exact at the piece's start, which may be a corner
        starts.append(start)
        breaks.append(start + s[1:])
        start = breaks[-1][-1]
    curve = PPoly(np.concatenate(coefficients, axis=1), np.concatenate(breaks))
    return Outline(curve, np.array([starts[i] for i in corners], dtype=np.float64), disc)


def circle(centre: tuple[float, float], radius: float) -> Outline:
    """Circle; arc length 0 is its most downstream point."""
    _positive(radius=radius)
    return smooth(_quarters(centre, (radius, radius), 0.0), disc=(centre, radius))


def ellipse(centre: tuple[float, float], semi_axes: tuple[float, float], angle: float = 0.0) -> Outline:
    """Ellipse with the given semi-axes in metres, turned counter-clockwise by ``angle`` degrees."""
    _positive(first_semi_axis=semi_axes[0], second_semi_axis=semi_axes[1])
    return smooth(_quarters(centre, semi_axes, angle))


def _quarters(centre: tuple[float, float], semi_axes: tuple[float, float], angle: float) -> list[Piece]:
    def quarter(k: int) -> Piece:
        def points(u: Array) -> Array:
            t = np.pi / 2 * (k + u)
            return centre + rotated(np.stack([np.cos(t), np.sin(t)], axis=1) * semi_axes, angle)

        return points

    return [quarter(k) for k in range(4)]


def square(centre: tuple[float, float], side: float, angle: float = 0.0) -> Outline:
    """Square with the given side in metres, turned counter-clockwise by ``angle`` degrees."""
    _positive(side=side)
    corner = side / 2 * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], dtype=np.float64)
    return polygon(centre + rotated(corner, angle))


def naca(code: str, centre: tuple[float, float], chord: float, angle: float = 0.0) -> Outline:
    """NACA four-digit airfoil with a closed trailing edge (NACA Report 460, pp. 3-5).

    Parameters
    ----------
    code : str
        Four digits: camber and its place, in hundredths and tenths of the
        chord, then the thickness in hundredths.
    centre : tuple of float
        Where the middle of the chord lies, in metres.
    chord : float
        In metres.
    angle : float
        Angle of attack in degrees, positive nose up in a flow along x.

    Notes
    -----
    The parameter is ``sqrt(x / chord)``: both surfaces are analytic in it,
    up to the nose. The pieces meet at the nose and where the camber line's two
    parabolas meet; only the trailing edge is a corner.
    """
    if not re.fullmatch(r"\d{4}", code) or code[2:] == "00" or (code[0] == "0") != (code[1] == "0"):
        raise ValueError(
            f"NACA code {code!r} is not a four-digit airfoil: four digits, the last two (thickness) above "
            "00, the first two (camber, its place) both 0 or both not, such as '0012' or '4412'"
        )
    _positive(chord=chord)
    m, p, t = int(code[0]) / 100, int(code[1]) / 10, int(code[2:]) / 100
    # from the trailing edge over the upper side to the nose, back below
    ends = [1.0, 0.0, -1.0] if m == 0 else [1.0, np.sqrt(p), 0.0, -np.sqrt(p), -1.0]

    def piece(a: float, b: float) -> Piece:
        def points(u: Array) -> Array:
            root = a + u * (b - a)
            aft = max(abs(a), abs(b)) > np.sqrt(p) + 1e-9
            section = naca_section(np.abs(root), 1.0 if a + b > 0 else -1.0, m, p, t, aft=aft)
            return centre + rotated(chord * (section - [0.5, 0.0]), -angle)

        return points

    return smooth([piece(a, b) for a, b in itertools.pairwise(ends)], corners=[0])


def naca_section(root: Array, side: float, m: float, p: float, t: float, *, aft: bool) -> Array:
    """Points (k, 2) of a unit-chord section at ``sqrt(x)``; ``side`` is 1 above, -1 below."""
    x = root**2
    # the last coefficient is -0.1036, not -0.1015: the trailing edge is closed
    half = 5 * t * (0.2969 * root - 0.1260 * x - 0.3516 * x**2 + 0.2843 * x**3 - 0.1036 * x**4)
    if m == 0:
        line, slope = np.zeros_like(x), np.zeros_like(x)
    elif aft:
        line, slope = m / (1 - p) ** 2 * (1 - 2 * p + 2 * p * x - x**2), 2 * m / (1 - p) ** 2 * (p - x)
    else:
        line, slope = m / p**2 * (2 * p * x - x**2), 2 * m / p**2 * (p - x)
    norm = np.hypot(1.0, slope)
    return np.stack([x - side * half * slope / norm, line + side * half / norm], axis=1)


def polygon(points: ArrayLike, where: Sequence[str] | None = None) -> Outline:
    """Polygon through the points (k, 2), in metres, in either direction.

    A repeated last point is dropped. Vertices where the outline turns by more
    than ``CORNER_TURN`` degrees are corners.

    Parameters
    ----------
    points : array_like, shape (k, 2)
    where : sequence of str, optional
        What to call each point in errors; ``row 1``, ``row 2``, ... by default.

    Raises
    ------
    ValueError
        For fewer than 3 points, NaN, equal neighbours, zero area, or an
        outline that crosses or touches itself.
    """
    vertices = np.asarray(points, dtype=np.float64)
    if vertices.ndim != 2 or vertices.shape[1] != 2:
        raise ValueError(f"an outline needs points of shape (k, 2), got {vertices.shape}")
    names = [f"row {i + 1}" for i in range(len(vertices))] if where is None else list(where)
    if len(vertices) > 1 and (vertices[0] == vertices[-1]).all():
        vertices, names = vertices[:-1], names[:-1]
    check_polygon(vertices, names)
    if polygon_area(vertices) < 0:
        vertices = vertices[::-1]
    after = np.roll(vertices, -1, axis=0) - vertices
    length = np.linalg.norm(after, axis=1)
    breaks = np.concatenate([[0.0], np.cumsum(length)])
    curve = PPoly(np.stack([after / length[:, None], vertices]), breaks)
    return Outline(curve, breaks[:-1][np.abs(turning(vertices)) > np.radians(CORNER_TURN)])
