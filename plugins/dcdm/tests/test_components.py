"""Closed regions: found, projected, and their right-hand sides checked."""

import numpy as np
import pytest
from dcdm_cases import BOUNDARIES_2D, obstacles
from fieldloom_dcdm import poisson, solve
from fieldloom_dcdm.assembly import csr
from fieldloom_dcdm.components import find_components
from fieldloom_dcdm.errors import IncompatibleRhs
from fieldloom_dcdm.systems import MASK_KINDS, white_rhs
from scipy.sparse.csgraph import connected_components


def with_pockets(shape=(24, 20), boundary="dirichlet"):
    """Two closed chambers in an open box."""
    mask = np.ones(shape, bool)
    for low in (3, 13):
        mask[low : low + 8, 4:12] = False
        mask[low + 2 : low + 6, 6:10] = True
    return poisson(mask, 1.0, boundary)


@pytest.mark.parametrize("boundary", BOUNDARIES_2D)
@pytest.mark.parametrize("kind", MASK_KINDS)
def test_components_are_those_of_the_graph(boundary, kind):
    problem = obstacles((23, 17), boundary, kind=kind, seed=3)
    matrix = csr(problem)
    count, labels = connected_components(matrix)
    rows = np.abs(matrix.sum(axis=1)) > 1e-9  # cells with a Dirichlet side
    singular = count - len(np.unique(labels[rows]))
    assert find_components(problem).count == singular


@pytest.mark.parametrize(("boundary", "count"), [("dirichlet", 2), ("neumann", 3)])
def test_pockets_are_found_and_solved(boundary, count):
    problem = with_pockets(boundary=boundary)
    components = find_components(problem)
    assert components.count == count
    exact = white_rhs(np.random.default_rng(0), problem)
    result = solve(problem, problem.apply(exact), rtol=1e-10).check()
    difference = result.x - exact
    for label in range(1, count + 1):
        cells = components.labels.reshape([n + 2 for n in problem.shape])[1:-1, 1:-1] == label
        assert abs(result.x[cells].mean()) < 1e-8  # the mean is fixed to zero ...
        assert np.ptp(difference[cells]) < 1e-6  # ... and that is all that differs
    np.testing.assert_allclose(problem.apply(difference), 0.0, atol=1e-6)


def test_an_incompatible_right_hand_side_is_an_error_or_projected():
    problem = with_pockets()
    b = np.ones(problem.shape) * problem.mask
    with pytest.raises(IncompatibleRhs, match="region of 16 cells that touches no Dirichlet side"):
        solve(problem, b)
    result = solve(problem, b, project=True, rtol=1e-8)
    assert result.converged


def test_a_thin_wall_of_closed_faces_separates():
    shape = (16, 16)
    faces = [np.ones((17, 16)), np.ones((16, 17))]
    faces[0][8] = 0.0
    problem = poisson(np.ones(shape, bool), 1.0, [("dirichlet", "neumann"), "neumann"], faces)
    assert find_components(problem).sizes[1:].tolist() == [128]


def test_a_single_enclosed_cell_stays_zero():
    mask = np.ones((12, 12), bool)
    mask[4:7, 4:7] = False
    mask[5, 5] = True
    b = np.zeros(mask.shape)
    b[0, 0] = 1.0
    result = solve(mask, b, rtol=1e-8).check()
    assert result.x[5, 5] == 0.0
