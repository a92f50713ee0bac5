"""The operator: matrix-free against assembled, order of convergence, and what is refused."""

import numpy as np
import pytest
from dcdm_cases import BOUNDARIES_2D, DOUBLE, jumps, obstacles, relative
from fieldloom_dcdm import poisson, solve
from fieldloom_dcdm.assembly import csr, gather, scatter
from fieldloom_dcdm.errors import InvalidProblem
from fieldloom_dcdm.kernels.numba_grid import pad, unpad
from fieldloom_dcdm.operators import GridOperator

PROBLEMS = [
    *(obstacles((13, 10), boundary) for boundary in BOUNDARIES_2D),
    obstacles((9, 8, 11), [("neumann", "dirichlet"), "neumann", "dirichlet"], spacing=(0.3, 1.0, 2.0)),
    jumps((14, 9)),
    jumps((7, 9, 8), kind="patches"),
]


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("threads", [1, 3])
def test_matrix_free_operator_agrees_with_the_assembled_matrix(problem, threads):
    x = np.random.default_rng(0).standard_normal(problem.shape) * problem.mask
    operator = GridOperator(problem, threads)
    image = operator.zeros()
    energy = operator.apply(pad(x, np.float64), image)
    expected = csr(problem) @ gather(problem, x)
    assert relative(gather(problem, unpad(image)), expected) < DOUBLE
    assert energy == pytest.approx(gather(problem, x) @ expected, rel=DOUBLE)
    assert relative(problem.apply(x)[problem.mask], expected) < DOUBLE


@pytest.mark.parametrize("problem", PROBLEMS)
def test_assembled_matrix_is_symmetric_and_not_negative(problem):
    matrix = csr(problem).toarray()
    np.testing.assert_array_equal(matrix, matrix.T)
    assert np.linalg.eigvalsh(matrix).min() > -1e-10 * np.abs(matrix).max()


def test_solution_converges_with_second_order():
    """-div(c grad x) with c = 1 + y / 2 on mixed sides, x = sin(pi X) cos(pi Y)."""
    errors = []
    for n in (16, 32, 64):
        centre, face = (np.arange(n) + 0.5) / n, np.arange(n + 1) / n
        X, Y = np.meshgrid(centre, centre, indexing="ij")
        exact = np.sin(np.pi * X) * np.cos(np.pi * Y)
        slope = 0.5 * np.pi * np.sin(np.pi * X) * np.sin(np.pi * Y)
        b = 2 * np.pi**2 * (1 + Y / 2) * exact + slope
        c = [np.ones((n + 1, n)) * (1 + centre / 2), np.ones((n, n + 1)) * (1 + face / 2)]
        problem = poisson(np.ones((n, n), bool), 1 / n, ["dirichlet", "neumann"], c)
        errors.append(np.abs(solve(problem, b, rtol=1e-10).check().x - exact).max())
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    assert orders.min() > 1.9


def test_gather_and_scatter_are_inverse():
    problem = obstacles((12, 9))
    x = np.random.default_rng(0).standard_normal((2, *problem.shape)) * problem.mask
    np.testing.assert_array_equal(scatter(problem, gather(problem, x)), x)


def test_masks_are_kept_in_single_precision_and_jumps_in_double():
    assert {w.dtype for w in obstacles((8, 8)).faces} == {np.dtype(np.float32)}
    assert np.float64 in {w.dtype.type for w in jumps((8, 8), kind="patches").faces}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.ones((4, 4)),), "should be boolean"),
        ((np.ones(4, bool),), "2 or 3 axes"),
        ((np.zeros((4, 4), bool),), "no fluid cell"),
        ((np.ones((4, 4), bool), 0.0), "positive length"),
        ((np.ones((4, 4), bool), (1.0, 1.0, 1.0)), "2 of them"),
        ((np.ones((4, 4), bool), 1.0, "periodic"), "'dirichlet' or 'neumann'"),
        ((np.ones((4, 4), bool), 1.0, "neumann", np.ones((3, 4))), "should have shape"),
        ((np.ones((4, 4), bool), 1.0, "neumann", np.zeros((4, 4))), "finite and positive"),
        ((np.ones((4, 4), bool), 1.0, "neumann", [np.ones((5, 4))]), "2 arrays"),
        ((np.ones((4, 4), bool), 1.0, "neumann", np.full((4, 4), np.nan)), "finite and positive"),
    ],
)
def test_bad_problems_are_refused(arguments, message):
    with pytest.raises(InvalidProblem, match=message):
        poisson(*arguments)
