"""solve: right answers by every model, and a clear word where there is none."""

import numpy as np
import pytest
import scipy.sparse as sp
import scipy.sparse.linalg as sla
from dcdm_cases import BOUNDARIES_2D, jumps, obstacles, relative
from fieldloom_dcdm import Preconditioner, Status, poisson, set_up, solve, solve_system
from fieldloom_dcdm.assembly import csr, gather
from fieldloom_dcdm.directions import NAMES
from fieldloom_dcdm.directions.base import DirectionModel
from fieldloom_dcdm.errors import InvalidProblem, NotConverged
from fieldloom_dcdm.kernels.numba_grid import pad
from fieldloom_dcdm.systems import white_rhs


def system(shape=(30, 22), boundary="dirichlet", **kwargs):
    problem = obstacles(shape, boundary, kind="discs", **kwargs)
    return problem, white_rhs(np.random.default_rng(1), problem)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("boundary", [BOUNDARIES_2D[0], *BOUNDARIES_2D[2:]])
def test_every_model_gives_the_direct_solution(name, boundary):
    problem, b = system(boundary=boundary, spacing=(0.1, 0.2))
    result = solve(problem, b, rtol=1e-10, M=name).check()
    exact = sla.spsolve(csr(problem).tocsc(), gather(problem, b))
    assert relative(gather(problem, result.x), exact) < 1e-8
    assert not result.x[~problem.mask].any()
    assert name in result.message


@pytest.mark.parametrize("name", NAMES)
def test_three_dimensions_and_jumps(name):
    problem = jumps((9, 12, 10))
    b = white_rhs(np.random.default_rng(1), problem)
    result = solve(problem, b, rtol=1e-9, M=name).check()
    exact = sla.spsolve(csr(problem).tocsc(), gather(problem, b))
    assert relative(gather(problem, result.x), exact) < 1e-6


@pytest.mark.parametrize("boundary", BOUNDARIES_2D)
@pytest.mark.parametrize("shape", [(16, 12), (9, 7, 8)])
def test_the_fast_poisson_solver_is_exact_without_obstacles(boundary, shape):
    boundary = boundary if isinstance(boundary, str) or len(shape) == 2 else [*boundary, "neumann"]
    problem = poisson(np.ones(shape, bool), 0.3, boundary)
    b = white_rhs(np.random.default_rng(0), problem)
    assert solve(problem, b, rtol=1e-10, M="dst", project=True).check().iterations <= 2


def test_history_ends_at_the_tolerance_and_the_true_residual_agrees():
    problem, b = system()
    seen = []
    result = solve(problem, b, rtol=1e-6, callback=seen.append)
    history = result.residuals[0]
    assert history[0] == pytest.approx(1.0)
    assert history[-1] <= 1e-6 < history[-2]
    assert len(history) == result.iterations + 1 == len(seen) + 1
    true = np.linalg.norm((b - problem.apply(result.x))[problem.mask]) / np.linalg.norm(b)
    assert result.relative_residual == pytest.approx(true, rel=1e-3)
    assert result.timings.setup >= 0.0


def test_start_and_absolute_tolerance():
    problem, b = system()
    exact = solve(problem, b, rtol=1e-12).check().x
    assert solve(problem, b, x0=exact).iterations == 0
    assert solve(problem, b, rtol=0.0, atol=1e-3 * np.linalg.norm(b)).iterations <= solve(problem, b).iterations
    np.testing.assert_array_equal(solve(problem, np.zeros(problem.shape)).x, 0.0)


def test_a_batch_is_each_of_its_systems():
    problem, _ = system()
    b = np.stack([white_rhs(np.random.default_rng(i), problem) for i in range(3)]).reshape(3, 1, *problem.shape)
    result = solve(problem, b, rtol=1e-8).check()
    assert result.x.shape == b.shape
    assert len(result.residuals) == 3
    np.testing.assert_array_equal(result.x[1, 0], solve(problem, b[1, 0], rtol=1e-8).x)


def test_threads_change_no_digit_of_the_result_that_matters():
    problem, b = system((48, 40))
    assert relative(solve(problem, b, threads=2).x, solve(problem, b).x) < 1e-10


def test_a_system_is_set_up_once_for_many_right_hand_sides():
    problem, b = system()
    prepared = set_up(problem)
    np.testing.assert_array_equal(solve_system(prepared, b).x, solve(problem, b).x)


def test_scipy_takes_the_preconditioner():
    problem, b = system()
    M = Preconditioner(problem)
    x, info = sla.cg(csr(problem), gather(problem, b), rtol=1e-9, M=M, maxiter=20)
    assert info == 0
    assert relative(gather(problem, solve(problem, b, rtol=1e-9).x), x) < 1e-6
    block = np.random.default_rng(0).standard_normal((M.shape[0], 3))
    np.testing.assert_allclose(M.matmat(block)[:, 2], M @ block[:, 2])
    assert M.T is M or relative(M.T @ block[:, 0], M @ block[:, 0]) == 0.0
    wrapped = solve(problem, b, M=M, rtol=1e-9)
    assert wrapped.iterations == solve(problem, b, rtol=1e-9).iterations


def test_a_plain_matrix_falls_back_to_pyamg_and_says_so():
    matrix = sp.diags_array([-np.ones(199), 2.0 * np.ones(200), -np.ones(199)], offsets=[-1, 0, 1])
    b = np.random.default_rng(0).standard_normal((2, 200))
    result = solve(matrix, b, rtol=1e-10).check()
    assert "PyAMG" in result.message
    assert relative(result.x[1], sla.spsolve(matrix.tocsc(), b[1])) < 1e-7
    assert "PyAMG" not in solve(matrix, b, M=None).message


# -- what goes wrong


def test_not_converging_is_reported_with_advice():
    problem, b = system()
    result = solve(problem, b, M=None, maxiter=3)
    assert result.status is Status.MAXITER
    assert result.iterations == 3
    assert "raise maxiter" in result.advice
    with pytest.raises(NotConverged, match="raise maxiter"):
        result.check()


def test_round_off_is_reported_as_stagnation():
    """eps ||A|| ||x|| / ||b|| is about 1e-12 here."""
    result = solve(np.ones((128, 128), bool), np.ones((128, 128)), rtol=1e-14, maxiter=200)
    assert result.status is Status.STAGNATED
    assert 1e-14 < result.relative_residual < 1e-11
    assert "raise rtol" in result.advice


def test_negative_curvature_is_reported_with_its_iteration():
    matrix = sp.diags_array(np.ones(10)) + 3.0 * sp.diags_array([np.ones(9)] * 2, offsets=[-1, 1])
    result = solve(matrix, np.ones(10) * (-1.0) ** np.arange(10), M=None)
    assert result.status is Status.INDEFINITE
    assert "in iteration 1" in result.message


class Broken(DirectionModel):
    """A model that answers as it is told to."""

    name = "broken"

    def __init__(self, answer, linear):
        self.answer = answer
        self.linear = linear

    def __call__(self, r):
        return self.answer(r)


def test_an_indefinite_preconditioner_is_reported():
    problem, b = system()
    result = solve(problem, b, M=Broken(lambda r: -r, True))
    assert result.status is Status.BAD_PRECONDITIONER


@pytest.mark.parametrize("answer", [lambda r: np.full_like(r, np.nan), np.zeros_like, lambda r: 0 * r + np.inf])
def test_useless_directions_are_replaced_by_the_residual(answer):
    problem, b = system((12, 12))
    result = solve(problem, b, M=Broken(answer, False), rtol=1e-6, history=2).check()
    assert f"replaced by r in {result.iterations} iterations" in result.message
    assert result.iterations == pytest.approx(solve(problem, b, M=None, rtol=1e-6).iterations, abs=2)  # it is CG


def test_nonlinear_directions_converge_with_any_history():
    problem, b = system((20, 20))
    noise = np.random.default_rng(0)
    shaky = Broken(lambda r: r * (1 + 0.3 * np.sign(r) + 0.1 * noise.random(r.shape)), False)
    for history in (1, 2, 10):
        assert solve(problem, b, M=shaky, rtol=1e-6, history=history, maxiter=2000).converged


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"b": np.full((30, 22), np.nan)}, "NaN or infinite"),
        ({"b": np.ones((22, 30))}, "should have shape"),
        ({"x0": np.ones((2, 30, 22))}, "x0 should have the shape of b"),
        ({"rtol": 1e-16}, "below what double precision can reach"),
        ({"rtol": -1.0}, "negative"),
        ({"M": "magic"}, "no direction model 'magic'; take one of learned-multigrid"),
    ],
)
def test_bad_input_is_refused(change, message):
    problem, b = system()
    with pytest.raises(InvalidProblem, match=message):
        solve(**{"A": problem, "b": b, **change})


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (sp.csr_array(np.triu(np.ones((4, 4)))), "not symmetric"),
        (sp.csr_array(-np.eye(4)), "not positive definite: its diagonal is -1 in row 0"),
        (sp.csr_array(np.ones((4, 3))), "should be square"),
        (sp.csr_array(np.eye(4) * np.nan), "not finite"),
    ],
)
def test_bad_matrices_are_refused(matrix, message):
    with pytest.raises(InvalidProblem, match=message):
        solve(matrix, np.ones(4))


def test_scipy_gets_no_model_that_is_not_linear():
    with pytest.raises(InvalidProblem, match="not linear and symmetric"):
        Preconditioner(obstacles((8, 8)), Broken(lambda r: r, False))


def test_models_leave_the_residual_alone_and_map_zero_to_zero():
    problem, b = system()
    from fieldloom_dcdm.directions import make

    for name in NAMES:
        model, r = make(name, problem), pad(b, np.float64)
        before = r.copy()
        model(r)
        np.testing.assert_array_equal(r, before)
        assert not np.any(model(np.zeros_like(r)))
