"""Projection of velocities, and the random systems."""

import numpy as np
import pytest
from dcdm_cases import BOUNDARIES_2D, obstacles
from fieldloom_dcdm import poisson, project
from fieldloom_dcdm.components import find_components
from fieldloom_dcdm.errors import IncompatibleRhs
from fieldloom_dcdm.projection import divergence
from fieldloom_dcdm.systems import (
    COEFFICIENT_KINDS,
    MASK_KINDS,
    flow_rhs,
    moving_obstacle,
    random_coefficient,
    random_mask,
)


@pytest.mark.parametrize("boundary", BOUNDARIES_2D)
def test_a_projected_velocity_is_free_of_divergence_and_keeps_to_walls(boundary):
    problem = obstacles((20, 26), boundary, spacing=0.1)
    rng = np.random.default_rng(0)
    velocity = [rng.standard_normal(w.shape) * (w > 0) for w in problem.faces]
    before = np.linalg.norm(divergence(problem, velocity))
    found = project(problem, velocity, rtol=1e-9)
    assert np.linalg.norm(divergence(problem, found.velocity)) < 1e-8 * before
    assert all(not u[w == 0].any() for u, w in zip(found.velocity, problem.faces, strict=True))
    again = project(problem, found.velocity, rtol=1e-2)
    assert max(np.abs(u - v).max() for u, v in zip(again.velocity, found.velocity, strict=True)) < 1e-6


def test_a_solid_that_moves_pushes_the_fluid():
    mask = np.ones((24, 24), bool)
    mask[10:14, 10:14] = False
    problem = poisson(mask, 1.0, "dirichlet")
    velocity = [np.zeros(w.shape) for w in problem.faces]
    velocity[0][10:15, 10:14] = 1.0
    found = project(problem, velocity, rtol=1e-8)
    assert found.velocity[0][10, 11] == 1.0  # the wall's own velocity stays
    assert found.velocity[0][16, 12] > 0.1  # ahead of it
    assert found.pressure[15, 12] > 0 > found.pressure[8, 12]


def test_a_closed_box_that_is_filled_is_an_error():
    problem = poisson(np.ones((8, 8), bool), 1.0, "neumann")
    velocity = [np.zeros((9, 8)), np.zeros((8, 9))]
    velocity[0][0] = 1.0
    with pytest.raises(IncompatibleRhs):
        project(problem, velocity)


@pytest.mark.parametrize("kind", MASK_KINDS)
@pytest.mark.parametrize("shape", [(40, 30), (20, 18, 24)])
def test_random_masks_hold_fluid_and_solids_and_follow_the_seed(kind, shape):
    masks = [random_mask(np.random.default_rng(seed), shape, kind) for seed in (0, 0, 1)]
    assert 0.3 < masks[0].mean() < 1.0
    np.testing.assert_array_equal(masks[0], masks[1])
    assert (masks[0] != masks[2]).any()


@pytest.mark.parametrize("kind", COEFFICIENT_KINDS)
def test_random_coefficients_jump_as_far_as_they_should(kind):
    c = random_coefficient(np.random.default_rng(0), (50, 40), kind, 300.0)
    assert (c.min(), c.max()) == pytest.approx((1.0, 300.0))


@pytest.mark.parametrize("boundary", BOUNDARIES_2D)
def test_right_hand_sides_of_flows_are_compatible(boundary):
    problem = obstacles((30, 22), boundary, kind="channels")
    b = flow_rhs(np.random.default_rng(0), problem)
    from fieldloom_dcdm.kernels.numba_grid import pad

    assert find_components(problem).outside(pad(b, np.float64)) < 1e-10 * np.linalg.norm(b)
    assert np.abs(b).max() > 0


def test_an_obstacle_moves_and_keeps_its_size():
    masks = list(moving_obstacle((32, 32), 8))
    sizes = [int((~mask).sum()) for mask in masks]
    assert len(masks) == 8
    assert max(sizes) - min(sizes) <= 6
    assert (masks[0] != masks[1]).any()
