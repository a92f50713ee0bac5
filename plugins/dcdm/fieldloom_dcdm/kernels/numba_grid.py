"""Levels of a multigrid cycle on the CPU: NumPy arrays with a rim, Numba kernels, threads over slabs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from . import grid2d, grid3d, slabs

Array = NDArray[Any]
Omegas = tuple[tuple[float, float], ...]


def pad(field: Array, dtype: DTypeLike) -> Array:
    """Give a field its rim of zeros."""
    padded = np.zeros([n + 2 for n in field.shape], dtype)
    padded[(slice(1, -1),) * field.ndim] = field
    return padded


def unpad(field: Array) -> Array:
    """Return a view without the rim."""
    return field[(slice(1, -1),) * field.ndim]


def kernels(ndim: int) -> Any:
    """Return the module of kernels for grids of ``ndim`` axes."""
    return grid2d if ndim == 2 else grid3d


@dataclass(frozen=True, slots=True, eq=False)
class Level:
    """One grid of the hierarchy with the memory that a cycle needs there.

    Parameters
    ----------
    faces : tuple of ndarray
        Conductances with a rim, all of one precision.
    inverse : ndarray
        Inverse of the diagonal.
    halved : tuple of {0, 1}
        Axes along which the next grid is coarser.
    omega : ndarray of float32, shape (sweeps, 2)
        Relaxation of the two colours in each sweep before the coarse grid; after it they are reversed.
    x, b : ndarray
        Buffers. A cycle overwrites them, so that one Level serves one thread of control at a time.
    threads : int
    """

    faces: tuple[Array, ...]
    inverse: Array
    halved: tuple[int, ...]
    omega: Array
    x: Array
    b: Array
    threads: int


def make_level(faces: Sequence[Array], halved: Sequence[int], omega: Omegas, threads: int) -> Level:
    """Prepare one level; ``faces`` have a rim and single precision."""
    inverse, x, b = (np.zeros(faces[0].shape, np.float32) for _ in range(3))
    slabs.run(kernels(len(faces)).invert_diagonal, [(0, inverse.shape[0] - 2)], *faces, inverse)
    return Level(tuple(faces), inverse, tuple(halved), np.array(omega, np.float32), x, b, threads)


def descend(level: Level, x: Array | None, b: Array, coarse: Array) -> Array:
    """Smooth x, from zero if None, restrict the residual into ``coarse``, and return x.

    On a grid for one thread this is one call of a kernel: on small grids calls are what costs.
    """
    if len(slabs.bounds(b.shape[0] - 2, level.threads)) > 1:
        x = smooth(level, x, b, reverse=False)
        restrict_residual(level, x, b, coarse)
        return x
    out = level.x if x is None else x
    fixed = level.inverse, *level.faces, level.omega
    kernels(b.ndim).descend(out, b, *fixed, x is None, *level.halved, coarse)
    return out


def ascend(level: Level, coarse: Array, x: Array, b: Array) -> Array:
    """Add the coarse grid's correction to x, smooth backwards, and return x."""
    if len(slabs.bounds(b.shape[0] - 2, level.threads)) > 1:
        return smooth(level, prolong_add(level, coarse, x), b, reverse=True)
    kernels(b.ndim).ascend(x, b, level.inverse, *level.faces, level.omega, *level.halved, coarse)
    return x


def smooth(level: Level, x: Array | None, b: Array, *, reverse: bool) -> Array:
    """Red-black over-relaxation: all sweeps, from zero if x is None; backwards in time if ``reverse``.

    Forward and backward together are symmetric, and positive definite for relaxation in (0, 2).
    """
    out = level.x if x is None else x
    for number, pair in enumerate(level.omega[::-1, ::-1] if reverse else level.omega):
        _sweep(level, out, b, int(reverse), pair, from_zero=x is None and number == 0)
    return out


def _sweep(level: Level, x: Array, b: Array, colour: int, omega: Array, *, from_zero: bool) -> None:
    module, parts = kernels(x.ndim), slabs.bounds(x.shape[0] - 2, level.threads)
    slabs.run(module.sweep, parts, x, b, level.inverse, *level.faces, colour, *omega, from_zero)
    if len(parts) > 1:
        slabs.run(module.sweep_edges, parts, x, b, level.inverse, *level.faces, colour, omega[1])


def restrict_residual(level: Level, x: Array, b: Array, coarse: Array) -> Array:
    """Sum b - A x over each coarse cell into ``coarse``, and return it."""
    parts = slabs.bounds(coarse.shape[0] - 2, level.threads)
    slabs.run(kernels(x.ndim).restrict_residual, parts, x, b, *level.faces, *level.halved, coarse)
    return coarse


def prolong_add(level: Level, coarse: Array, x: Array) -> Array:
    """Add each coarse cell's value to the cells of x in it, and return x."""
    parts = slabs.bounds(x.shape[0] - 2, level.threads)
    slabs.run(kernels(x.ndim).prolong_add, parts, coarse, *level.halved, x)
    return x
