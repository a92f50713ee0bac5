"""Which cells of a grid a plane mesh covers, or a closed surface encloses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import InvalidProblem
from .problem import Mask

Floats = NDArray[np.float64]


def solid_cells(points: Floats, corners: NDArray[Any], axes: Sequence[Floats]) -> Mask:
    """Tell which cells have their centre in a body.

    Parameters
    ----------
    points : ndarray, shape (n, d)
        Coordinates in the order of ``axes``.
    corners : ndarray of int, shape (m, 3)
        Triangles: the body itself on a plane, its closed surface in space.
    axes : sequence of ndarray
        Coordinates of the cells' centres along each axis of the grid, increasing.

    Returns
    -------
    ndarray of bool, shape (len(axes[0]), ..., len(axes[d-1]))

    Raises
    ------
    InvalidProblem
        If a surface in space is open.
    """
    if corners.shape[1] != 3:
        raise InvalidProblem(f"a body is made of triangles; its cells have {corners.shape[1]} corners")
    if len(axes) == 2:
        return _covered(points, corners, axes)
    _check_closed(corners)
    return _enclosed(points, corners, axes)


def _covered(points: Floats, triangles: NDArray[Any], axes: Sequence[Floats]) -> Mask:
    solid = np.zeros([len(axis) for axis in axes], np.bool_)
    for triangle in points[triangles]:
        window = tuple(_within(axis, triangle[:, k]) for k, axis in enumerate(axes))
        solid[window] |= _inside(triangle, *(axis[part] for axis, part in zip(axes, window, strict=True)))
    return solid


def _within(axis: Floats, values: Floats) -> slice:
    """Cells whose centres lie between the extremes."""
    return slice(*np.searchsorted(axis, [values.min(), values.max()], side="left").tolist())


def _inside(triangle: Floats, y: Floats, x: Floats) -> Mask:
    """Which points (y, x) lie in a triangle (3, 2); of those on an edge, each to one of its two triangles."""
    inside = np.zeros((len(y), len(x)), np.bool_)
    for a, b in zip(triangle, np.roll(triangle, -1, axis=0), strict=True):
        crosses = (a[0] <= y) != (b[0] <= y)
        at = a[1] + (y - a[0]) / np.where(crosses, b[0] - a[0], 1.0) * (b[1] - a[1])
        inside ^= crosses[:, None] & (x[None, :] < at[:, None])
    return inside


def _check_closed(triangles: NDArray[Any]) -> None:
    edges = np.sort(triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    _, counts = np.unique(edges, axis=0, return_counts=True)
    if odd := int((counts % 2).sum()):
        raise InvalidProblem(f"the surface is open: {odd:,} edges have an odd number of triangles; it has no inside")


def _enclosed(points: Floats, triangles: NDArray[Any], axes: Sequence[Floats]) -> Mask:
    """Count the crossings of lines along the first axis: odd is inside."""
    flips = np.zeros([len(axes[0]) + 1, len(axes[1]), len(axes[2])], np.bool_)
    for triangle in points[triangles]:
        window = _within(axes[1], triangle[:, 1]), _within(axes[2], triangle[:, 2])
        y, x = axes[1][window[0]], axes[2][window[1]]
        if not (y.size and x.size):
            continue
        i, j = np.nonzero(_inside(triangle[:, 1:], y, x))
        if i.size:
            first = np.searchsorted(axes[0], _height(triangle, y[i], x[j]))
            np.logical_xor.at(flips, (first, i + window[0].start, j + window[1].start), True)
    return np.logical_xor.accumulate(flips, axis=0)[:-1]


def _height(triangle: Floats, y: Floats, x: Floats) -> Floats:
    """First coordinate of the triangle's plane over points (y, x)."""
    origin, u, v = triangle[0], triangle[1] - triangle[0], triangle[2] - triangle[0]
    determinant = u[1] * v[2] - u[2] * v[1]
    s = ((y - origin[1]) * v[2] - (x - origin[2]) * v[1]) / determinant
    t = (u[1] * (x - origin[2]) - u[2] * (y - origin[1])) / determinant
    return np.asarray(origin[0] + s * u[0] + t * v[0])
