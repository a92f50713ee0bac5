"""Solve inside a differentiable model: gradients by the implicit function theorem, not through the iterations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from . import stencil
from .errors import InvalidProblem, NotConverged
from .problem import Poisson, poisson
from .result import Status
from .solving import System, set_up, solve_system


def solve_torch(
    problem: Poisson,
    b: Tensor,
    coefficient: Sequence[Tensor] | None = None,
    *,
    rtol: float = 1e-10,
    M: str = "learned-multigrid",
    threads: int = 1,
) -> Tensor:
    """Solve A(c) x = b; differentiable with respect to b (twice and more) and to c.

    The gradient of a loss L is a solve with the same symmetric matrix and the same preconditioner: with
    lambda = A^-1 dL/dx, dL/db = lambda and dL/dw_f = -(lambda_i - lambda_j) (x_i - x_j) for the conductance w of the
    face f between cells i and j. Cotangents are scaled to size 1 before they are solved for, so that tiny ones
    neither fall below a tolerance nor lose digits.

    Parameters
    ----------
    problem : Poisson
        Mask, spacing and boundary; its coefficient where ``coefficient`` is None.
    b : Tensor, shape (..., *grid)
        On CPU or GPU. Double precision if you check gradients.
    coefficient : sequence of Tensor, optional
        c on the faces along each axis, with n_k + 1 entries along axis k.
    rtol : float
        Relative residual of forward and backward solves.
    M : str
        Name of the preconditioner; tensors on a GPU take the learned multigrid.
    threads : int

    Returns
    -------
    Tensor
        x, of the shape of b.

    Raises
    ------
    NotConverged
        Forwards or backwards.
    InvalidProblem
        If a shape does not fit.

    References
    ----------
    M. Blondel et al., "Efficient and Modular Implicit Differentiation", NeurIPS 2022, section 2.
    """
    if b.shape[b.ndim - problem.ndim :] != problem.shape:
        raise InvalidProblem(f"b should have shape {problem.shape}, or that after batch axes; it has {tuple(b.shape)}")
    if coefficient is None:
        system = _Prepared(problem, rtol, M, threads)
        return cast(Tensor, _Solve.apply(system, b))
    values = tuple(c.detach().cpu().double().numpy() for c in coefficient)
    sides = poisson(problem.mask, problem.spacing, problem.boundary, values)
    geometry = poisson(problem.mask, problem.spacing, problem.boundary).conductances()
    return cast(Tensor, _Solve.apply(_Prepared(sides, rtol, M, threads, geometry), b, *coefficient))


class _Prepared:
    """A system that is set up at most once, for the forward and all backward solves."""

    def __init__(
        self,
        problem: Poisson,
        rtol: float,
        M: str,
        threads: int,
        geometry: Sequence[Any] = (),
    ) -> None:
        self.problem, self.geometry = problem, geometry
        self._rtol, self._M, self._threads = rtol, M, threads
        self._system: System | None = None

    def solve(self, b: Tensor) -> Tensor:
        """Solve for each right-hand side, scaled so that its largest entry is 1."""
        flat = b.detach().reshape(-1, *self.problem.shape)
        axes = tuple(range(1, flat.ndim))
        size = flat.double().abs().amax(axes, keepdim=True)
        units = flat.double() / torch.where(size > 0, size, 1.0)
        solved = self._on_gpu(units) if b.is_cuda else self._on_cpu(units)
        return (solved * size).to(b.dtype).reshape(b.shape)

    def _on_cpu(self, b: Tensor) -> Tensor:
        if self._system is None:
            self._system = set_up(self.problem, self._M, self._threads)
        return torch.from_numpy(solve_system(self._system, b.numpy(), rtol=self._rtol, project=True).check().x)

    def _on_gpu(self, b: Tensor) -> Tensor:
        from .torch_operator import solve_on_device

        found = []
        for one in b:
            x, outcome = solve_on_device(self.problem, one, self._rtol)
            if outcome.status is not Status.CONVERGED:
                raise NotConverged(outcome.status.value)
            found.append(x)
        return torch.stack(found)


class _Solve(torch.autograd.Function):
    """x = A(c)^-1 b. Its backward pass is made of differentiable operations, among them itself."""

    @staticmethod
    def forward(ctx: Any, prepared: _Prepared, b: Tensor, *coefficient: Tensor) -> Tensor:
        x = prepared.solve(b)
        ctx.prepared = prepared
        ctx.save_for_backward(x, *coefficient)
        return x

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        x, *coefficient = ctx.saved_tensors
        adjoint = _Solve.apply(ctx.prepared, gradients[0], *coefficient)
        return None, adjoint, *_coefficient_gradients(ctx.prepared, adjoint, x, coefficient)


def _coefficient_gradients(
    prepared: _Prepared, adjoint: Tensor, x: Tensor, coefficient: Sequence[Tensor]
) -> list[Tensor]:
    """-(lambda_i - lambda_j) (x_i - x_j) times the geometry of each face, summed over the batch."""
    found = []
    for k, c in enumerate(coefficient):
        axis = k - len(coefficient)
        jumps = stencil.differences(adjoint, axis, torch) * stencil.differences(x, axis, torch)
        geometry = torch.from_numpy(np.ascontiguousarray(prepared.geometry[k])).to(c)
        found.append(-geometry * jumps.reshape(-1, *c.shape).sum(0).to(c))
    return found
