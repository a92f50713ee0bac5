"""Smoke: divergence, orders, conservation, reproducibility, clear errors."""

import numpy as np
import pytest
from fieldloom.testing import StageContract
from fieldloom_cfd.smoke import (
    Box,
    advance,
    at_rest,
    diffuse,
    divergence,
    project,
    random_smoke,
    simulate,
    solve_poisson,
)
from fieldloom_cfd.stages.smoke import SmokePlume
from fieldloom_storage import Store
from manufactured import advection_error, poisson_error
from pydantic import ValidationError


class TestSmokePlume(StageContract):
    stage_id = "cfd.smoke-plume"
    params = {"cells": 16, "steps": 6, "trajectories": 2}
    bad_params = [
        {"cells": 4},
        {"skip": 64},
        {"buoyancy": 0.5, "buoyancy_max": 0.1},
        {"viscosity": 100.0},
        {"interpolation": "none"},
    ]


def run(tmp_path, **params):
    store = Store(tmp_path / "s", durable=False)
    return store.open(TestSmokePlume().run_stage(store, **params)["fields"])


def test_every_stored_velocity_is_free_of_divergence(tmp_path):
    data = run(tmp_path, cells=32, steps=20)
    h = 1.0
    worst = max(
        np.abs(divergence(data.u[s, t].values, data.v[s, t].values, h)).max() for s in range(2) for t in range(21)
    )
    assert worst < 1e-10
    assert float(np.abs(data.v).max()) > 0.1  # it moves
    assert float(np.abs(data.u[..., [0, -1]]).max()) == float(np.abs(data.v[:, :, [0, -1]]).max()) == 0.0


def test_trajectories_do_not_depend_on_how_many_there_are(tmp_path):
    two, one = run(tmp_path / "two"), run(tmp_path / "one", trajectories=1)
    np.testing.assert_array_equal(two.smoke[0], one.smoke[0])
    assert float(np.abs(two.smoke[0, 0] - two.smoke[1, 0]).max()) > 0.1


def test_frames_are_those_that_were_asked_for(tmp_path):
    every, skipped = run(tmp_path / "a"), run(tmp_path / "b", skip=2, every=2)
    np.testing.assert_array_equal(every.time, 1.5 * np.arange(7))
    np.testing.assert_array_equal(skipped.time, [3.0, 6.0, 9.0])
    np.testing.assert_array_equal(skipped.smoke, every.smoke[:, [2, 4, 6]])


def test_buoyancy_is_drawn_from_its_range(tmp_path):
    drawn = run(tmp_path, buoyancy=0.2, buoyancy_max=0.5, trajectories=5).buoyancy.values
    assert ((drawn >= 0.2) & (drawn <= 0.5)).all()
    assert len(set(drawn)) == 5


def test_poisson_solve_is_exact_on_the_grid_and_of_second_order():
    source = np.random.default_rng(0).standard_normal((12, 9))
    source -= source.mean()
    p = np.pad(solve_poisson(source, 0.5), 1, mode="edge")  # Neumann walls
    laplacian = (p[2:, 1:-1] + p[:-2, 1:-1] + p[1:-1, 2:] + p[1:-1, :-2] - 4 * p[1:-1, 1:-1]) / 0.25
    np.testing.assert_allclose(laplacian, source, atol=1e-12)
    assert np.log2(poisson_error(32) / poisson_error(64)) == pytest.approx(2.0, abs=0.2)


@pytest.mark.parametrize(("interpolation", "order"), [("linear", 1.0), ("cubic", 2.0)])
def test_order_of_the_advection(interpolation, order):
    errors = [advection_error(n, interpolation) for n in (64, 128, 256)]
    assert np.log2(errors[-2] / errors[-1]) == pytest.approx(order, abs=0.2)


def test_projection_leaves_what_is_already_free_of_divergence():
    rng = np.random.default_rng(1)
    psi = np.pad(rng.standard_normal((7, 7)), 1)
    u, v = np.diff(psi, axis=0), -np.diff(psi, axis=1)
    again = project(u, v, 1.0)
    np.testing.assert_allclose(again[0], u, atol=1e-12)
    np.testing.assert_allclose(again[1], v, atol=1e-12)


def test_advection_never_overshoots():
    start = at_rest(random_smoke(np.random.default_rng(2), 24))
    for interpolation in ("linear", "cubic"):
        for state in simulate(start, Box(32 / 24, 1.5, 0.01, 0.5, interpolation), 20):
            assert state.density.max() <= start.density.max() + 1e-9
            assert state.density.min() >= start.density.min() - 1e-9


def test_diffusion_takes_the_parts_that_stability_asks_for():
    spike = np.zeros((15, 15))
    spike[7, 7] = 1.0
    once = diffuse(spike, Box(1.0, 1.0, 2.0, 0.0))
    assert once.min() >= 0
    assert once.sum() == pytest.approx(1.0, abs=1e-3)


def test_nothing_moves_without_smoke():
    still = at_rest(np.zeros((8, 8)))
    assert np.abs(advance(still, Box(1.0, 1.5, 0.01, 0.5)).v).max() == 0


def test_divergence_of_the_solution_is_reported():
    wild = at_rest(np.full((8, 8), np.nan))
    with pytest.raises(FloatingPointError, match="step 1"):
        list(simulate(wild, Box(1.0, 1.5, 0.01, 0.5), 3))


def test_time_step_beyond_the_limit_of_diffusion_is_refused():
    with pytest.raises(ValidationError, match="limit of diffusion"):
        SmokePlume.Params(viscosity=100.0)
