"""Populations of wakes: what is drawn, simulated and meshed; limits; resumption."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from fieldloom import Context
from fieldloom.contracts.population import part
from fieldloom.errors import Cancelled
from fieldloom.testing import StageContract
from fieldloom_cfd.channel_flow import channel_flow, discretise
from fieldloom_cfd.meshing import channel_mesh, circle
from fieldloom_cfd.scenarios import COLUMNS
from fieldloom_cfd.stages import scenarios
from fieldloom_cfd.stages.scenarios import DrawWakes, WakeMeshes, Wakes
from fieldloom_storage import Store, checkpoints
from pydantic import ValidationError
from scenario_tables import GOOD, table

SHORT = {"warm_up": 0.02, "interval": 0.01, "frames": 2, "resolution": 4}
THREE = table(GOOD, replace(GOOD, radius=0.04), replace(GOOD, centre_x=0.25, mean_velocity=0.5))


class TestDrawWakes(StageContract):
    stage_id = "cfd.draw-wakes"
    params = {"count": 5}
    bad_params = [
        {"count": 0},
        {"radius": [0.05, 0.04]},
        {"radius": [0.0, 0.04]},
        {"mean_velocity": [0.3, 1.6]},
        {"viscosity": 0.1},
        {"centre_y": [0.05, 0.26]},
        {"length": 0.45},
    ]


class TestWakes(StageContract):
    stage_id = "cfd.wakes"
    params = SHORT
    bad_params = [
        {"warm_up": 2.41},
        {"warm_up": 0.01},
        {"part": 2, "parts": 2},
        {"frames": 0},
        {"resolution": 3},
        {"interval": 0.0},
    ]

    def inputs(self):
        return {"scenarios": THREE.isel(sample=slice(2))}


class TestWakeMeshes(StageContract):
    stage_id = "cfd.wake-meshes"
    params = {"resolution": 4}
    bad_params = [{"grading": 0.0}, {"height": -1.0}]

    def inputs(self):
        return {"scenarios": THREE}


class Kept:
    """Checkpoints in a store, which sorts what it keeps."""

    def __init__(self, root):
        self.store = Store(root, durable=False)

    def save(self, step, data):
        checkpoints.save(self.store, "0" * 40, step, data)

    def latest(self):
        return checkpoints.latest(self.store, "0" * 40)


def draw(seed=1, **params):
    return DrawWakes().run(Context("draw", seed, Path()), DrawWakes.Params(**params))["table"]


def simulate(data=THREE, context=None, **params):
    context = context or Context("wakes", 0, Path())
    return Wakes().run(context, Wakes.Params(**{**SHORT, **params}), scenarios=data)["fields"]


# -- what is drawn


def test_rows_do_not_depend_on_how_many_there_are():
    few, many = draw(count=3), draw(count=20)
    xr.testing.assert_identical(few, many.isel(sample=slice(3)))
    assert not few.equals(draw(seed=2, count=3))


def test_numbers_fill_their_ranges():
    drawn = draw(count=200)
    for name, (low, high) in zip(COLUMNS, DrawWakes.Params().ranges, strict=False):
        values = drawn[name].to_numpy()
        assert low <= values.min() < low + 0.05 * (high - low)
        assert high - 0.05 * (high - low) < values.max() <= high
    np.testing.assert_allclose(drawn.reynolds, 2 * drawn.radius * drawn.mean_velocity / 1e-3)


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"mean_velocity": (0.3, 2.0)}, r"mean_velocity 2 m s-1 .* Reynolds number of 260; it must lie in \[1, 200\]"),
        ({"centre_y": (0.09, 0.26)}, "centre_y 0.09 m, radius 0.065 m: the cylinder is 0.025 m from the lower wall"),
        ({"radius": (0.06, 0.04)}, "`radius` goes from 0.06 to 0.04"),
    ],
)
def test_ranges_out_of_limits_are_named(params, words):
    with pytest.raises(ValidationError, match=words):
        DrawWakes.Params(**params)


# -- what is simulated


def test_wakes_are_those_of_the_solver_at_the_promised_instants():
    fields = simulate(warm_up=0.03)
    np.testing.assert_array_equal(fields.time, [0.03, 0.04])
    np.testing.assert_array_equal(fields.row, [0, 1, 2])
    np.testing.assert_allclose(fields.reynolds, [80, 64, 50])
    domain = discretise(channel_mesh(1.6, 0.41, circle((0.3, 0.2), 0.04), 0.01))
    frames = list(channel_flow(domain, 0.8, 1e-3, 0.04, 4))
    wake = part(fields, 1)
    for stored, frame in zip((0, 1), frames[2:], strict=True):
        for name in ("velocity", "pressure", "vorticity"):
            np.testing.assert_array_equal(wake[name][stored], getattr(frame, name).astype(np.float32))


def test_default_warm_up_leaves_59_frames_out():
    params = Wakes.Params()
    assert (params.skipped, params.skipped + params.frames) == (59, 91)
    with pytest.raises(ValidationError, match=r"2.41 s is no multiple of `interval` 0.04 s; the nearest is 2.4 s"):
        Wakes.Params(warm_up=2.41)


def test_parts_share_the_rows():
    whole, parts = simulate(), [simulate(part=i, parts=2) for i in range(2)]
    assert [p.row.values.tolist() for p in parts] == [[0, 2], [1]]
    for one in parts:
        for i, row in enumerate(one.row.values):
            xr.testing.assert_identical(part(one, i), part(whole, row))
    with pytest.raises(ValueError, match="part 3 of 4 has no row: the table has only 3"):
        simulate(part=3, parts=4)


def test_every_covariate_and_field_has_units_and_a_name():
    fields = simulate(THREE.isel(sample=slice(1)))
    names = ("velocity", "pressure", "vorticity", "time", "node_x", "node_y", "row", "reynolds", *COLUMNS)
    assert all({"units", "long_name"} <= set(fields[name].attrs) for name in names)


def test_interrupted_run_goes_on_at_its_checkpoint(monkeypatch, tmp_path):
    monkeypatch.setattr(scenarios, "_KEPT_EVERY", 2)
    whole, kept, seen = simulate(), Kept(tmp_path), []
    stopped = Context("wakes", 0, Path(), checkpoints=kept, stopped=lambda: kept.latest() is not None)
    with pytest.raises(Cancelled):
        simulate(context=stopped)
    again = Context("wakes", 0, Path(), checkpoints=kept, report=lambda done, total, message: seen.append(done))
    xr.testing.assert_identical(simulate(context=again), whole)
    assert min(seen) == 2.0
    assert max(seen) == 3.0


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({"mean_velocity": 3.0}, r"row 1 .* mean_velocity 3 m s-1 .* number of 300; it must lie in \[1, 200\]"),
        ({"centre_y": 0.06}, "row 1 of the scenarios: .* centre_y 0.06 m, .* 0.01 m from the lower wall; .* 0.025 m"),
        ({"radius": float("nan")}, "row 1 of the scenarios: radius is nan; it should be a positive number"),
        ({"viscosity": 0.0}, "row 1 of the scenarios: viscosity is 0; it should be a positive number"),
    ],
)
def test_rows_out_of_limits_are_named_before_anything_is_simulated(monkeypatch, bad, words):
    monkeypatch.setattr(scenarios, "_wake", None)
    monkeypatch.setattr(scenarios, "_bare_mesh", None)
    data = table(GOOD, replace(GOOD, **bad))
    with pytest.raises(ValueError, match=words):
        simulate(data)
    with pytest.raises(ValueError, match=words):
        WakeMeshes().run(Context("meshes", 0, Path()), WakeMeshes.Params(), scenarios=data)


def test_empty_table_is_refused():
    with pytest.raises(ValueError, match="has no row"):
        simulate(THREE.isel(sample=slice(0)))


def test_flow_that_diverges_names_its_row(monkeypatch):
    def diverges(*_):
        raise FloatingPointError("the flow diverged")

    monkeypatch.setattr(scenarios, "_wake", diverges)
    with pytest.raises(FloatingPointError, match="row 2 of the scenarios: the flow diverged"):
        simulate(part=2, parts=3)


# -- what is meshed


def test_meshes_are_those_of_the_wakes():
    fields = simulate()
    meshes = WakeMeshes().run(Context("meshes", 0, Path()), WakeMeshes.Params(resolution=4), scenarios=THREE)["mesh"]
    flowing = fields.drop_dims(["time", "component"])
    xr.testing.assert_identical(meshes.drop_attrs(deep=False), flowing.drop_attrs(deep=False))
    assert "time" not in meshes.variables
