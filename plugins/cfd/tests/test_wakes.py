"""Flow past obstacles: order of convergence, the benchmark's numbers, stability, clear errors."""

import numpy as np
import pytest
import xarray as xr
from fieldloom.testing import StageContract
from fieldloom_cfd import channel_flow as flows
from fieldloom_cfd.channel_flow import cfl_rate, channel_flow, discretise, largest_time_step
from fieldloom_cfd.dfg import STEADY, observed_order, pressure_drop
from fieldloom_cfd.equal_order import equal_order
from fieldloom_cfd.limits import CFL_LIMITS
from fieldloom_cfd.meshing import channel_mesh, circle, ellipse, reference_size
from fieldloom_cfd.navier_stokes import directional_outflow
from fieldloom_cfd.stages.wakes import CylinderWake, ObstacleWake
from fieldloom_cfd.strouhal import strouhal
from fieldloom_cfd.taylor_hood import quadratic_mesh, quadrature, taylor_hood
from fieldloom_storage import Store
from manufactured import elements, flow_errors, square, time_errors
from pydantic import ValidationError

SHORT = {"duration": 0.02, "frames": 2, "resolution": 4}


class TestCylinderWake(StageContract):
    stage_id = "cfd.cylinder-wake"
    params = SHORT
    bad_params = [
        {"reynolds": 500.0},
        {"radius": 0.2},
        {"centre": [0.05, 0.2]},
        {"duration": -1.0},
        {"time_step": 0.1},
        {"element": "cubic"},
    ]


class TestObstacleWake(StageContract):
    stage_id = "cfd.obstacle-wake"
    params = SHORT | {"shape": "square", "angle": 20.0}
    bad_params = [
        {"shape": "star"},
        {"shape": "outline"},
        {"shape": "ellipse", "outline": "a.csv"},
        {"size": 0.4},
        {"naca": "12"},
        {"time_step": 0.1},
    ]


def history(reynolds=100.0, frequency=2.9, element="linear"):
    """A wake's force history, with a mesh of four nodes on the cylinder."""
    t = np.linspace(0, 6, 600).reshape(100, 6)
    lift = np.sin(2 * np.pi * frequency * t)
    pressure = np.tile([0.0, 1.0, 0.0, 2.0], (100, 1)).astype(np.float32)
    return xr.Dataset(
        {
            "drag": (("time", "substep"), 3 + 0.1 * lift, {"units": "1"}),
            "lift": (("time", "substep"), lift, {"units": "1"}),
            "pressure": (("time", "node"), pressure, {"units": "m2 s-2"}),
            "obstacle_nodes": ("ring", np.arange(4)),
        },
        {
            "force_time": (("time", "substep"), t, {"units": "s"}),
            "node_x": ("node", np.array([1.0, 0.0, 1.0, 2.0]), {"units": "m"}),
            "node_y": ("node", np.array([2.0, 1.0, 0.0, 1.0]), {"units": "m"}),
        },
        {"reynolds": reynolds, "diameter": 0.1, "mean_velocity": 1.0, "element": element},
    )


class TestStrouhalTable(StageContract):
    stage_id = "cfd.strouhal"
    bad_params = [{"window": 0.0}]

    def inputs(self):
        return {"fields": [history(80.0, 2.9), history(60.0, 2.5)]}


class TestPlotForces(StageContract):
    stage_id = "cfd.plot-forces"

    def inputs(self):
        names = ("strouhal", "frequency", "drag_max", "drag_mean", "lift_max")
        columns = {name: ("sample", [1.0, 2.0], {"units": "s-1" if name == "frequency" else "1"}) for name in names}
        table = xr.Dataset(
            {**columns, "periods": ("sample", [5, 6])}, {"reynolds": ("sample", [60.0, 80.0], {"units": "1"})}
        )
        return {**TestStrouhalTable().inputs(), "table": table}


class TestDfgTable(StageContract):
    stage_id = "cfd.dfg-table"
    bad_params = [{"window": 2.0}]

    def inputs(self):
        return {"steady": [history(20.0), history(20.0, element="quadratic")], "periodic": [history(), history()]}


def test_dfg_table_compares_every_quantity(tmp_path):
    table = Store(tmp_path / "s", durable=False)
    found = table.open(TestDfgTable().run_stage(table)["table"])
    drops = found.sel(row=(found.quantity == "pressure_drop").compute())
    np.testing.assert_allclose(drops.ours, (1.0 - 2.0) * 0.04, rtol=1e-6)  # node 1 is in front, node 3 behind
    assert set(zip(found.case.values, found.quantity.values, strict=True)) == {
        ("2D-1", "drag"),
        ("2D-1", "lift"),
        ("2D-1", "pressure_drop"),
        ("2D-2", "drag"),
        ("2D-2", "lift"),
        ("2D-2", "strouhal"),
    }
    assert float(found.error[(found.quantity == "strouhal").values][0]) == pytest.approx(
        100 * (0.29 / 0.3 - 1), abs=0.1
    )


def test_table_has_a_row_for_each_wake_by_reynolds_number(tmp_path):
    store = Store(tmp_path / "s", durable=False)
    table = store.open(TestStrouhalTable().run_stage(store)["table"])
    np.testing.assert_array_equal(table.reynolds, [60, 80])
    np.testing.assert_allclose(table.strouhal, [0.25, 0.29], rtol=1e-3)


# -- elements


@pytest.mark.parametrize(
    ("kind", "runs", "expected"),
    [
        ("linear", [(16, 40), (32, 80), (64, 160)], (2.0, 2.0)),
        ("quadratic", [(8, 60), (16, 170), (32, 480)], (3.0, 2.0)),
    ],
)
def test_orders_in_space_and_time_together(kind, runs, expected):
    """Decaying Taylor-Green vortex, with dt ~ h for P1/P1 and dt ~ h^1.5 for P2/P1."""
    errors = np.array([flow_errors(n, steps, kind) for n, steps in runs])
    np.testing.assert_allclose(np.log2(errors[-2] / errors[-1]), expected, atol=0.2)


def test_order_in_time_alone():
    """A flow that quadratic elements hold exactly: BDF2 with its extrapolations is of second order."""
    errors = np.array([time_errors(steps) for steps in (20, 40, 80)])
    np.testing.assert_allclose(np.log2(errors[-2] / errors[-1]), 2.0, atol=0.2)


@pytest.mark.parametrize("kind", ["linear", "quadratic"])
def test_vorticity_of_a_rotation_is_twice_its_rate(kind):
    nodes, _, matrices = elements(8, kind)
    rotation = 3.0 * np.stack([-nodes[:, 1], nodes[:, 0]])
    np.testing.assert_allclose(matrices.curl @ rotation.ravel(), 6.0, rtol=1e-11)


@pytest.mark.parametrize("kind", ["linear", "quadratic"])
def test_convection_neither_makes_nor_loses_energy_in_a_closed_box(kind):
    nodes, rim, matrices = elements(8, kind)
    u = np.random.default_rng(0).standard_normal((2, len(nodes)))
    u[:, rim] = 0
    assert abs((u * matrices.convection(u)).sum()) < 1e-13 * np.abs(u * matrices.convection(u)).sum()


def test_outlet_takes_energy_from_fluid_that_comes_back():
    def nothing(u):
        return np.zeros_like(u)

    outlet = directional_outflow(nothing, np.array([1, 2]), np.array([0.5, 0.5]))
    u = np.array([[-1.0, 2.0, -3.0], [1.0, 1.0, 1.0]])
    np.testing.assert_allclose(outlet(u), [[0, 0, 0.5 * 0.5 * 3 * -3.0], [0, 0, 0.5 * 0.5 * 3 * 1.0]])


def test_quadrature_is_exact_to_degree_five():
    from math import factorial

    points, weights = quadrature()
    for i in range(6):
        for j in range(6 - i):
            exact = factorial(i) * factorial(j) / factorial(i + j + 2)
            assert (weights * points[:, 0] ** i * points[:, 1] ** j).sum() == pytest.approx(exact, rel=1e-14)


def test_folded_elements_are_refused():
    nodes, triangles, _ = square(4)
    mesh = quadratic_mesh(nodes, triangles)
    mesh.nodes[mesh.cells[3, 3]] += 0.4
    with pytest.raises(ValueError, match="folded over"):
        taylor_hood(mesh)


def test_matrices_are_those_of_the_textbook():
    """One right triangle: mass, stiffness and divergence of hat functions."""
    matrices = equal_order(np.array([[0.0, 0], [1, 0], [0, 1]]), np.array([[0, 1, 2]]), np.array([], int))
    np.testing.assert_allclose(matrices.mass.toarray(), (np.ones((3, 3)) + np.eye(3)) / 24)
    np.testing.assert_allclose(matrices.stiffness.toarray(), [[1, -0.5, -0.5], [-0.5, 0.5, 0], [-0.5, 0, 0.5]])
    np.testing.assert_allclose(matrices.divergence.toarray()[0], np.array([-1, 1, 0, -1, 0, 1]) / 6)


# -- flows


@pytest.fixture(scope="module")
def wake():
    frames = list(channel_flow(discretise(channel_mesh()), 1.0, 1e-3, 6.0, 60))
    return [np.concatenate([getattr(f, name) for f in frames]) for name in ("force_times", "drag", "lift")]


def test_vortices_shed_at_the_benchmarks_frequency(wake):
    """DFG 2D-2 (Schäfer & Turek 1996) on the default mesh: St, c_D and c_L within 8 %."""
    t, drag, lift = wake
    result = strouhal(t, lift, 0.1, 1.0)
    assert result.value == pytest.approx(0.300, rel=0.08), result.reason
    late = t > 4
    assert drag[late].max() == pytest.approx(3.23, rel=0.08)
    assert lift[late].max() == pytest.approx(1.00, rel=0.08)


def test_steady_benchmark_with_taylor_hood_elements():
    """DFG 2D-1: drag within 1 %, lift within 5 %, pressure drop within 1 %."""
    domain = discretise(channel_mesh(h_min=0.05 / 6), "quadratic")
    last = list(channel_flow(domain, 1.0, 5e-3, 4.0, 2, perturbation=0.0))[-1]
    assert last.drag[-1] == pytest.approx(STEADY["drag"].value, rel=0.01)
    assert last.lift[-1] == pytest.approx(STEADY["lift"].value, rel=0.05)
    drop = pressure_drop(domain.nodes, domain.obstacle, last.pressure, 1.0)
    assert drop == pytest.approx(STEADY["pressure_drop"].value, rel=0.01)


@pytest.mark.parametrize("element", ["linear", "quadratic"])
def test_time_step_follows_the_flow(element):
    """An inclined ellipse speeds the flow up far beyond the estimate; the CFL number stays below its limit."""
    outline = ellipse((0.3, 0.2), (0.075, 0.03), -35)
    domain = discretise(channel_mesh(1.6, 0.41, outline, reference_size(outline) / 8), element)
    frames = list(channel_flow(domain, 1.0, domain.size / 120, 0.4, 8))
    assert [len(f.force_times) for f in frames] == [len(frames[0].force_times)] * 8
    times = np.concatenate([f.force_times for f in frames])
    np.testing.assert_allclose(np.diff(times), times[0], rtol=1e-9)
    assert max(cfl_rate(domain, f.velocity.T) for f in frames) * largest_time_step(domain, 1.0) > CFL_LIMITS[element]


def test_changing_the_step_keeps_the_history(monkeypatch, wake):
    """Forced to change its step all the time, the wake sheds as before."""
    _, drag, _ = wake
    needed = flows._March._needed
    calls = iter(range(10**9))
    monkeypatch.setattr(flows._March, "_needed", lambda self, u, m: needed(self, u, m) + (next(calls) // 9) % 3)
    frames = list(channel_flow(discretise(channel_mesh()), 1.0, 1e-3, 1.0, 10))
    found = np.concatenate([f.drag for f in frames])
    np.testing.assert_allclose(found[20:], drag[20 : len(found)], rtol=5e-3)


def test_quadratic_elements_have_their_nodes_on_the_curve():
    domain = discretise(channel_mesh(h_min=0.0125), "quadratic")
    np.testing.assert_allclose(np.hypot(*(domain.nodes[domain.obstacle] - 0.2).T), 0.05, rtol=1e-12)
    assert len(domain.obstacle) == 2 * len(channel_mesh(h_min=0.0125).obstacle)
    both = {*domain.inlet.tolist()} | {*domain.walls.tolist()} | {*domain.obstacle.tolist()}
    assert len(both) == len(domain.fixed)


def test_frequency_of_a_known_signal_and_reasons_for_none():
    t = np.linspace(0, 10, 4001)
    assert strouhal(t, np.sin(2 * np.pi * 3.1 * t + 0.4), 0.1, 2.0).value == pytest.approx(0.155, rel=1e-5)
    assert "no shedding" in strouhal(t, 1e-4 * np.sin(t), 0.1, 1.0).reason
    assert "periods" in strouhal(t, np.sin(t), 0.1, 1.0).reason
    assert "not finite" in strouhal(t, np.full_like(t, np.nan), 0.1, 1.0).reason
    assert "irregular" in strouhal(t, np.sin(2 * np.pi * t**2 / 3), 0.1, 1.0).reason


def test_observed_order_is_the_slope():
    h = np.array([0.1, 0.05, 0.02])
    assert observed_order(h, 3 * h**2.5) == pytest.approx(2.5)
    assert np.isnan(observed_order(h[:1], h[:1]))


def test_bad_flows_are_refused_before_anything_is_computed():
    domain = discretise(channel_mesh(h_min=0.0125))
    with pytest.raises(ValueError, match=r"Reynolds number 1e\+04 is outside \[1.0, 200.0\]"):
        channel_flow(domain, 1.0, 1e-5)
    with pytest.raises(ValueError, match="above the limit of stability"):
        channel_flow(domain, 1.0, 1e-3, dt=2 * largest_time_step(domain, 1.0))
    with pytest.raises(ValueError, match="positive"):
        channel_flow(domain, 1.0, 1e-3, duration=0.0)
    with pytest.raises(ValueError, match="gap between the obstacle and the lower wall"):
        channel_mesh(outline=circle((0.2, 0.06), 0.05))
    with pytest.raises(ValidationError, match="lower wall"):
        CylinderWake.Params(centre=(0.2, 0.06))
    with pytest.raises(ValidationError, match="CFL number"):
        CylinderWake.Params(time_step=0.01)
    with pytest.raises(ValidationError, match="from the lower wall"):
        ObstacleWake.Params(shape="ellipse", size=0.3, aspect=1.0, centre=(0.4, 0.2))


def test_outline_of_a_file_is_placed_and_scaled(tmp_path):
    (tmp_path / "box.csv").write_text("x,y\n0,0\n1,0\n1,1\n0,1\n")
    params = ObstacleWake.Params(shape="outline", outline=str(tmp_path / "box.csv"), size=0.1, centre=(0.3, 0.2))
    outline = ObstacleWake().outline(params)
    np.testing.assert_allclose(outline.bounds, (0.25, 0.35, 0.15, 0.25), atol=1e-12)
    assert set(ObstacleWake.files(params)) == {"box.csv"}
