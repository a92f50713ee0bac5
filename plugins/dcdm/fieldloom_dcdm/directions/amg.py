"""Algebraic multigrid by PyAMG, for plain matrices and to compare with."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ..assembly import csr
from ..kernels.numba_grid import unpad
from ..problem import Poisson
from .base import DirectionModel

AmgKind = Literal["smoothed-aggregation", "ruge-stuben"]


class Amg(DirectionModel):
    """One V-cycle of PyAMG with its defaults: symmetric Gauss-Seidel before and after.

    Parameters
    ----------
    matrix : sparse array
        Symmetric positive definite.
    kind : {"smoothed-aggregation", "ruge-stuben"}

    References
    ----------
    N. Bell, L. Olson, J. Schroder, "PyAMG: Algebraic Multigrid Solvers in Python", JOSS 2022.
    """

    name: ClassVar[str] = "amg"

    def __init__(self, matrix: sp.sparray, kind: AmgKind = "smoothed-aggregation") -> None:
        import pyamg

        make = pyamg.smoothed_aggregation_solver if kind == "smoothed-aggregation" else pyamg.ruge_stuben_solver
        self._cycle = make(sp.csr_matrix(matrix)).aspreconditioner(cycle="V")

    def __call__(self, r: NDArray[Any]) -> NDArray[np.float64]:
        return np.asarray(self._cycle @ r)


class GridAmg(DirectionModel):
    """:class:`Amg` of the assembled matrix of a grid, which is assembled here unless it is given."""

    name: ClassVar[str] = "amg"

    def __init__(
        self, problem: Poisson, kind: AmgKind = "smoothed-aggregation", matrix: sp.sparray | None = None
    ) -> None:
        self._mask = problem.mask
        self._amg = Amg(csr(problem) if matrix is None else matrix, kind)
        self._out = np.zeros([n + 2 for n in problem.shape])

    def __call__(self, r: NDArray[Any]) -> NDArray[np.float64]:
        unpad(self._out)[self._mask] = self._amg(unpad(r)[self._mask])
        return self._out
