"""Training: parameters improve, networks learn, and every weight says what it is for."""

import numpy as np
import pytest
import torch
from dcdm_cases import DOUBLE, obstacles, relative
from fieldloom_dcdm import poisson, solve
from fieldloom_dcdm.assembly import csr
from fieldloom_dcdm.directions.cnn import Cnn, CnnConfig, DirectionNetwork
from fieldloom_dcdm.directions.learned_multigrid import learned_parameters
from fieldloom_dcdm.directions.multigrid import Multigrid
from fieldloom_dcdm.directions.torch_multigrid import faces_of
from fieldloom_dcdm.errors import WrongDimension
from fieldloom_dcdm.parameters import shipped, textbook
from fieldloom_dcdm.systems import COEFFICIENT_KINDS, MASK_KINDS, random_coefficient, white_rhs
from fieldloom_dcdm.training import cnn, multigrid
from fieldloom_dcdm.training.ritz import draw, ritz

SMALL = multigrid.Recipe(2, size=16, levels=1, steps=12, batch=2, iterations=3, learning_rate=0.1)


def loss_of(parameters, recipe, systems=8):
    from dataclasses import replace

    faces, b = multigrid.draw_batch(np.random.default_rng(99), replace(recipe, batch=systems))
    return float(multigrid.unrolled_loss(faces, b, parameters.levels, parameters.gamma, recipe.iterations))


@pytest.mark.parametrize("kind", ["mask", "coefficient"])
def test_training_lowers_the_residual_of_unseen_systems(kind):
    from dataclasses import replace

    recipe = replace(SMALL, kind=kind)
    losses = []
    trained = multigrid.train(recipe, lambda loop: losses.append(loop.losses[-1]))
    assert len(losses) == recipe.steps
    assert loss_of(trained, recipe) < loss_of(textbook(gamma=2), recipe) - 0.01
    assert trained == multigrid.train(recipe)  # the seed decides
    assert trained.recipe["kind"] == kind


def test_unconditioned_training_keeps_the_bound():
    from dataclasses import replace

    trained = multigrid.train(replace(SMALL, steps=2, conditioned=False, gamma=1))
    assert {level.bound for level in trained.levels} == {1.0}


def test_parameters_from_training_are_always_admitted():
    """Raw values far out are still inside the ranges that keep the cycle positive definite."""
    from fieldloom_dcdm.parameters import MultigridParameters

    for value in (-1e3, 0.0, 1e3):
        modules = [multigrid.LevelModule(2, finest=number == 0) for number in range(3)]
        with torch.no_grad():
            for module in modules:
                for p in module.parameters():
                    p.fill_(value)
        MultigridParameters(2, 2, tuple(module.frozen() for module in modules))


@pytest.mark.parametrize("kind", MASK_KINDS)
def test_shipped_parameters_beat_the_textbook_on_obstacles(kind):
    problem = obstacles((96, 80), kind=kind, seed=77)
    b = white_rhs(np.random.default_rng(0), problem)
    ours = solve(problem, b, rtol=1e-8).check().iterations
    assert ours <= 0.85 * solve(problem, b, rtol=1e-8, M="multigrid").check().iterations


@pytest.mark.parametrize("kind", COEFFICIENT_KINDS)
def test_shipped_parameters_beat_the_textbook_on_jumps(kind):
    c = random_coefficient(np.random.default_rng(5), (80, 96), kind, 1000.0)
    problem = poisson(np.ones(c.shape, bool), 1.0, "dirichlet", c)
    assert learned_parameters(problem) == shipped(2, "coefficient")
    b = white_rhs(np.random.default_rng(0), problem)
    ours = solve(problem, b, rtol=1e-8).check().iterations
    assert ours <= 0.85 * solve(problem, b, rtol=1e-8, M=Multigrid(problem)).check().iterations


def test_ritz_vectors_are_orthonormal_and_the_extremes_are_eigenvectors():
    problem = obstacles((14, 12))
    pairs = ritz(problem, 100, np.random.default_rng(0))
    flat = pairs.vectors.reshape(len(pairs.vectors), -1)
    assert np.abs(flat @ flat.T - np.eye(len(flat))).max() < 1e-4
    exact = np.linalg.eigvalsh(csr(problem).toarray())
    assert pairs.values[-1] == pytest.approx(exact[-1], rel=1e-4)
    assert not pairs.vectors[:, ~problem.mask].any()
    full = ritz(poisson(np.ones((4, 4), bool)), 40, np.random.default_rng(0))
    assert len(full.values) <= 16  # it stops where the Krylov space is complete


def test_residuals_to_train_on_are_mostly_low_modes():
    problem = obstacles((16, 16))
    pairs = ritz(problem, 80, np.random.default_rng(0))
    r = draw(np.random.default_rng(1), pairs, 20)
    assert r.shape == (20, 16, 16)
    np.testing.assert_allclose(np.linalg.norm(r.reshape(20, -1), axis=1), 1.0, rtol=1e-5)
    shares = (r.reshape(20, -1) @ pairs.vectors.reshape(len(pairs.values), -1).T) ** 2
    assert shares[:, :44].sum(1).mean() > 0.95


def test_loss_is_what_the_line_search_leaves():
    problem = obstacles((10, 12))
    rng = np.random.default_rng(0)
    r, d = (rng.standard_normal((3, *problem.shape)) * problem.mask for _ in range(2))
    left = []
    for one, direction in zip(r, d, strict=True):
        image = problem.apply(direction)
        left.append(np.sum((one - np.sum(one * direction) / np.sum(direction * image) * image) ** 2))
    loss = cnn.direction_loss(faces_of(problem.conductances(), torch.float64), torch.from_numpy(r), torch.from_numpy(d))
    assert float(loss) == pytest.approx(np.mean(left), rel=1e-10)


@pytest.mark.parametrize(("dimension", "sees_mask"), [(2, False), (2, True), (3, True)])
def test_a_network_learns_and_then_solves_any_grid(dimension, sees_mask):
    size = 12 if dimension == 2 else 8
    network = CnnConfig(dimension, channels=8, fine_blocks=1, coarse_blocks=1, up_blocks=1, sees_mask=sees_mask)
    recipe = cnn.CnnRecipe(network, size, ritz_vectors=40, obstacles=2 * sees_mask, steps=40, learning_rate=5e-3)
    losses = []
    trained = cnn.train(recipe, lambda loop: losses.append(loop.losses[-1]))
    untrained = DirectionNetwork(network)
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])
    problem = obstacles((17, 14) if dimension == 2 else (9, 8, 11), kind="discs")
    b = white_rhs(np.random.default_rng(0), problem)
    left = [solve(problem, b, M=Cnn(problem, n), maxiter=8).relative_residual for n in (trained, untrained)]
    assert left[0] < left[1]


def test_the_papers_network_has_its_number_of_weights():
    """97,457 in three dimensions (counted in the authors' code for grids of 64)."""
    assert sum(p.numel() for p in DirectionNetwork(CnnConfig(3)).parameters()) == 97_457


def test_a_network_of_another_dimension_is_refused():
    with pytest.raises(WrongDimension, match="for 3D grids, and the problem is 2D"):
        Cnn(obstacles((8, 8)), DirectionNetwork(CnnConfig(3)))


def test_training_can_be_limited_in_time():
    recipe = cnn.CnnRecipe(CnnConfig(channels=4), size=8, ritz_vectors=10, steps=10**6, seconds=0.3)
    steps = []
    cnn.train(recipe, lambda loop: steps.append(loop.step))
    assert 0 < steps[-1] < 10**5


def test_scale_of_the_residual_does_not_matter():
    problem = obstacles((12, 12))
    model = Cnn(problem, DirectionNetwork(CnnConfig(channels=4)))
    from fieldloom_dcdm.kernels.numba_grid import pad

    r = pad(white_rhs(np.random.default_rng(0), problem), np.float64)
    first = model(r).copy()
    assert relative(model(1e-20 * r), first) < 1e6 * DOUBLE


@pytest.mark.parametrize("module", [multigrid, cnn])
def test_a_training_that_was_stopped_goes_on_as_if_it_had_not_been(module):
    recipe = SMALL if module is multigrid else cnn.CnnRecipe(CnnConfig(channels=4), size=8, ritz_vectors=10, steps=12)
    states = {}
    whole = module.train(recipe, lambda loop: states.__setitem__(loop.step, loop.state()))
    resumed = module.train(recipe, resume=states[7])
    if module is multigrid:
        assert resumed == whole
    else:
        pairs = zip(resumed.parameters(), whole.parameters(), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)


def test_a_loss_that_is_not_finite_is_an_error():
    from fieldloom_dcdm.training.loop import Loop

    layer = torch.nn.Linear(1, 1)
    with pytest.raises(FloatingPointError, match="in step 1: lower the learning rate"):
        Loop(layer, 3, 1e-3, 0).run(lambda rng: layer(torch.tensor([float("nan")])).sum())
