"""The wake: mesh quality, order of convergence, shedding at the right frequency, clear errors."""

import numpy as np
import pytest
from fieldloom.testing import StageContract
from fieldloom_cfd.cylinder_wake import cylinder_wake, largest_time_step
from fieldloom_cfd.mesh import ChannelMesh, channel_mesh, triangle_angles
from fieldloom_cfd.navier_stokes import advance, assemble, initial_state, prepare, vorticity
from fieldloom_cfd.stages import CylinderWake
from fieldloom_cfd.strouhal import strouhal
from pydantic import ValidationError
from scipy.spatial import Delaunay

NU = 0.02  # viscosity of the decaying vortex, m2/s


class TestCylinderWake(StageContract):
    stage_id = "cfd.cylinder-wake"
    params = {"duration": 0.02, "frames": 2, "resolution": 4}
    bad_params = [{"reynolds": 500.0}, {"radius": 0.2}, {"centre": [0.05, 0.2]}, {"duration": -1.0}]


class TestStrouhalTable(StageContract):
    stage_id = "cfd.strouhal"
    bad_params = [{"window": 0.0}]

    def inputs(self):
        import xarray as xr

        def wake(reynolds, frequency):
            t = np.linspace(0, 6, 600).reshape(100, 6)
            lift = np.sin(2 * np.pi * frequency * t)
            return xr.Dataset(
                {"drag": (("time", "substep"), 3 + 0.1 * lift, {"units": "1"}),
                 "lift": (("time", "substep"), lift, {"units": "1"})},
                {"force_time": (("time", "substep"), t, {"units": "s"})},
                {"reynolds": reynolds, "diameter": 0.1, "mean_velocity": 1.0},
            )  # fmt: skip

        return {"fields": [wake(80.0, 2.9), wake(60.0, 2.5)]}


class TestPlotForces(StageContract):
    stage_id = "cfd.plot-forces"

    def inputs(self):
        import xarray as xr

        names = ("strouhal", "frequency", "drag_max", "drag_mean", "lift_max")
        columns = {name: ("sample", [1.0, 2.0], {"units": "s-1" if name == "frequency" else "1"}) for name in names}
        table = xr.Dataset(
            {**columns, "periods": ("sample", [5, 6])}, {"reynolds": ("sample", [60.0, 80.0], {"units": "1"})}
        )
        return {**TestStrouhalTable().inputs(), "table": table}


def test_table_has_a_row_for_each_wake_by_reynolds_number(tmp_path):
    from fieldloom_storage import Store

    store = Store(tmp_path / "s", durable=False)
    contract = TestStrouhalTable()
    table = store.open(contract.run_stage(store)["table"])
    np.testing.assert_array_equal(table.reynolds, [60, 80])
    np.testing.assert_allclose(table.strouhal, [0.25, 0.29], rtol=1e-3)


@pytest.mark.parametrize(("centre", "radius"), [((0.2, 0.2), 0.05), ((0.4, 0.13), 0.07), ((0.3, 0.25), 0.03)])
def test_meshes_are_exact_on_the_boundary_and_without_slivers(centre, radius):
    mesh = channel_mesh(centre=centre, radius=radius)
    on_circle = np.hypot(*(mesh.nodes[mesh.obstacle] - centre).T)
    np.testing.assert_allclose(on_circle, radius, rtol=1e-14)
    assert np.isin(mesh.nodes[mesh.walls][:, 1], [0.0, 0.41]).all()
    assert (mesh.nodes[mesh.inlet][:, 0] == 0).all()
    assert triangle_angles(mesh.nodes, mesh.triangles).min() > 22
    area = channel_area(mesh)
    np.testing.assert_allclose(area, 2.2 * 0.41 - np.pi * radius**2, rtol=2e-4)


def channel_area(mesh: ChannelMesh) -> float:
    a, b, c = (mesh.nodes[mesh.triangles[:, i]] for i in range(3))
    return float(0.5 * np.abs((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]).sum())


def test_mesh_is_a_function_of_its_arguments():
    one, two = channel_mesh(h_min=0.01), channel_mesh(h_min=0.01)
    np.testing.assert_array_equal(one.nodes, two.nodes)
    np.testing.assert_array_equal(one.triangles, two.triangles)


def square(n):
    """An irregular mesh of the unit square: nodes, triangles, boundary nodes."""
    s = np.linspace(0, 1, n + 1)
    x, y = (a.ravel() for a in np.meshgrid(s, s))
    inner = (x > 0) & (x < 1) & (y > 0) & (y < 1)
    nodes = np.stack([x, y], 1)
    nodes[:, 0] += np.where((np.rint(y * n) % 2 == 1) & inner, 0.35 / n, 0)
    nodes += np.where(inner[:, None], np.random.default_rng(1).uniform(-0.1, 0.1, nodes.shape) / n, 0)
    triangles = Delaunay(nodes).simplices.astype(np.int64)
    a, b = nodes[triangles[:, 1]] - nodes[triangles[:, 0]], nodes[triangles[:, 2]] - nodes[triangles[:, 0]]
    area = a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
    triangles[area < 0] = triangles[area < 0][:, ::-1]
    return nodes, triangles[np.abs(area) > 1e-10], np.flatnonzero(~inner)


def taylor_green(nodes, t):
    x, y = np.pi * nodes.T
    decay = np.exp(-2 * np.pi**2 * NU * t)
    velocity = np.stack([-np.cos(x) * np.sin(y), np.sin(x) * np.cos(y)]) * decay
    return velocity, -(np.cos(2 * x) + np.cos(2 * y)) * decay**2 / 4


def taylor_green_error(n, steps, end=0.5):
    nodes, triangles, rim = square(n)
    operators, dt = assemble(nodes, triangles, rim), end / steps
    system = prepare(operators, NU, dt, rim, np.empty(0, np.int64))
    (u0, p0), (u1, _) = taylor_green(nodes, 0.0), taylor_green(nodes, -dt)
    state = initial_state(operators, (u0, u1), p0)
    for _ in range(steps):
        state = advance(system, state, taylor_green(nodes, state.time + dt)[0][:, rim])
    exact = taylor_green(nodes, end)[0]
    weight = operators.lumped
    return np.sqrt((np.square(state.velocity[0] - exact) * weight).sum() / (np.square(exact) * weight).sum())


def test_velocity_converges_with_order_two_in_space_and_time_together():
    """Decaying Taylor-Green vortex, dt ~ h: P1 elements with BDF2 give order 2."""
    errors = [taylor_green_error(n, steps) for n, steps in ((16, 40), (32, 80), (64, 160))]
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    assert orders[-1] == pytest.approx(2.0, abs=0.2)


def test_vorticity_of_a_rotation_is_twice_its_rate():
    nodes, triangles, _ = square(8)
    rotation = 3.0 * np.stack([-nodes[:, 1], nodes[:, 0]], 1)
    np.testing.assert_allclose(vorticity(nodes, triangles, rotation), 6.0, rtol=1e-12)


@pytest.fixture(scope="module")
def wake():
    frames = list(cylinder_wake(channel_mesh(), 1.0, 1e-3, 6.0, 60))
    return (np.concatenate([getattr(f, name) for f in frames]) for name in ("force_times", "drag", "lift"))


def test_vortices_shed_at_the_benchmarks_frequency(wake):
    """DFG 2D-2 (Schäfer & Turek 1996) on the default mesh: St, c_D and c_L within 8 %."""
    t, drag, lift = wake
    result = strouhal(t, lift, 0.1, 1.0)
    assert result.value == pytest.approx(0.300, rel=0.08), result.reason
    late = t > 4
    assert drag[late].max() == pytest.approx(3.23, rel=0.08)
    assert lift[late].max() == pytest.approx(1.00, rel=0.08)


def test_frequency_of_a_known_signal_and_reasons_for_none():
    t = np.linspace(0, 10, 4001)
    assert strouhal(t, np.sin(2 * np.pi * 3.1 * t + 0.4), 0.1, 2.0).value == pytest.approx(0.155, rel=1e-5)
    assert "no shedding" in strouhal(t, 1e-4 * np.sin(t), 0.1, 1.0).reason
    assert "periods" in strouhal(t, np.sin(t), 0.1, 1.0).reason
    assert "not finite" in strouhal(t, np.full_like(t, np.nan), 0.1, 1.0).reason
    assert "irregular" in strouhal(t, np.sin(2 * np.pi * t**2 / 3), 0.1, 1.0).reason


def test_bad_flows_are_refused_before_anything_is_computed():
    mesh = channel_mesh(h_min=0.0125)
    with pytest.raises(ValueError, match="Reynolds number"):
        cylinder_wake(mesh, 1.0, 1e-5)
    with pytest.raises(ValueError, match="time step"):
        cylinder_wake(mesh, 1.0, 1e-3, dt=2 * largest_time_step(mesh, 1.0, 1e-3))
    with pytest.raises(ValueError, match="gap between the circle"):
        channel_mesh(centre=(0.2, 0.06))
    with pytest.raises(ValidationError, match="lower wall"):
        CylinderWake.Params(centre=(0.2, 0.06))
