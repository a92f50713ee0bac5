"""Preconditioned conjugate gradients."""

from __future__ import annotations

from math import sqrt
from typing import Any

from ..directions.base import DirectionModel
from ..operators import Operator
from ..result import Status
from .base import Callback, Outcome, Tolerance


def pcg(
    A: Operator,
    M: DirectionModel,
    x: Any,
    r: Any,
    tolerance: Tolerance,
    callback: Callback | None = None,
) -> Outcome:
    """Solve A x = b for symmetric positive definite A and M.

    Parameters
    ----------
    A : Operator
    M : DirectionModel
        Linear, symmetric and positive definite.
    x : vector
        Where to start; updated in place.
    r : vector
        b - A x; updated in place.
    tolerance : Tolerance
    callback : callable, optional
        Called with x after each iteration.

    References
    ----------
    Y. Saad, *Iterative Methods for Sparse Linear Systems*, 2003, algorithm 9.1; line numbers are its.
    """
    p, q = A.zeros(), A.zeros()
    norms = [sqrt(A.dot(r, r))]
    rz = 0.0
    while norms[-1] > tolerance.residual:
        if len(norms) > tolerance.maxiter:
            return Outcome(Status.MAXITER, norms)
        A.project(r)  # round-off would grow in the null space
        z = M(r)  # 1, 5
        rz_old, rz = rz, A.dot(r, z)
        if not rz > 0.0:
            return Outcome(Status.BAD_PRECONDITIONER, norms, f"r.Mr = {rz:.3g} in iteration {len(norms)}")
        A.combine(1.0, z, rz / rz_old if rz_old else 0.0, p)  # 6, 7
        curvature = A.apply(p, q)
        if not curvature > 0.0:
            return Outcome(Status.INDEFINITE, norms, f"p.Ap = {curvature:.3g} in iteration {len(norms)}")
        norms.append(sqrt(A.step(rz / curvature, p, q, x, r)))  # 2, 3, 4
        if callback is not None:
            callback(x)
    return Outcome(Status.CONVERGED, norms)
