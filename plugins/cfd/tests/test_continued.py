"""Fields continued by the solvers: from a solver's own state nothing changes; what does not fit is refused."""

import numpy as np
import pytest
import xarray as xr
from fieldloom import Context
from fieldloom.contracts.population import part
from fieldloom.testing import StageContract
from fieldloom_cfd.smoke import Box, at_rest, centred, divergence, random_smoke, simulate, start_from
from fieldloom_cfd.stages.continued import ContinueSmoke, ContinueWake, MeasureBuoyancy
from fieldloom_cfd.stages.scenarios import WakeMeshes, Wakes
from scenario_tables import GOOD, table

COARSE = {"resolution": 4}
WHOLE = {**COARSE, "warm_up": 0.4, "interval": 0.02, "frames": 4}


@pytest.fixture(scope="module")
def wake(tmp_path_factory):
    context = Context("wakes", 0, tmp_path_factory.mktemp("wake"))
    found = Wakes().run(context, Wakes.Params(**WHOLE), scenarios=table(GOOD))["fields"]
    return part(found, 0)


def smoke(frames=4, every=2):
    box = Box(1.0, 1.5, 0.01, 0.4)
    states = list(simulate(at_rest(random_smoke(np.random.default_rng(3), 32)), box, 6 + every * (frames - 1)))[
        5::every
    ]
    centres = np.arange(32) + 0.5
    return xr.Dataset(
        {
            "smoke": (("time", "y", "x"), np.stack([s.density for s in states]), {"units": "1"}),
            "velocity": (
                ("time", "y", "x", "component"),
                np.stack([centred(s) for s in states]),
                {"units": "m s-1"},
            ),
            "buoyancy": ((), 0.4, {"units": "m s-2"}),
        },
        {
            "time": ("time", 1.5 * (6 + every * np.arange(frames)), {"units": "s"}),
            **{a: (a, centres, {"units": "m"}) for a in "xy"},
        },
    )


class TestContinueSmoke(StageContract):
    stage_id = "cfd.continue-smoke"
    params = {}
    bad_params = [{"time_step": 0.0}, {"viscosity": -1.0}, {"interpolation": "quintic"}]

    def inputs(self):
        return {"fields": smoke()}


class TestContinueWake(StageContract):
    stage_id = "cfd.continue-wake"
    params = COARSE
    bad_params = [{"row": -1}, {"resolution": 3}]

    @pytest.fixture(autouse=True)
    def _wake(self, wake):
        self.wake = wake

    def inputs(self):
        return {"fields": self.wake, "scenarios": table(GOOD)}


class TestMeasureBuoyancy(StageContract):
    stage_id = "cfd.measure-buoyancy"
    params = {"instants": 1}
    bad_params = [{"instants": 0}, {"low": 0.5, "high": 0.5}]

    def inputs(self):
        return {"fields": smoke()}


def continued(stage, tmp_path, params=None, **inputs):
    return stage().run(Context("continued", 0, tmp_path), stage.Params(**(params or {})), **inputs)["fields"]


def distance(a, b, name):
    a, b = (x[name].to_numpy() for x in (a, b))
    return np.linalg.norm((a - b)[1:]) / np.linalg.norm(b[1:])


def test_wake_goes_on_as_the_solver_had_it(wake, tmp_path):
    found = continued(ContinueWake, tmp_path, COARSE, fields=wake, scenarios=table(GOOD))
    assert distance(found, wake, "velocity") < 0.01
    assert distance(found, wake, "pressure") < 0.1
    np.testing.assert_array_equal(found["time"], wake["time"])
    np.testing.assert_array_equal(found["velocity"][0], wake["velocity"][0])
    np.testing.assert_allclose(found["vorticity"][0], wake["vorticity"][0], rtol=1e-3, atol=1e-2)


def test_wrong_start_is_told_apart_from_a_right_one(wake, tmp_path):
    """The distance to the solver's continuation is large where the fields are no solution."""
    wrong = wake.copy(deep=True)
    wrong["velocity"][1:] = wrong["velocity"][0].to_numpy()[:, ::-1]
    found = continued(ContinueWake, tmp_path, COARSE, fields=wrong, scenarios=table(GOOD))
    assert distance(found, wrong, "velocity") > 0.5


def test_wake_on_another_mesh_is_refused(wake, tmp_path):
    other = WakeMeshes().run(Context("meshes", 0, tmp_path), WakeMeshes.Params(resolution=5), scenarios=table(GOOD))[
        "mesh"
    ]
    assert part(other, 0).sizes["node"] != wake.sizes["node"]
    with pytest.raises(ValueError, match="another mesh"):
        continued(ContinueWake, tmp_path, {"resolution": 5}, fields=wake, scenarios=table(GOOD))


def test_row_that_is_not_there_is_refused(wake, tmp_path):
    with pytest.raises(ValueError, match="no row 1"):
        continued(ContinueWake, tmp_path, {**COARSE, "row": 1}, fields=wake, scenarios=table(GOOD))


@pytest.mark.parametrize("name", ["velocity", "pressure"])
def test_wake_that_is_not_finite_is_refused(wake, tmp_path, name):
    broken = wake.copy(deep=True)
    broken[name][0] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        continued(ContinueWake, tmp_path, COARSE, fields=broken, scenarios=table(GOOD))


def test_smoke_goes_on_as_the_solver_had_it(tmp_path):
    given = smoke()
    found = continued(ContinueSmoke, tmp_path, fields=given)
    assert distance(found, given, "smoke") < 0.05  # velocities at the centres only
    assert distance(found, given, "velocity") < 0.1
    np.testing.assert_array_equal(found["time"], given["time"])


def test_buoyancy_shows(tmp_path):
    given = smoke()
    found = continued(ContinueSmoke, tmp_path, {"buoyancy": 0.2}, fields=given)
    assert distance(found, given, "velocity") > 2 * distance(
        continued(ContinueSmoke, tmp_path, fields=given), given, "velocity"
    )


@pytest.mark.parametrize("params", [{"instants": 1}, {"instants": 3}, {"modes": 32}])
def test_buoyancy_is_measured(tmp_path, params):
    given = MeasureBuoyancy.Params(**params)
    found = MeasureBuoyancy().run(Context("buoyancy", 0, tmp_path), given, fields=smoke())["table"]
    assert float(found["buoyancy"][0]) == pytest.approx(0.4, rel=0.03)
    assert float(found["misfit"][0]) < 0.2


def test_small_scales_that_are_wrong_do_not_change_the_buoyancy(tmp_path):
    """Noise from cell to cell in the velocities: the large scales still say 0.4."""
    noise = np.random.default_rng(0).standard_normal(smoke().velocity.shape)
    noisy = smoke().assign(velocity=lambda d: d.velocity + 0.2 * float(d.velocity.std()) * noise)
    found = MeasureBuoyancy().run(Context("buoyancy", 0, tmp_path), MeasureBuoyancy.Params(), fields=noisy)["table"]
    assert float(found["buoyancy"][0]) == pytest.approx(0.4, rel=0.05)


def test_start_is_free_of_divergence():
    rng = np.random.default_rng(0)
    state = start_from(random_smoke(rng, 16), rng.standard_normal((16, 16, 2)), 0.5)
    assert np.abs(divergence(state.u, state.v, 0.5)).max() < 1e-12


@pytest.mark.parametrize(
    ("change", "params", "message"),
    [
        (lambda d: d.drop_vars("buoyancy"), {}, "give `buoyancy`"),
        (lambda d: d, {"time_step": 2.0}, "does not divide"),
        (lambda d: d.isel(time=[0, 1, 3]), {}, "equal steps"),
        (lambda d: d.isel(time=[0]), {}, "at least two instants"),
        (lambda d: d.assign_coords(x=d.x * 2), {}, "squares"),
        (lambda d: d.assign(smoke=d.smoke * np.nan), {}, "not finite"),
    ],
)
def test_smoke_that_does_not_fit_is_refused(tmp_path, change, params, message):
    with pytest.raises(ValueError, match=message):
        continued(ContinueSmoke, tmp_path, params, fields=change(smoke()))
