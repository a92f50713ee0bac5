"""Coarse grids by pooling: cells are joined two and two along each axis, faces add up with an over-correction.

Unsmoothed aggregation makes a coarse face the sum S of its fine faces, which conducts twice too well: the path
between the centres of two joined cells is twice as long as between their halves. Over-correction (D. Braess,
"Towards algebraic multigrid for elliptic problems of second order", Computing 55, 1995, section 3) divides:

    w_coarse = S / (1 + kappa t),   t = (t_below + t_above) / 2,   t_side = min(max(S / U_side, 1), bound),

U the sum of the inner faces of the joined cells on that side of the face. kappa = bound = 1 is the textbook's
constant 1/2. S / U is the resistance of the inner faces over that of the face, as for resistors in series, so a
bound above 1 lets solids and jumps of c behind a face count. A cell that had no partner (odd sizes) and the outside
of the box have no inner face: t_side = 0. Faces on Dirichlet sides get a factor of their own.

Like :mod:`.stencil`, the functions work on arrays of NumPy and of torch, with leading batch axes.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from .stencil import along, apply

COARSEST = 100
"""Most unknowns of the coarsest grid, which is solved by a dense matrix."""
ANISOTROPY = 1.5
"""Axes whose cells are longer than the shortest by this factor wait until the others catch up."""
TINY = 1e-12
"""Keeps S / U finite where all faces are closed; faces are given relative to the largest."""


def coarsening(shape: Sequence[int], spacing: Sequence[float]) -> list[tuple[int, ...]]:
    """Plan the levels: for each, the axes that are halved (1) and those that stay (0).

    Only axes along which cells are short are halved, for there the coupling is strong (semi-coarsening).
    """
    sizes, lengths, plan = list(shape), list(spacing), []
    while np.prod(sizes) > COARSEST:
        shortest = min(h for n, h in zip(sizes, lengths, strict=True) if n > 1)
        halved = tuple(int(n > 1 and h < ANISOTROPY * shortest) for n, h in zip(sizes, lengths, strict=True))
        sizes = [(n + t) >> t for n, t in zip(sizes, halved, strict=True)]
        lengths = [h * (1 + t) for h, t in zip(lengths, halved, strict=True)]
        plan.append(halved)
    return plan


class Overcorrection(NamedTuple):
    """kappa, bound and the factor on Dirichlet sides; floats, or 0-dim tensors to be trained."""

    kappa: Any = 1.0
    bound: Any = 1.0
    dirichlet: Any = 1.0


def coarsen(
    faces: Sequence[Any],
    halved: Sequence[int],
    overcorrection: Overcorrection = Overcorrection(),  # noqa: B008 - it is immutable
    xp: ModuleType = np,
) -> tuple[Any, ...]:
    """Return the faces of the next grid.

    Parameters
    ----------
    faces : sequence of array
        ``faces[k]``: (..., n_k + 1 along axis k, ...).
    halved : sequence of {0, 1}
        Whether cells are joined along each axis.
    overcorrection : Overcorrection
    xp : module
        ``numpy`` or ``torch``.
    """
    return tuple(_coarse_face(w, k - len(faces), halved, overcorrection, xp) for k, w in enumerate(faces))


def _coarse_face(w: Any, axis: int, halved: Sequence[int], given: Overcorrection, xp: ModuleType) -> Any:
    for k, joined in enumerate(halved):
        if joined and k - len(halved) != axis:
            w = _pair_sums(w, k - len(halved), xp)
    return _joined(w, axis, given, xp) if halved[axis] else w


def _joined(w: Any, axis: int, given: Overcorrection, xp: ModuleType) -> Any:
    """Drop the faces between joined cells, and weaken the others by what lies behind them."""
    cells = w.shape[axis] - 1
    outer = w[along(axis, slice(0, None, 2))]
    if cells % 2:
        outer = xp.concatenate([outer, w[along(axis, slice(-1, None))]], axis)
    if _is_one(given.bound):
        t = _like(_partners(cells), outer, axis, xp)
    else:
        t = _resistance(outer, w[along(axis, slice(1, 2 * (cells // 2), 2))], axis, given.bound, xp)
    coarse = outer / (1.0 + given.kappa * t)
    if _is_one(given.dirichlet):
        return coarse
    return coarse * (1.0 + (given.dirichlet - 1.0) * _like(_ends(coarse.shape[axis]), coarse, axis, xp))


def _is_one(value: Any) -> bool:
    return isinstance(value, float) and value == 1.0


def _ends(faces: int) -> np.ndarray[Any, Any]:
    """1 on the two sides of the box, 0 inside."""
    return np.array([1.0, *np.zeros(faces - 2), 1.0])


def _pair_sums(w: Any, axis: int, xp: ModuleType) -> Any:
    even, odd = w[along(axis, slice(0, None, 2))], w[along(axis, slice(1, None, 2))]
    pairs = odd.shape[axis]
    joined = even[along(axis, slice(0, pairs))] + odd
    return joined if even.shape[axis] == pairs else xp.concatenate([joined, even[along(axis, slice(-1, None))]], axis)


def _partners(cells: int) -> np.ndarray[Any, Any]:
    """Return t for bound 1: half the number of joined pairs beside each coarse face."""
    joined = np.zeros((cells + 1) // 2 + 2)
    joined[1 : 1 + cells // 2] = 0.5
    return joined[1:] + joined[:-1]


def _like(vector: Any, w: Any, axis: int, xp: ModuleType) -> Any:
    """Lay a vector along one axis of w."""
    values = xp.asarray(vector, dtype=w.dtype)
    return values.reshape(-1, *(1,) * (-1 - axis))


def _resistance(outer: Any, inner: Any, axis: int, bound: Any, xp: ModuleType) -> Any:
    """Return t for given sums S and U."""
    coarse, pairs = outer.shape[axis] - 1, inner.shape[axis]
    below = _ratio(outer[along(axis, slice(1, 1 + pairs))], inner, bound, xp)
    above = _ratio(outer[along(axis, slice(0, pairs))], inner, bound, xp)
    end = xp.zeros_like(outer[along(axis, slice(0, 1))])
    single = [end] * (coarse - pairs)
    return 0.5 * (xp.concatenate([end, below, *single], axis) + xp.concatenate([above, *single, end], axis))


def _ratio(outer: Any, inner: Any, bound: Any, xp: ModuleType) -> Any:
    """S / U, from 1 to the bound."""
    return xp.clip(outer / (xp.maximum(inner, outer / bound) + TINY), 1.0, None)


def dense(faces: Sequence[Any], xp: ModuleType = np) -> Any:
    """Assemble A of a small grid: shape (..., cells, cells)."""
    shape = [n - (axis == 0) for axis, n in enumerate(faces[0].shape[-len(faces) :])]
    cells = int(np.prod(shape))
    units = xp.eye(cells, dtype=faces[0].dtype).reshape(cells, *shape)
    batched = [w[..., None, *(slice(None),) * len(faces)] for w in faces]  # room for the unit vectors' axis
    columns = apply(batched, units, xp)
    return columns.reshape(*columns.shape[: -len(faces)], cells)
