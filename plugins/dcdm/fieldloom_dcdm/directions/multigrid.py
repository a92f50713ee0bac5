"""Matrix-free geometric multigrid that sees the solid cells, set up by pooling alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from ..hierarchy import Overcorrection, coarsen, coarsening, dense
from ..kernels import numba_grid, slabs, vectors
from ..kernels.numba_grid import Level
from ..parameters import MultigridParameters, Values, textbook
from ..problem import Floats, Poisson, pad_faces, without_rim
from .base import DirectionModel

NULL_SPACE = 1e-12
"""Eigenvalues of the coarsest matrix below this part of the largest are zero: constants of closed regions."""


class Multigrid(DirectionModel):
    """One V- or W-cycle in single precision.

    Red-black over-relaxation before the coarse grid, the same backwards after it, transfers by piecewise constants,
    over-corrected coarse faces (:mod:`fieldloom_dcdm.hierarchy`), a dense solve on the coarsest grid.

    It is symmetric positive definite for every value that :class:`MultigridParameters` admits, so that plain
    conjugate gradients are safe. Let E be the error after smoothing, a contraction in the norm of A since every
    omega lies in (0, 2), and B the coarse solve: the cycle is M = S + E' P B P' E', S positive definite, so B has to
    be positive semi-definite. A V-cycle's B is such a cycle itself. A W-cycle's is 2 N - N A_c N of such a cycle N,
    which is if no eigenvalue t of N A_c exceeds 2; and t <= max(1, s) where s bounds the over-correction
    on that level, because t (2 - t) <= 1 bounds the solve below it. Hence s <= 2 on all grids but the finest.

    Parameters
    ----------
    problem : Poisson
    parameters : MultigridParameters, optional
        The textbook's V(2, 2) if not given.
    threads : int
        Threads of each kernel.

    References
    ----------
    U. Trottenberg, C. Oosterlee, A. Schüller, *Multigrid*, 2001, sections 2.8 and 4.1.
    A. McAdams, E. Sifakis, J. Teran, "A parallel multigrid Poisson solver for fluids simulation on large grids",
    SCA 2010.
    """

    name: ClassVar[str] = "multigrid"

    def __init__(self, problem: Poisson, parameters: MultigridParameters | None = None, threads: int = 1) -> None:
        self.parameters = parameters or textbook()
        self.parameters.check(problem.ndim)
        self._threads = threads
        faces, self._unit = relative_faces(problem)
        self._levels, coarsest = build(faces, problem.spacing, self.parameters, threads)
        self._inverse = inverse_of(dense([w.astype(np.float64) for w in coarsest])).astype(np.float32)
        shape = [n - (k == 0) for k, n in enumerate(coarsest[0].shape)]
        self._coarsest_b = np.zeros([n + 2 for n in shape], np.float32)
        self._coarsest_x = np.zeros_like(self._coarsest_b)
        self._b = np.zeros([n + 2 for n in problem.shape], np.float32)

    def __call__(self, r: NDArray[Any]) -> NDArray[np.float32]:
        """Return M r, as a view of memory that the next call overwrites."""
        flat = r.ravel()
        size = float(np.sqrt(sum(slabs.run(vectors.dot, self._parts(flat), flat, flat))))
        if size == 0.0:
            return np.zeros(r.shape, np.float32)
        self._copy(1.0 / size, r, self._b)  # single precision would lose tiny residuals
        x = self._cycle(0, None, self._b)
        self._copy(size / self._unit, x, x)
        return x

    def _copy(self, scale: float, source: NDArray[Any], target: NDArray[Any]) -> None:
        slabs.run(vectors.scaled_copy, self._parts(source), scale, source.ravel(), target.ravel())

    def _parts(self, field: NDArray[Any]) -> list[tuple[int, int]]:
        return slabs.bounds(field.size, self._threads)

    def _cycle(self, number: int, x: NDArray[np.float32] | None, b: NDArray[np.float32]) -> NDArray[np.float32]:
        """Improve x, zero if None, on one grid; the result lies in that level's memory."""
        if number == len(self._levels):
            return self._solve_coarsest(b)
        level, last = self._levels[number], number + 1 == len(self._levels)
        coarse_b = self._coarsest_b if last else self._levels[number + 1].b
        x = numba_grid.descend(level, x, b, coarse_b)
        coarse_x = self._cycle(number + 1, None, coarse_b)
        for _ in range(0 if last else self.parameters.gamma - 1):
            coarse_x = self._cycle(number + 1, coarse_x, coarse_b)
        return numba_grid.ascend(level, coarse_x, x, b)

    def _solve_coarsest(self, b: NDArray[np.float32]) -> NDArray[np.float32]:
        inner = numba_grid.unpad(b)
        numba_grid.unpad(self._coarsest_x)[...] = (self._inverse @ inner.ravel()).reshape(inner.shape)
        return self._coarsest_x


def build(
    faces: Sequence[Floats], spacing: Sequence[float], parameters: MultigridParameters, threads: int
) -> tuple[list[Level], Sequence[Floats]]:
    """Pool from the finest grid, whose faces have a rim, to the coarsest.

    Returns
    -------
    levels : list of Level
        All grids but the coarsest.
    coarsest : sequence of ndarray
        Its faces, without a rim.
    """
    levels, shape = [], [n - 2 for n in faces[0].shape]
    for number, halved in enumerate(coarsening(shape, spacing)):
        values = parameters.level(number)
        levels.append(numba_grid.make_level(faces, halved, values.omega, threads))
        coarse = coarsen(without_rim(faces), halved, overcorrection_of(values))
        faces = [pad_faces(w, k) for k, w in enumerate(coarse)]
    return levels, without_rim(faces)


def overcorrection_of(values: Values) -> Overcorrection:
    """Take the parameters that make the next grid."""
    return Overcorrection(values.kappa, values.bound, values.dirichlet)


def relative_faces(problem: Poisson) -> tuple[tuple[Floats, ...], float]:
    """Return padded conductances relative to about the largest, in single precision, and what they are relative to."""
    pairs = list(zip(problem.padded, problem.scales, strict=True))
    unit = max(problem.scales) if problem.uniform else max(s * float(w.max()) for w, s in pairs)
    relative = (w if s == unit else w * np.float32(s / unit) for w, s in pairs)
    return tuple(w.astype(np.float32, copy=False) for w in relative), unit


def inverse_of(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Pseudo-inverse of a symmetric positive semi-definite matrix; zero where its diagonal is."""
    active = np.flatnonzero(matrix.diagonal() > 0)
    inverse = np.zeros_like(matrix)
    inner = matrix[np.ix_(active, active)]
    inverse[np.ix_(active, active)] = _regular_inverse(inner) if _is_regular(inner) else _pseudo_inverse(inner)
    return inverse


def _is_regular(matrix: NDArray[np.float64]) -> bool:
    """Whether every closed region has lost something to a Dirichlet side: M-matrices with a surplus in some row."""
    count, labels = connected_components(matrix != 0, directed=False)
    surplus = np.bincount(labels, matrix.sum(axis=1), minlength=count)
    return bool((surplus > NULL_SPACE * matrix.diagonal().max()).all())


def _regular_inverse(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    inverse = np.linalg.inv(matrix)
    return np.asarray(0.5 * (inverse + inverse.T))


def _pseudo_inverse(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    values, modes = np.linalg.eigh(matrix)
    kept = values > NULL_SPACE * values[-1]
    return np.asarray((modes[:, kept] / values[kept]) @ modes[:, kept].T)
