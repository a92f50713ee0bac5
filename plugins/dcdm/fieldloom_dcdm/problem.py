"""The pressure-Poisson problem on a uniform grid with solid cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import stencil
from .errors import InvalidProblem

Floats: TypeAlias = NDArray[np.floating[Any]]
Mask: TypeAlias = NDArray[np.bool_]
Side: TypeAlias = Literal["dirichlet", "neumann"]
Boundary: TypeAlias = Side | Sequence[Side | Sequence[Side]]


@dataclass(frozen=True, slots=True, eq=False)
class Poisson:
    """-div(c grad x) = b in the fluid cells of a box; make it by :func:`poisson`.

    Parameters
    ----------
    mask : ndarray of bool, shape (n_0, ..., n_{d-1})
        True in fluid cells. Walls between fluid and solid let nothing through (Neumann).
    spacing : tuple of float
        Edge lengths of a cell.
    boundary : tuple of (lower, upper)
        For each axis, what holds on the two sides of the box: x = 0 ("dirichlet") or no flux ("neumann").
    padded : tuple of ndarray
        ``faces`` with a rim, as the kernels read them: entry i along axis k is the face below cell i, and cells are
        counted from 1. In single precision if that is exact, as it is for masks.
    uniform : bool
        Whether c is 1 in all the fluid.
    """

    mask: Mask
    spacing: tuple[float, ...]
    boundary: tuple[tuple[Side, Side], ...]
    padded: tuple[Floats, ...]
    uniform: bool = True

    @property
    def faces(self) -> tuple[Floats, ...]:
        """Coefficient on the faces along each axis k, shape (.., n_k + 1, ..).

        Zero where closed, doubled on Dirichlet sides, where x = 0 lies half a cell away. The conductance is
        ``faces[k] / spacing[k]**2``.
        """
        return without_rim(self.padded)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.mask.shape

    @property
    def ndim(self) -> int:
        return self.mask.ndim

    @property
    def scales(self) -> tuple[float, ...]:
        """1 / h_k**2."""
        return tuple(h**-2.0 for h in self.spacing)

    def conductances(self) -> tuple[NDArray[np.float64], ...]:
        """``faces[k] / spacing[k]**2`` in double precision."""
        return tuple(np.multiply(w, s, dtype=np.float64) for w, s in zip(self.faces, self.scales, strict=True))

    def apply(self, x: Floats) -> NDArray[np.float64]:
        """Return A x for fields of shape (..., *shape); slow and clear, for tests and set-up."""
        return cast("NDArray[np.float64]", stencil.apply(self.conductances(), x))


def poisson(
    mask: ArrayLike,
    spacing: float | Sequence[float] = 1.0,
    boundary: Boundary = "dirichlet",
    coefficient: ArrayLike | Sequence[ArrayLike] | None = None,
) -> Poisson:
    """Describe a system.

    Parameters
    ----------
    mask : array_like of bool
        Fluid cells, 2D or 3D, at least two cells along each axis.
    spacing : float or sequence of float
        Edge length of a cell, one for all axes or one for each.
    boundary : str or sequence
        "dirichlet" or "neumann" for all sides, or for each axis one of them or a pair (lower, upper).
    coefficient : array_like, or a sequence of one array an axis
        c in the cells (faces get the harmonic mean), or on the faces along each axis, with n_k + 1 entries along
        axis k. Positive in the fluid; on faces zero makes a thin wall.

    Raises
    ------
    InvalidProblem
        If the mask is no mask or has no fluid, or shapes, spacing, boundary or coefficient do not fit.
    """
    fluid = _checked_mask(mask)
    sides = _sides(boundary, fluid.ndim)
    openness = [_open_faces(fluid, k, sides[k]) for k in range(fluid.ndim)]
    faces = openness if coefficient is None else _weighted(openness, coefficient, fluid)
    padded = tuple(_exact(pad_faces(w, k)) for k, w in enumerate(faces))
    return Poisson(fluid, _spacing(spacing, fluid.ndim), sides, padded, coefficient is None)


def _checked_mask(mask: ArrayLike) -> Mask:
    fluid = np.ascontiguousarray(mask)
    if fluid.dtype != np.bool_:
        raise InvalidProblem(f"the mask should be boolean (True is fluid), and has dtype {fluid.dtype}")
    if fluid.ndim not in (2, 3) or min(fluid.shape, default=0) < 2:
        raise InvalidProblem(f"the mask should have 2 or 3 axes of at least 2 cells, and has shape {fluid.shape}")
    if not fluid.any():
        raise InvalidProblem(f"the mask of shape {fluid.shape} has no fluid cell: there is nothing to solve")
    return cast("Mask", fluid)


def _spacing(spacing: float | Sequence[float], ndim: int) -> tuple[float, ...]:
    values = np.broadcast_to(np.asarray(spacing, np.float64), ndim) if np.ndim(spacing) == 0 else np.asarray(spacing)
    if values.shape != (ndim,) or not np.isfinite(values).all() or (values <= 0).any():
        raise InvalidProblem(f"spacing should be one positive length or {ndim} of them, and is {spacing!r}")
    return tuple(float(h) for h in values)


def _sides(boundary: Boundary, ndim: int) -> tuple[tuple[Side, Side], ...]:
    each = [boundary] * ndim if isinstance(boundary, str) else list(boundary)
    pairs = [(side, side) if isinstance(side, str) else tuple(side) for side in each]
    kinds = {"dirichlet", "neumann"}
    if len(pairs) != ndim or any(len(pair) != 2 or not set(pair) <= kinds for pair in pairs):
        raise InvalidProblem(
            f"boundary should be 'dirichlet' or 'neumann', or one of them or a pair (lower, upper) for each of the "
            f"{ndim} axes, and is {boundary!r}"
        )
    return cast("tuple[tuple[Side, Side], ...]", tuple(pairs))


def _open_faces(fluid: Mask, axis: int, sides: tuple[Side, Side]) -> NDArray[np.float32]:
    """1 between fluid cells, 2 on a Dirichlet side, 0 where nothing flows."""
    cells = np.moveaxis(fluid, axis, 0)
    faces = np.zeros((len(cells) + 1, *cells.shape[1:]), np.float32)
    np.logical_and(cells[1:], cells[:-1], out=faces[1:-1], casting="unsafe")
    for end, side in zip((0, -1), sides, strict=True):
        if side == "dirichlet":
            np.multiply(cells[end], np.float32(2), out=faces[end])
    return np.ascontiguousarray(np.moveaxis(faces, 0, axis))


def _weighted(openness: list[NDArray[np.float32]], coefficient: Any, fluid: Mask) -> list[Floats]:
    given = list(coefficient) if isinstance(coefficient, (list, tuple)) else None
    if given is None:
        cells = _checked_coefficient(coefficient, fluid.shape, fluid, "the coefficient")
        given = [_harmonic(cells, axis) for axis in range(fluid.ndim)]
    if len(given) != fluid.ndim:
        raise InvalidProblem(f"the coefficient on faces needs {fluid.ndim} arrays, one an axis, and has {len(given)}")
    return [
        w * _checked_coefficient(c, w.shape, None, f"the coefficient on faces along axis {axis}")
        for axis, (w, c) in enumerate(zip(openness, given, strict=True))
    ]


def _checked_coefficient(c: ArrayLike, shape: tuple[int, ...], fluid: Mask | None, what: str) -> Floats:
    values = np.asarray(c, np.float64)
    if values.shape != shape:
        raise InvalidProblem(f"{what} should have shape {shape}, and has {values.shape}")
    used = values if fluid is None else values[fluid]
    if not np.isfinite(used).all() or (used < 0).any() or (fluid is not None and (used == 0).any()):
        raise InvalidProblem(f"{what} should be finite and positive in the fluid; its least value is {used.min():g}")
    return values if fluid is None else np.where(fluid, values, 1.0)


def _harmonic(cells: Floats, axis: int) -> Floats:
    """Harmonic mean of the two cells at each face; at the sides, the cell's own value."""
    c = np.moveaxis(cells, axis, 0)
    inner = 2.0 / (1.0 / c[1:] + 1.0 / c[:-1])
    return np.moveaxis(np.concatenate([c[:1], inner, c[-1:]]), 0, axis)


def without_rim(padded: Sequence[Floats]) -> tuple[Floats, ...]:
    """Return views of the faces without their rim."""
    return tuple(w[_inner(len(padded), k)] for k, w in enumerate(padded))


def _inner(ndim: int, axis: int) -> tuple[slice, ...]:
    return tuple(slice(1, None) if k == axis else slice(1, -1) for k in range(ndim))


def pad_faces(faces: Floats, axis: int) -> Floats:
    """Add a rim of zeros: entry i along ``axis`` becomes the face below cell i, counted from 1."""
    padded = np.zeros([n + 1 if k == axis else n + 2 for k, n in enumerate(faces.shape)], faces.dtype)
    padded[_inner(faces.ndim, axis)] = faces
    return padded


def _exact(faces: Floats) -> Floats:
    """Take single precision if that is exact: half the memory to read."""
    single = faces.astype(np.float32, copy=False)
    return single if single is faces or bool((single == faces).all()) else faces
