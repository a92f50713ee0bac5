"""Make a velocity field divergence-free around solids: the pressure projection of incompressible flow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from . import stencil
from .problem import Floats, Poisson
from .result import SolveResult
from .solving import PreconditionerLike, System, set_up, solve_system

ROUND_OFF = 1e-14
"""A divergence that is smaller than this part of ||velocity / spacing|| is round-off and is left."""


@dataclass(frozen=True, slots=True, eq=False)
class Projected:
    """A projected velocity.

    Parameters
    ----------
    velocity : tuple of ndarray
        ``velocity[k]`` on the faces along axis k, (.., n_k + 1, ..).
    pressure : ndarray
        Of the cells: time step times pressure over density, length^2 / time.
    result : SolveResult
    """

    velocity: tuple[NDArray[np.float64], ...]
    pressure: NDArray[np.float64]
    result: SolveResult


def divergence(problem: Poisson, velocity: Sequence[Floats]) -> NDArray[np.float64]:
    """Divergence in the fluid cells of a velocity on the faces (MAC grid), zero in solid cells."""
    total = np.zeros(problem.shape)
    for axis, (u, h) in enumerate(zip(velocity, problem.spacing, strict=True)):
        total += stencil.divergence(np.asarray(u, np.float64), axis - problem.ndim) / h
    return total * problem.mask


def project(
    problem: Poisson,
    velocity: Sequence[Floats],
    M: PreconditionerLike = "learned-multigrid",
    *,
    rtol: float = 1e-6,
    pressure: Floats | None = None,
    system: System | None = None,
    threads: int = 1,
) -> Projected:
    """Subtract the gradient of the pressure that makes the velocity divergence-free.

    Velocities on closed faces (walls of solids, Neumann sides) are boundary values and stay as they are: zero for
    solids at rest, the solid's velocity for moving ones.

    Parameters
    ----------
    problem : Poisson
        Mask, spacing, boundary ("dirichlet" sides are open, with pressure zero), coefficient 1 / density.
    velocity : sequence of ndarray
        On the faces along each axis.
    M : str or DirectionModel
    rtol : float
        The divergence that is left, relative to that which was there (2-norm).
    pressure : ndarray, optional
        Where to start, such as the last step's.
    system : System, optional
        What :func:`.set_up` made of ``problem``, if it does not change from step to step.
    threads : int

    References
    ----------
    A. Chorin, "Numerical solution of the Navier-Stokes equations", Math. Comp. 22, 1968.
    """
    b = -divergence(problem, velocity)
    atol = ROUND_OFF * float(np.sqrt(sum((u**2).sum() / h**2 for u, h in zip(velocity, problem.spacing, strict=True))))
    result = solve_system(system or set_up(problem, M, threads), b, pressure, rtol, atol)
    corrected = tuple(
        u - w * stencil.differences(result.x, axis - problem.ndim) / h
        for axis, (u, w, h) in enumerate(zip(velocity, problem.faces, problem.spacing, strict=True))
    )
    return Projected(corrected, result.x, result)
