"""Solve a system: the one function that most users need."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias, cast

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray
from scipy.sparse.linalg import LinearOperator

from . import directions
from .components import find_components
from .directions.base import DirectionModel
from .errors import InvalidProblem
from .kernels.numba_grid import pad, unpad
from .krylov import Outcome, Tolerance, conjugate_directions, pcg
from .operators import GridOperator, MatrixOperator, Operator
from .problem import Poisson, poisson
from .result import SolveResult, Status, Timings

RTOL_FLOOR = 1e-14
"""Relative residuals below this drown in the round-off of double precision."""
RESTARTS = 3
"""How often the iteration starts anew where the true residual lags behind the updated one."""

Matrix: TypeAlias = sp.sparray | sp.spmatrix
PreconditionerLike: TypeAlias = str | DirectionModel | LinearOperator | None


@dataclass(frozen=True, slots=True, eq=False)
class System:
    """A matrix and a direction model, set up once for many right-hand sides; make it by :func:`set_up`."""

    operator: Operator
    model: DirectionModel
    shape: tuple[int, ...]
    problem: Poisson | None
    message: str
    setup: float
    setup_cpu: float


def solve(
    A: Poisson | Matrix | ArrayLike,
    b: ArrayLike,
    x0: ArrayLike | None = None,
    rtol: float = 1e-5,
    atol: float = 0.0,
    maxiter: int | None = None,
    M: PreconditionerLike = "learned-multigrid",
    callback: Callable[[NDArray[np.float64]], None] | None = None,
    *,
    history: int = 2,
    project: bool = False,
    threads: int = 1,
) -> SolveResult:
    """Solve A x = b for a symmetric positive (semi-)definite A, until ||b - A x|| <= max(rtol ||b||, atol).

    Parameters
    ----------
    A : Poisson, array of bool, or sparse array
        A grid problem; or its mask of fluid cells, with unit spacing and x = 0 on all sides of the box; or any
        sparse SPD matrix, for which PyAMG serves as preconditioner unless ``M`` says otherwise.
    b : array_like, shape (..., *grid) or (..., n)
        One right-hand side or a batch; what it holds in solid cells is ignored.
    x0 : array_like, optional
        Where to start, of the shape of b.
    rtol, atol : float
        Tolerances as in :func:`scipy.sparse.linalg.cg`.
    maxiter : int, optional
        10 times the number of unknowns if not given.
    M : str, DirectionModel, LinearOperator or None
        "learned-multigrid", "multigrid", "dst", "amg", "identity" (None), or a model made by the caller.
    callback : callable, optional
        Called with x after each iteration.
    history : int
        For models that are not linear, symmetric and positive definite: how many previous directions a new one is
        made A-orthogonal to.
    project : bool
        Subtract from b what no x can give, instead of raising :class:`IncompatibleRhs`.
    threads : int

    Returns
    -------
    SolveResult
        Not converging is no error here: see ``status``, ``advice`` and ``check()``.

    Raises
    ------
    InvalidProblem
        If b is not finite or of another shape, the matrix is not symmetric, or rtol out of reach.
    IncompatibleRhs
        If a region that touches no Dirichlet side has a right-hand side that does not add up to zero.
    """
    system = set_up(A, M, threads)
    return solve_system(system, b, x0, rtol, atol, maxiter, callback, history=history, project=project)


def set_up(A: Poisson | Matrix | ArrayLike, M: PreconditionerLike = "learned-multigrid", threads: int = 1) -> System:
    """Set up a system for :func:`solve_system`; see :func:`solve`."""
    wall, cpu = time.perf_counter(), time.process_time()
    make = _matrix_system if sp.issparse(A) else _grid_system
    system = make(A, M, threads)
    return replace(system, setup=time.perf_counter() - wall, setup_cpu=time.process_time() - cpu)


def _grid_system(A: Any, M: PreconditionerLike, threads: int) -> System:
    problem = A if isinstance(A, Poisson) else poisson(A)
    operator = GridOperator(problem, threads, find_components(problem))
    model = _model(M, problem, threads)
    return System(operator, model, problem.shape, problem, f"{model.name} on a grid of {problem.shape}", 0.0, 0.0)


def _model(M: PreconditionerLike, problem: Poisson, threads: int) -> DirectionModel:
    if isinstance(M, DirectionModel):
        return M
    if isinstance(M, LinearOperator):
        from .directions.wrapped import Wrapped

        return Wrapped(M, problem)
    return directions.make(M or "identity", problem, threads)


def _matrix_system(A: Any, M: PreconditionerLike, threads: int) -> System:
    from .directions.amg import Amg
    from .directions.identity import Identity
    from .directions.wrapped import Wrapped

    matrix = _checked_matrix(A)
    message = "a plain matrix"
    model: DirectionModel
    if isinstance(M, DirectionModel):
        model = M
    elif isinstance(M, LinearOperator):
        model = Wrapped(M)
    elif M in (None, "identity"):
        model = Identity()
    else:
        model = Amg(matrix)
        message = f"a plain matrix has no grid for {M!r}: PyAMG's smoothed aggregation is the preconditioner"
    return System(MatrixOperator(matrix), model, (matrix.shape[0],), None, message, 0.0, 0.0)


def _checked_matrix(A: Any) -> sp.csr_array:
    matrix = sp.csr_array(A, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise InvalidProblem(f"the matrix should be square, and has shape {matrix.shape}")
    if not np.isfinite(matrix.data).all():
        raise InvalidProblem("the matrix has entries that are not finite")
    asymmetry = abs(matrix - matrix.T).max()
    if asymmetry > 1e-10 * abs(matrix).max():
        raise InvalidProblem(f"the matrix is not symmetric: |A - A'| reaches {asymmetry:.3g}; use gmres or bicgstab")
    least = matrix.diagonal().min()
    if least <= 0.0:
        row = int(matrix.diagonal().argmin())
        raise InvalidProblem(f"the matrix is not positive definite: its diagonal is {least:.3g} in row {row}")
    return matrix


def solve_system(
    system: System,
    b: ArrayLike,
    x0: ArrayLike | None = None,
    rtol: float = 1e-5,
    atol: float = 0.0,
    maxiter: int | None = None,
    callback: Callable[[NDArray[np.float64]], None] | None = None,
    *,
    history: int = 2,
    project: bool = False,
) -> SolveResult:
    """Solve with a system that is set up; see :func:`solve`."""
    rhs = _checked_rhs(b, system, "b")
    start = np.zeros_like(rhs) if x0 is None else _checked_rhs(x0, system, "x0")
    if start.shape != rhs.shape:
        raise InvalidProblem(f"x0 should have the shape of b, {rhs.shape}, and has {start.shape}")
    _check_tolerance(rtol, atol)
    limit = maxiter if maxiter is not None else 10 * int(np.prod(system.shape))
    options = _Options(rtol, atol, limit, callback, history, project)
    wall, cpu = time.perf_counter(), time.process_time()
    flat = (values.reshape(-1, *system.shape) for values in (rhs, start))
    solves = [_solve_one(system, one, x, options) for one, x in zip(*flat, strict=True)]
    timings = Timings(system.setup, time.perf_counter() - wall, system.setup_cpu, time.process_time() - cpu)
    return _collect(system, solves, rhs.shape, timings)


@dataclass(frozen=True, slots=True)
class _Options:
    rtol: float
    atol: float
    maxiter: int
    callback: Callable[[NDArray[np.float64]], None] | None
    history: int
    project: bool


def _checked_rhs(b: ArrayLike, system: System, name: str) -> NDArray[np.float64]:
    values = np.asarray(b, np.float64)
    if values.shape[values.ndim - len(system.shape) :] != system.shape:
        raise InvalidProblem(
            f"{name} should have shape {system.shape}, or that after batch axes; it has {values.shape}"
        )
    if system.problem is not None:
        values = np.where(system.problem.mask, values, 0.0)
    if not np.isfinite(values).all():
        raise InvalidProblem(f"{name} has {int((~np.isfinite(values)).sum())} values that are NaN or infinite")
    return values


def _check_tolerance(rtol: float, atol: float) -> None:
    if not (rtol >= 0.0 and atol >= 0.0):
        raise InvalidProblem(f"tolerances should not be negative: rtol {rtol:g}, atol {atol:g}")
    if rtol < RTOL_FLOOR and atol == 0.0:
        raise InvalidProblem(f"rtol {rtol:g} is below what double precision can reach; take at least {RTOL_FLOOR:g}")


@dataclass(frozen=True, slots=True, eq=False)
class _Solve:
    x: NDArray[np.float64]
    status: Status
    norms: NDArray[np.float64]
    relative_residual: float
    notes: str


def _solve_one(system: System, b: NDArray[np.float64], x0: NDArray[np.float64], options: _Options) -> _Solve:
    size = float(np.linalg.norm(b))
    tolerance = Tolerance(max(options.rtol * size, options.atol), options.maxiter)
    rhs, x = _inside(system, b), _inside(system, x0)
    if isinstance(system.operator, GridOperator) and not options.project:
        system.operator.components.check(rhs, tolerance.residual)
    system.operator.project(rhs)
    outcome, residual = _iterate(system, rhs, x, tolerance, options)
    system.operator.project(x)
    norms = np.array(outcome.norms) / (size or 1.0)
    return _Solve(_outside(system, x).copy(), outcome.status, norms, residual / (size or 1.0), outcome.notes)


def _iterate(system: System, b: Any, x: Any, tolerance: Tolerance, options: _Options) -> tuple[Outcome, float]:
    """Iterate, and again from the true residual where round-off has parted it from the updated one."""
    norms: list[float] = []
    for _ in range(RESTARTS):
        r = _residual(system.operator, b, x)
        left = replace(tolerance, maxiter=tolerance.maxiter - max(len(norms) - 1, 0))
        outcome = _outer(system, x, r, left, options)
        norms += outcome.norms if not norms else outcome.norms[1:]
        r = _residual(system.operator, b, x)
        residual = float(np.sqrt(system.operator.dot(r, r)))
        if outcome.status is not Status.CONVERGED or residual <= tolerance.residual:
            return replace(outcome, norms=norms), residual
    return Outcome(Status.STAGNATED, norms, outcome.notes), residual


def _outer(system: System, x: Any, r: Any, tolerance: Tolerance, options: _Options) -> Outcome:
    callback = options.callback
    seen = None if callback is None else lambda inner: callback(_outside(system, inner))
    if system.model.is_preconditioner:
        return pcg(system.operator, system.model, x, r, tolerance, seen)
    return conjugate_directions(system.operator, system.model, x, r, tolerance, seen, options.history)


def _residual(operator: Operator, b: Any, x: Any) -> Any:
    r = operator.zeros()
    operator.apply(x, r)
    operator.combine(1.0, b, -1.0, r)
    operator.project(r)
    return r


def _inside(system: System, field: NDArray[np.float64]) -> Any:
    return field.copy() if system.problem is None else pad(field, np.float64)


def _outside(system: System, x: Any) -> NDArray[np.float64]:
    return cast("NDArray[np.float64]", x if system.problem is None else unpad(x) * system.problem.mask)


def _collect(system: System, solves: list[_Solve], shape: tuple[int, ...], timings: Timings) -> SolveResult:
    order = list(Status)
    worst = max(solves, key=lambda s: order.index(s.status))
    return SolveResult(
        np.stack([s.x for s in solves]).reshape(shape),
        worst.status,
        max(len(s.norms) - 1 for s in solves),
        tuple(s.norms for s in solves),
        max(s.relative_residual for s in solves),
        timings,
        "; ".join(filter(None, [system.message, *dict.fromkeys(s.notes for s in solves)])),
    )
