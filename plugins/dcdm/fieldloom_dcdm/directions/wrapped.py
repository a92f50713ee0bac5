"""A preconditioner that the caller brings."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator

from ..kernels.numba_grid import unpad
from ..problem import Poisson
from .base import DirectionModel


class Wrapped(DirectionModel):
    """A SciPy LinearOperator on the fluid cells (or on the unknowns of a plain matrix), taken as SPD."""

    name: ClassVar[str] = "wrapped"

    def __init__(self, operator: LinearOperator, problem: Poisson | None = None) -> None:
        self._operator = operator
        self._problem = problem

    def __call__(self, r: NDArray[Any]) -> NDArray[np.float64]:
        if self._problem is None:
            return np.asarray(self._operator.matvec(r))
        out = np.zeros(r.shape)
        unpad(out)[self._problem.mask] = self._operator.matvec(unpad(r)[self._problem.mask])
        return out
