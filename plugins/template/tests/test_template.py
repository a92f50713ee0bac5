"""The plugin keeps fieldloom's contract for stages, and its numerics are right."""

import fieldloom
import numpy as np
import pytest
import xarray as xr
from fieldloom.testing import StageContract
from fieldloom_template.smoothing import moving_average


def signal(values):
    time = np.linspace(0.0, 1.0, len(values))
    return xr.Dataset(
        {"signal": ("time", np.asarray(values, float), {"units": "V"})}, {"time": ("time", time, {"units": "s"})}
    )


class TestSignal(StageContract):
    stage_id = "template.signal"
    params = {"samples": 50}
    bad_params = [{"samples": 1}, {"frequency": -1.0}]


class TestSmooth(StageContract):
    stage_id = "template.smooth"
    params = {"width": 3}
    bad_params = [{"width": 0}, {"width": 4}]

    def inputs(self):
        return {"signal": signal([0.0, 1.0, 4.0, 9.0])}


def test_average_of_a_constant_is_the_constant():
    np.testing.assert_allclose(moving_average(np.full(7, 2.5), 5), 2.5)


def test_average_in_the_middle_is_the_mean_of_the_window():
    np.testing.assert_allclose(moving_average(np.array([0.0, 3.0, 6.0, 12.0]), 3)[1:3], [3.0, 7.0])


@pytest.mark.usefixtures("prefect_server")
def test_runs_in_a_flow(tmp_path):
    spec = tmp_path / "flow.yaml"
    spec.write_text(
        "name: smoothing\n"
        "stages:\n"
        "  noisy: {uses: template.signal, with: {samples: 200}}\n"
        "  smooth: {uses: template.smooth, inputs: {signal: noisy}, with: {width: 9}}\n"
    )
    run = fieldloom.run(spec, store=tmp_path / "store")
    assert float(run["smooth"].signal.std()) < float(run["noisy"].signal.std())
