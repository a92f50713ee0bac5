"""Direction models as SciPy operators, for :func:`scipy.sparse.linalg.cg` and its like."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator

from . import assembly, directions
from .directions.base import DirectionModel
from .errors import InvalidProblem
from .kernels.numba_grid import pad, unpad
from .problem import Poisson


class Preconditioner(LinearOperator):
    """M over the fluid cells in C order, matching :func:`.assembly.csr`.

    Parameters
    ----------
    problem : Poisson
    M : str or DirectionModel
        A linear and symmetric one.
    threads : int

    Raises
    ------
    InvalidProblem
        If the model is not linear and symmetric: SciPy's methods would go astray silently.
    """

    def __init__(self, problem: Poisson, M: str | DirectionModel = "learned-multigrid", threads: int = 1) -> None:
        self._problem = problem
        self._model = directions.make(M, problem, threads) if isinstance(M, str) else M
        if not self._model.is_preconditioner:
            raise InvalidProblem(f"{self._model.name!r} is not linear and symmetric; use fieldloom_dcdm.solve")
        size = int(problem.mask.sum())
        super().__init__(np.dtype(np.float64), (size, size))

    def _matvec(self, r: NDArray[Any]) -> NDArray[np.float64]:
        field = pad(assembly.scatter(self._problem, np.ravel(r)), np.float64)
        return assembly.gather(self._problem, unpad(self._model(field)))

    def _matmat(self, R: NDArray[Any]) -> NDArray[np.float64]:
        return np.stack([self._matvec(column) for column in R.T], axis=1)

    def _adjoint(self) -> Preconditioner:
        return self
