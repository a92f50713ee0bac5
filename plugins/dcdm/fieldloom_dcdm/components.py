"""Parts of the fluid that touch no Dirichlet side: on each, A is singular and constants are its null space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .errors import IncompatibleRhs
from .kernels import numba_grid, unions
from .problem import Floats, Poisson


@dataclass(frozen=True, slots=True, eq=False)
class Components:
    """The singular components of a system.

    Parameters
    ----------
    labels : ndarray of int32 or None
        For each cell of the flat grid with a rim: number of its singular component from 1, 0 in all other cells.
        None if there is no singular component.
    sizes : ndarray of int64, shape (1 + components,)
        Cells with each label.
    """

    labels: NDArray[np.int32] | None
    sizes: NDArray[np.int64]

    @property
    def count(self) -> int:
        return len(self.sizes) - 1

    def sums(self, v: Floats) -> NDArray[np.float64]:
        """Sum of v (a field with a rim) over each label."""
        assert self.labels is not None
        return np.bincount(self.labels, v.ravel(), len(self.sizes)).astype(np.float64, copy=False)

    def project(self, v: Floats) -> None:
        """Subtract each singular component's mean from v, in place."""
        if self.labels is not None:
            means = self.sums(v) / self.sizes
            means[0] = 0.0
            v.ravel()[...] -= means[self.labels]

    def outside(self, b: Floats) -> float:
        """Return the 2-norm of the part of b that no A x can have."""
        if self.labels is None:
            return 0.0
        return float(np.sqrt((self.sums(b)[1:] ** 2 / self.sizes[1:]).sum()))

    def check(self, b: Floats, tolerance: float) -> None:
        """Raise :class:`IncompatibleRhs` if that part is above ``tolerance``: no x has a smaller residual."""
        outside = self.outside(b)
        if outside > tolerance:
            worst = int(np.argmax(np.abs(self.sums(b)[1:]) / np.sqrt(self.sizes[1:]))) + 1
            raise IncompatibleRhs(
                f"the right-hand side adds up to {self.sums(b)[worst]:.3g} over a region of {self.sizes[worst]} cells "
                f"that touches no Dirichlet side, and should to zero; the residual cannot fall below {outside:.3g} "
                f"(asked for: {tolerance:.3g}). Pass project=True to subtract the mean"
            )


def find_components(problem: Poisson) -> Components:
    """Find the singular components of a system."""
    if _is_one_open_box(problem):
        return Components(None, np.zeros(1, np.int64))
    roots = _roots(problem.padded)
    rim = np.ones([n + 2 for n in problem.shape], np.bool_)
    rim[(slice(1, -1),) * problem.ndim] = False
    grounded = np.zeros(roots.size, np.bool_)
    grounded[roots[rim.ravel()]] = True  # x is zero on the rim
    singular = ~grounded[roots]
    singular &= numba_grid.pad(problem.mask, np.bool_).ravel()
    if not singular.any():
        return Components(None, np.zeros(1, np.int64))
    found, numbers = np.unique(roots[singular], return_inverse=True)
    labels = np.zeros(roots.size, np.int32)
    labels[singular] = numbers + 1
    return Components(labels, np.bincount(labels, minlength=len(found) + 1))


def _is_one_open_box(problem: Poisson) -> bool:
    """Whether all cells are joined and touch a Dirichlet side: the common case, seen at a glance."""
    inner = (w[_planes(w.ndim, k, slice(1, -1))] for k, w in enumerate(problem.faces))
    ends = (w[_planes(w.ndim, k, end)] for k, w in enumerate(problem.faces) for end in (0, -1))
    return bool(problem.mask.all()) and all((w > 0).all() for w in inner) and any((w > 0).any() for w in ends)


def _planes(ndim: int, axis: int, part: slice | int) -> tuple[slice | int, ...]:
    """Index that takes ``part`` of one axis."""
    return tuple(part if k == axis else slice(None) for k in range(ndim))


def _roots(faces: Sequence[Floats]) -> NDArray[np.int32]:
    """Root of each flat cell of the grid with a rim; Dirichlet sides join cells to the rim."""
    shape = faces[0].shape
    parent = np.empty(faces[0].size, np.int32)
    unions.join_rows(parent, faces[-1].ravel())
    for axis, w in enumerate(faces[:-1]):
        unions.unite(parent, w.ravel(), int(np.prod(shape[axis + 1 :])))
    unions.flatten(parent)
    return parent
