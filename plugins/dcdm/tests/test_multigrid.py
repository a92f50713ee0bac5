"""The cycle: the same on both backends, symmetric, positive definite, as fast on large grids as on small ones."""

import numpy as np
import pytest
import torch
from dcdm_cases import BOUNDARIES_2D, SINGLE, dense_of, jumps, obstacles, relative
from fieldloom_dcdm import poisson, solve
from fieldloom_dcdm.directions.multigrid import Multigrid, relative_faces
from fieldloom_dcdm.directions.torch_multigrid import TorchMultigrid, faces_of
from fieldloom_dcdm.errors import InvalidProblem, WrongDimension
from fieldloom_dcdm.hierarchy import COARSEST, Overcorrection, coarsen, coarsening, dense
from fieldloom_dcdm.kernels import numba_grid, torch_grid
from fieldloom_dcdm.kernels.numba_grid import pad, unpad
from fieldloom_dcdm.parameters import LevelParameters, MultigridParameters, from_json, shipped, textbook, to_json
from fieldloom_dcdm.problem import without_rim
from fieldloom_dcdm.systems import white_rhs

W_CYCLE = MultigridParameters(
    gamma=2,
    levels=(LevelParameters(((1.1, 0.9), (1.2, 0.8)), 0.9, 2.0, 1.1), LevelParameters(((1.2, 1.0),), 0.7, 1.4, 1.0)),
)
PROBLEMS = [
    obstacles((21, 34), BOUNDARIES_2D[2]),
    obstacles((33, 16), kind="channels"),
    obstacles((8, 10, 7), kind="discs"),
    jumps((24, 31), kind="patches"),
    jumps((6, 9, 8)),
]


@pytest.fixture(params=["numba", "torch"])
def backend(request):
    return request.param


def one_level(problem, omega, backend):
    """Smooth, restrict and prolong of one level as functions on plain arrays."""
    padded, halved = relative_faces(problem)[0], (1,) * problem.ndim
    faces = without_rim(padded)
    if backend == "torch":
        level = torch_grid.make_level(faces_of(faces, torch.float64), halved, omega)
        tensor = lambda a: None if a is None else torch.from_numpy(a)[None]  # noqa: E731 - three uses, below
        return (
            lambda x, b, reverse: torch_grid.smooth(level, tensor(x), tensor(b), reverse=reverse)[0].numpy(),
            lambda x, b: torch_grid.restrict_residual(level, tensor(x), tensor(b))[0].numpy(),
            lambda c, x: torch_grid.prolong_add(level, tensor(c), tensor(x))[0].numpy(),
        )
    level = numba_grid.make_level(padded, halved, omega, 2)
    rim = lambda a: None if a is None else pad(a, np.float32)  # noqa: E731 - as above
    coarse = np.zeros([(n + 1) // 2 + 2 for n in problem.shape], np.float32)
    return (
        lambda x, b, reverse: unpad(numba_grid.smooth(level, rim(x), rim(b), reverse=reverse)).copy(),
        lambda x, b: unpad(numba_grid.restrict_residual(level, rim(x), rim(b), coarse)).copy(),
        lambda c, x: unpad(numba_grid.prolong_add(level, rim(c), rim(x))).copy(),
    )


def scaled_matrix(problem):
    padded, unit = relative_faces(problem)
    return dense(tuple(w.astype(np.float64) for w in without_rim(padded))), unit


@pytest.mark.parametrize("problem", PROBLEMS)
def test_smoothing_is_gauss_seidel_in_red_black_order(problem, backend):
    """Against the definition, cell by cell, on a dense matrix."""
    smooth, _, _ = one_level(problem, ((1.1, 0.8),), backend)
    A, _ = scaled_matrix(problem)
    b = white_rhs(np.random.default_rng(0), problem)
    parity = np.indices(problem.shape).sum(0).ravel() % 2
    x = np.zeros(b.size)
    for colour, omega in ((0, 1.1), (1, 0.8)):
        residual = b.ravel() - A @ x
        chosen = (parity == colour) & (A.diagonal() > 0)
        x[chosen] += omega * residual[chosen] / A.diagonal()[chosen]
    assert relative(smooth(None, b, False).ravel(), x) < SINGLE
    start = white_rhs(np.random.default_rng(1), problem)
    there = smooth(start, b, False)
    assert relative(there, start) > 0.1
    exact = np.linalg.pinv(A) @ b.ravel()
    fixed = smooth(exact.reshape(problem.shape), (A @ exact).reshape(problem.shape), True)
    assert relative(fixed[problem.mask], exact.reshape(problem.shape)[problem.mask]) < 1e-3  # the solution stays


@pytest.mark.parametrize("problem", PROBLEMS)
def test_restriction_is_the_transpose_of_prolongation(problem, backend):
    _, restrict, prolong = one_level(problem, ((1.0, 1.0),), backend)
    rng = np.random.default_rng(0)
    zero = np.zeros(problem.shape)
    r = rng.standard_normal(problem.shape) * problem.mask
    coarse = rng.standard_normal([(n + 1) // 2 for n in problem.shape])
    assert np.sum(restrict(zero, r) * coarse) == pytest.approx(np.sum(r * prolong(coarse, zero)), rel=1e-4)
    x = rng.standard_normal(problem.shape) * problem.mask
    A, _ = scaled_matrix(problem)
    residual = r - (A @ x.ravel()).reshape(x.shape)
    assert relative(restrict(x, r), restrict(zero, residual)) < 1e-4


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("parameters", [textbook(), textbook(gamma=2), W_CYCLE])
def test_numba_and_torch_compute_the_same_cycle(problem, parameters):
    r = white_rhs(np.random.default_rng(0), problem)
    ours = unpad(Multigrid(problem, parameters)(pad(r, np.float64))) * problem.mask
    padded, unit = relative_faces(problem)
    twin = TorchMultigrid.of(faces_of(without_rim(padded), torch.float64), parameters, problem.spacing)
    theirs = twin(torch.from_numpy(r)[None])[0].numpy() / unit * problem.mask
    assert relative(ours, theirs) < 1e-3 if not problem.uniform else relative(ours, theirs) < SINGLE


@pytest.mark.parametrize("problem", PROBLEMS[:3])
def test_result_does_not_depend_on_threads(problem):
    r = pad(white_rhs(np.random.default_rng(0), problem), np.float64)
    one, three = (Multigrid(problem, W_CYCLE, threads)(r).copy() for threads in (1, 3))
    np.testing.assert_array_equal(one, three)


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("parameters", [textbook(), textbook(gamma=2), W_CYCLE])
def test_cycle_is_symmetric_positive_definite(problem, parameters):
    M = dense_of(Multigrid(problem, parameters), problem)
    assert np.abs(M - M.T).max() < SINGLE * np.abs(M).max()
    assert np.linalg.eigvalsh(0.5 * (M + M.T)).min() > 0


@pytest.mark.parametrize("seed", range(6))
def test_cycle_is_positive_definite_for_any_parameters_that_are_admitted(seed):
    rng = np.random.default_rng(seed)
    levels = []
    for number in range(3):
        bound = rng.uniform(1, 4)
        kappa = rng.uniform(0.1, 3.0) if number == 0 else rng.uniform(0.1, 1.0) / bound
        omega = tuple(map(tuple, rng.uniform(0.05, 1.95, (rng.integers(1, 3), 2))))
        levels.append(LevelParameters(omega, kappa, bound, rng.uniform(0.75, 2.0)))
    parameters = MultigridParameters(gamma=2, levels=tuple(levels))
    problem = [jumps((24, 22), seed=seed, kind="patches"), obstacles((10, 12, 11), seed=seed)][seed % 2]
    model = TorchMultigrid.of(faces_of(without_rim(relative_faces(problem)[0]), torch.float64), parameters)
    units = torch.eye(problem.mask.size, dtype=torch.float64).reshape(-1, *problem.shape)
    M = model(units).reshape(problem.mask.size, -1).numpy()[np.ix_(problem.mask.ravel(), problem.mask.ravel())]
    assert np.abs(M - M.T).max() < 1e-10 * np.abs(M).max()
    assert np.linalg.eigvalsh(0.5 * (M + M.T)).min() > 0


def test_parameters_that_could_be_indefinite_are_refused():
    with pytest.raises(InvalidProblem, match="between 0 and 2"):
        LevelParameters(omega=((2.0, 1.0),))
    with pytest.raises(InvalidProblem, match="over-corrected by more than 2"):
        MultigridParameters(gamma=2, levels=(LevelParameters(kappa=1.2),))
    MultigridParameters(gamma=2, levels=(LevelParameters(kappa=1.2), LevelParameters()))  # the finest may


@pytest.mark.parametrize(("small", "large"), [((32, 32), (256, 256)), ((16, 16, 16), (64, 64, 64))])
def test_iterations_hardly_grow_with_the_grid(small, large):
    counts = []
    for shape in (small, large):
        problem = obstacles(shape, kind="discs", seed=2)
        b = white_rhs(np.random.default_rng(0), problem)
        counts.append(solve(problem, b, rtol=1e-8).check().iterations)
    assert counts[1] <= 1.3 * counts[0]


@pytest.mark.parametrize("shape", [(2, 2), (3, 50), (101, 7), (2, 2, 2), (5, 3, 40), (17, 17, 17)])
@pytest.mark.parametrize("spacing", [1.0, 1e-3])
def test_any_grid_size_is_solved(shape, spacing):
    problem = poisson(np.ones(shape, bool), spacing)
    b = white_rhs(np.random.default_rng(0), problem)
    result = solve(problem, b, rtol=1e-9).check()
    assert result.iterations < 15


def test_long_cells_are_not_joined_along_their_long_side():
    assert coarsening((64, 64), (1.0, 8.0))[:3] == [(1, 0), (1, 0), (1, 0)]
    problem = poisson(np.ones((64, 64), bool), (1.0, 8.0))
    b = white_rhs(np.random.default_rng(0), problem)
    assert solve(problem, b, rtol=1e-8).check().iterations <= 12


def test_a_coefficient_of_any_scale_is_solved():
    for scale in (1e-9, 1e9):
        problem = poisson(
            np.ones((40, 40), bool), 1.0, "dirichlet", scale * np.exp(np.random.default_rng(0).normal(size=(40, 40)))
        )
        b = white_rhs(np.random.default_rng(0), problem)
        assert solve(problem, b, rtol=1e-8).check().iterations < 15


def test_coarse_faces_are_the_textbooks_half_and_keep_odd_sizes_right():
    """Uniform faces, distances 1: pairs are 2 apart, a pair and a single cell 1.5."""
    faces = (np.ones((6, 4)), np.ones((5, 5)))
    coarse = coarsen(faces, (1, 1))
    np.testing.assert_allclose(coarse[0][:, 0], [2 / 1.5, 1.0, 2 / 1.5, 2.0])
    assert coarse[0].shape == (4, 2)
    assert coarse[1].shape == (3, 3)
    np.testing.assert_allclose(coarse[1][-1, 1], 0.5)
    wider = coarsen((np.ones((5, 4)), np.ones((4, 5))), (1, 1), Overcorrection(bound=3.0))
    np.testing.assert_allclose(wider[0][1], 1.0)  # nothing is closed: the bound does not matter


def test_coarsest_grid_is_small():
    for shape in ((300, 7), (64, 64, 64), (1000, 1000)):
        for halved in coarsening(shape, (1.0,) * len(shape)):
            shape = [(n + t) >> t for n, t in zip(shape, halved, strict=True)]
        assert np.prod(shape) <= COARSEST


@pytest.mark.parametrize("kind", ["mask", "coefficient"])
@pytest.mark.parametrize("dimension", [2, 3])
def test_shipped_parameters_load_and_say_where_they_come_from(kind, dimension):
    parameters = shipped(dimension, kind)
    assert parameters.dimension == dimension
    assert parameters.recipe["kind"] == kind
    assert parameters.scores
    assert from_json(to_json(parameters)) == parameters


def test_parameters_of_another_dimension_are_refused():
    with pytest.raises(WrongDimension, match="3D grids, and the problem is 2D"):
        Multigrid(obstacles((16, 16)), shipped(3))
    with pytest.raises(InvalidProblem, match="no multigrid parameters"):
        from_json('{"levels": 3}')
