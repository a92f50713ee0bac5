"""What a solve returns."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from .errors import NotConverged


class Status(Enum):
    """How a solve ended; the value says what to try."""

    CONVERGED = "the residual is below the tolerance"
    MAXITER = "the residual is above the tolerance after maxiter iterations: raise maxiter, or take a better M"
    STAGNATED = (
        "round-off keeps the true residual above the tolerance: this is all that double precision gives, raise rtol"
    )
    INDEFINITE = "A is not positive definite: p.Ap <= 0; conjugate gradients need a symmetric positive definite matrix"
    BAD_PRECONDITIONER = (
        "M is not positive definite: r.Mr <= 0; take another M (PyAMG's is not where regions are closed)"
    )


@dataclass(frozen=True, slots=True, eq=False)
class Timings:
    """Wall-clock and CPU seconds of set-up and iteration."""

    setup: float
    solve: float
    setup_cpu: float
    solve_cpu: float


@dataclass(frozen=True, slots=True, eq=False)
class SolveResult:
    """The solution and how it was found.

    Parameters
    ----------
    x : ndarray
        Shape of b; zero in solid cells, zero mean on singular components.
    status : Status
        The worst over a batch.
    iterations : int
        The most over a batch.
    residuals : tuple of ndarray
        For each right-hand side, ||r|| / ||b|| as the iteration saw it, from the start on.
    relative_residual : float
        ||b - A x|| / ||b|| computed anew in double precision; the largest over a batch.
    timings : Timings
    message : str
        What was used, and what was noticed on the way.
    """

    x: NDArray[np.float64]
    status: Status
    iterations: int
    residuals: tuple[NDArray[np.float64], ...]
    relative_residual: float
    timings: Timings
    message: str = ""

    @property
    def converged(self) -> bool:
        return self.status is Status.CONVERGED

    @property
    def advice(self) -> str:
        """What happened and what to try."""
        return f"{self.status.value} ({self.iterations} iterations, relative residual {self.relative_residual:.2e})"

    def check(self) -> SolveResult:
        """Return itself.

        Raises
        ------
        NotConverged
            If the tolerance was not reached.
        """
        if not self.converged:
            raise NotConverged(self.advice)
        return self
