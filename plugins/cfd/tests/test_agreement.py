"""A flow beside a solver's: distance, divergence and slip where they are known."""

import numpy as np
import pytest
import xarray as xr
from fieldloom import Context
from fieldloom.contracts.mesh import triangle_variables
from fieldloom.testing import StageContract
from fieldloom_cfd.stages.agreement import Agreement
from scipy.spatial import Delaunay

TIMES = np.array([0.0, 0.5, 1.0])


def on_mesh(velocity):
    """A unit square of 11 x 11 nodes that carries ``velocity(x, y)`` at three instants."""
    x, y = (a.ravel() for a in np.meshgrid(*[np.linspace(0, 1, 11)] * 2))
    points = np.stack([x, y], axis=1)
    u = np.stack([np.stack(velocity(x, y), axis=1)] * len(TIMES))
    variables = triangle_variables(points, Delaunay(points).simplices)
    attrs = {"units": "m s-1", "mesh": "mesh", "location": "node"}
    data = xr.Dataset(
        {**variables, "velocity": (("time", "node", "component"), u, attrs)}, {"time": ("time", TIMES, {"units": "s"})}
    )
    return data.set_coords(["node_x", "node_y", "node_z"])


def on_grid(velocity):
    side = (np.arange(12) + 0.5) / 12
    x, y = np.meshgrid(side, side)
    u = np.stack([np.stack(velocity(x, y), axis=-1)] * len(TIMES))
    axes = {a: (a, side, {"units": "m"}) for a in "xy"}
    return xr.Dataset(
        {"velocity": (("time", "y", "x", "component"), u, {"units": "m s-1"})},
        {"time": ("time", TIMES, {"units": "s"}), **axes},
    )


def shear(x, y):
    """Rests on the lower wall, keeps volume."""
    return y, 0 * x


def source(x, y):
    """All of its gradient is divergence: rms divergence over rms gradient is sqrt(2)."""
    return x, y


def rows(tmp_path, fields, solver):
    found = Agreement().run(Context("agreement", 0, tmp_path), Agreement.Params(), fields=fields, solver=solver)
    return found["table"]


class TestAgreement(StageContract):
    stage_id = "cfd.agreement"
    bad_params = [{"velocity": 3}]

    def inputs(self):
        return {"fields": on_mesh(source), "solver": on_mesh(shear)}


@pytest.mark.parametrize("place", [on_mesh, on_grid])
def test_flow_agrees_with_itself(tmp_path, place):
    table = rows(tmp_path, place(shear), place(shear))
    np.testing.assert_allclose(table["distance"], 0.0)
    np.testing.assert_allclose(table["divergence"], 0.0, atol=1e-10)
    np.testing.assert_array_equal(table["time"], TIMES)


@pytest.mark.parametrize("place", [on_mesh, on_grid])
def test_divergence_is_a_share_of_the_gradient(tmp_path, place):
    table = rows(tmp_path, place(source), place(shear))
    np.testing.assert_allclose(table["divergence"], np.sqrt(2.0))
    np.testing.assert_allclose(table["divergence_of_solver"], 0.0, atol=1e-10)


def test_distance_weighs_by_area(tmp_path):
    """``|(y, 0) - (2 y, 0)| / |(y, 0)| = 1`` whatever the mesh."""
    double = on_mesh(lambda x, y: (2 * y, 0 * x))
    np.testing.assert_allclose(rows(tmp_path, double, on_mesh(shear))["distance"], 1.0)


def test_slip_is_measured_where_the_solver_rests(tmp_path):
    """The solver rests at y = 0, where the flow ``(1, 0)`` has its full speed; a grid has no node there."""
    moving = on_mesh(lambda x, y: (1 + 0 * x, 0 * x))
    np.testing.assert_allclose(rows(tmp_path, moving, on_mesh(shear))["slip"], 1.0)
    assert np.isnan(rows(tmp_path, on_grid(shear), on_grid(shear))["slip"]).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.isel(time=[0, 1]), "same instants"),
        (lambda d: d.assign_coords(time=d.time + 1), "'time' is not the same"),
        (lambda d: d.assign_coords(x=d.x + 1), "'x' is not the same"),
        (lambda d: d.assign(velocity=d.velocity.transpose("y", "x", "time", "component")), "time, y, x"),
    ],
)
def test_what_cannot_be_compared_is_refused(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        rows(tmp_path, change(on_grid(shear)), on_grid(shear))
