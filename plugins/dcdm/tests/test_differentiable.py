"""Gradients through a solve."""

import numpy as np
import pytest
import torch
from dcdm_cases import obstacles, relative
from fieldloom_dcdm import poisson, solve, solve_torch
from fieldloom_dcdm.directions.torch_multigrid import faces_of
from fieldloom_dcdm.errors import InvalidProblem, NotConverged
from fieldloom_dcdm.krylov.base import Tolerance
from fieldloom_dcdm.krylov.pcg import pcg
from fieldloom_dcdm.result import Status
from fieldloom_dcdm.systems import white_rhs
from fieldloom_dcdm.torch_operator import TorchOperator, solve_on_device

TIGHT = 1e-13
"""Relative residual of solves whose gradients are compared with differences."""


def small(boundary=(("neumann", "dirichlet"), "dirichlet")):
    return obstacles((7, 6), list(boundary) if not isinstance(boundary, str) else boundary, kind="discs", spacing=0.3)


def coefficients(problem, seed=0):
    torch.manual_seed(seed)
    return [torch.rand(w.shape, dtype=torch.float64).add(0.5).requires_grad_() for w in problem.faces]


def test_forward_is_solve():
    problem = obstacles((20, 18))
    b = white_rhs(np.random.default_rng(0), problem)
    x = solve_torch(problem, torch.from_numpy(b))
    assert relative(x.numpy(), solve(problem, b, rtol=1e-10).x) < 1e-8
    assert solve_torch(problem, torch.from_numpy(b).float()).dtype == torch.float32


def test_gradients_for_b_and_for_the_coefficient():
    problem = small()
    b = torch.randn(2, *problem.shape, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda b, *c: solve_torch(problem, b, c, rtol=TIGHT), (b, *coefficients(problem)), atol=1e-6
    )


def test_second_derivatives():
    problem = small()
    b = torch.randn(problem.shape, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(
        lambda b, *c: solve_torch(problem, b, c, rtol=TIGHT), (b, *coefficients(problem)), atol=1e-5
    )


def test_gradient_of_a_closed_box_is_projected():
    problem = small("neumann")
    b = torch.randn(problem.shape, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda b: solve_torch(problem, b, rtol=TIGHT), (b,), atol=1e-6)


def test_tiny_cotangents_survive():
    problem = small()
    b = torch.randn(problem.shape, dtype=torch.float64, requires_grad=True)
    (large,) = torch.autograd.grad(solve_torch(problem, b).sum(), b)
    (tiny,) = torch.autograd.grad(1e-200 * solve_torch(problem, b).sum(), b)
    assert relative(tiny.numpy() * 1e200, large.numpy()) < 1e-8
    (zero,) = torch.autograd.grad(0.0 * solve_torch(problem, b).sum(), b)
    assert not zero.any()


def test_not_converging_backwards_raises():
    """The forward solve is of zero and needs no iteration; the backward one cannot reach 1e-14."""
    problem = poisson(np.ones((128, 128), bool))
    b = torch.zeros(problem.shape, dtype=torch.float64, requires_grad=True)
    x = solve_torch(problem, b, rtol=1e-14)
    with pytest.raises(NotConverged, match="round-off"):
        x.sum().backward()


def test_a_wrong_shape_is_refused():
    with pytest.raises(InvalidProblem, match="b should have shape"):
        solve_torch(small(), torch.zeros(6, 7))


@pytest.mark.parametrize("boundary", ["dirichlet", "neumann"])
def test_the_path_for_gpus_gives_the_same_solution(boundary):
    problem = obstacles((16, 12, 10), boundary, kind="discs")
    b = white_rhs(np.random.default_rng(0), problem)
    x, outcome = solve_on_device(problem, torch.from_numpy(b), 1e-9)
    ours = solve(problem, b, rtol=1e-9).check()
    assert outcome.status is Status.CONVERGED
    assert relative(x.numpy(), ours.x) < 1e-6
    assert abs(len(outcome.norms) - 1 - ours.iterations) <= 1


def test_torch_operator_reports_what_pcg_asks_for():
    problem = obstacles((9, 8))
    A = TorchOperator(faces_of(problem.conductances(), torch.float64))
    from fieldloom_dcdm.directions.identity import Identity

    b = torch.from_numpy(white_rhs(np.random.default_rng(0), problem))[None]
    x, r = A.zeros(), b.clone()
    outcome = pcg(A, Identity(), x, r, Tolerance(1e-8 * float(b.norm()), 500))
    assert outcome.status is Status.CONVERGED
    assert relative(problem.apply(x[0].numpy()), b[0].numpy()) < 1e-6
