"""Vorticity, Q-criterion, statistics, spectra against exact values."""

import numpy as np
import pytest
import xarray as xr
from fieldloom.contracts.cells import weights
from fieldloom.contracts.mesh import mesh_variables, triangle_variables
from fieldloom.testing import StageContract
from fieldloom_cfd.derived import grid_gradient, q_criterion, vorticity
from fieldloom_cfd.spectra import spectrum
from fieldloom_cfd.statistics import Moments
from fieldloom_storage import Store
from manufactured import square


def plane(frames=4, place="node"):
    """A linear flow u = (2 y, -3 x + t) on triangles, with its velocity on nodes or cells."""
    nodes, triangles, _ = square(6)
    x, y = (nodes if place == "node" else nodes[triangles].mean(1)).T
    time = 0.5 * np.arange(frames)
    u = np.stack([np.stack([2 * y, -3 * x + t], 1) for t in time])
    variables = triangle_variables(nodes, triangles)
    variables["velocity"] = (("time", place, "component"), u, {"units": "m s-1", "location": place})
    data = xr.Dataset(variables, {"time": ("time", time, {"units": "s"})})
    return data.set_coords(["node_x", "node_y", "node_z"])


def grid(frames=3):
    """The same flow on a grid, with a sample dimension."""
    x, y = np.linspace(0.05, 0.95, 10), np.linspace(0.05, 0.75, 8)
    xx, yy = np.meshgrid(x, y)
    u = np.stack([np.stack([2 * yy, -3 * xx + t], -1) for t in range(frames)])[None]
    return xr.Dataset(
        {"velocity": (("sample", "time", "y", "x", "component"), u, {"units": "m s-1"})},
        {"x": ("x", x, {"units": "m"}), "y": ("y", y, {"units": "m"}), "time": ("time", np.arange(frames) * 1.0)},
    )


def hexahedra(n=3):
    """A rotation about the axis (1, 2, 3) on hexahedra."""
    s = np.arange(n + 1.0)
    z, y, x = (a.ravel() for a in np.meshgrid(s, s, s, indexing="ij"))
    k, j, i = (a.ravel() for a in np.meshgrid(*[np.arange(n)] * 3, indexing="ij"))
    base = i + (n + 1) * (j + (n + 1) * k)
    floor = np.stack([base, base + 1, base + n + 2, base + n + 1], 1)
    cells = np.concatenate([floor, floor + (n + 1) ** 2], 1)
    points = np.stack([x, y, z], 1)
    m = len(cells)
    variables = mesh_variables(points, cells.ravel(), np.arange(0, 8 * m + 1, 8), np.full(m, 12, np.uint8))
    variables["U"] = (("node", "component"), np.cross([1.0, 2.0, 3.0], points))
    return xr.Dataset(variables).set_coords(["node_x", "node_y", "node_z"])


class TestVorticity(StageContract):
    stage_id = "cfd.vorticity"
    bad_params = [{"quantities": ["helicity"]}, {"quantities": []}]

    def inputs(self):
        return {"fields": plane()}


class TestStatistics(StageContract):
    stage_id = "cfd.statistics"
    bad_params = [{"start": 1.0}, {"variables": []}]

    def inputs(self):
        return {"fields": plane()}


class TestSpectrum(StageContract):
    stage_id = "cfd.spectrum"
    params = {"variable": "signal"}
    bad_params = [{}, {"variable": "signal", "start": 2.0}]

    def inputs(self):
        t = np.arange(200) * 0.05
        signal = np.sin(2 * np.pi * 1.7 * t) + 0.3
        return {"series": xr.Dataset({"signal": ("time", signal)}, {"time": ("time", t, {"units": "s"})})}


def run(case, tmp_path, data, **params):
    store = Store(tmp_path / "s", durable=False)
    contract = case()
    contract.inputs = lambda: data
    return {port: store.open(digest) for port, digest in contract.run_stage(store, **params).items()}


def test_vorticity_and_q_of_a_linear_flow_are_exact_on_a_mesh(tmp_path):
    found = run(TestVorticity, tmp_path, {"fields": plane()})["fields"]
    np.testing.assert_allclose(found.vorticity, -5.0, rtol=1e-5)
    # spin 5/2, strain 1/2 off the diagonal: (2 * 2.5^2 - 2 * 0.5^2) / 2
    np.testing.assert_allclose(found.q_criterion, 6.0, rtol=1e-5)
    assert found.vorticity.attrs["units"] == "s-1"
    assert "velocity" not in found
    assert "face_nodes" in found


def test_vorticity_of_cell_values_is_right_inside(tmp_path):
    found = run(TestVorticity, tmp_path, {"fields": plane(place="cell")})["fields"]
    inside = (np.abs(found.node_x - 0.5) < 0.3) & (np.abs(found.node_y - 0.5) < 0.3)
    np.testing.assert_allclose(found.vorticity[:, inside.values], -5.0, rtol=0.1)


def test_vorticity_on_a_grid_keeps_its_samples(tmp_path):
    found = run(TestVorticity, tmp_path, {"fields": grid()}, quantities=["vorticity"])["fields"]
    assert found.vorticity.dims == ("sample", "time", "y", "x")
    np.testing.assert_allclose(found.vorticity, -5.0, rtol=1e-5)
    assert "q_criterion" not in found


def test_vorticity_of_a_rotation_in_space(tmp_path):
    found = run(TestVorticity, tmp_path, {"fields": hexahedra()}, velocity="U")["fields"]
    np.testing.assert_allclose(found.vorticity, np.broadcast_to([2.0, 4.0, 6.0], found.vorticity.shape), rtol=1e-5)
    np.testing.assert_allclose(found.q_criterion, 14.0, rtol=1e-5)  # |omega|^2 of a rigid rotation


def test_gradients_on_a_grid_in_space():
    z, y, x = np.meshgrid(np.arange(4.0), np.arange(5.0) * 0.5, np.arange(6.0) * 0.2, indexing="ij")
    g = grid_gradient(np.stack([x + 2 * y, 3 * z, x * 0], -1), (0.2, 0.5, 1.0))
    np.testing.assert_allclose(g[1, 1, 1], [[1, 2, 0], [0, 0, 3], [0, 0, 0]], atol=1e-12)
    np.testing.assert_allclose(vorticity(g)[2, 2, 2], [-3, 0, -2], atol=1e-12)
    assert q_criterion(g).shape == (4, 5, 6)


def test_statistics_are_those_of_numpy(tmp_path):
    data = plane(7)
    out = run(TestStatistics, tmp_path, {"fields": data}, start=0.3)
    used = data.velocity[2:].values
    np.testing.assert_allclose(out["fields"].velocity_mean, used.mean(0), rtol=1e-6)
    np.testing.assert_allclose(out["fields"].velocity_std, used.std(0), atol=1e-6)
    np.testing.assert_allclose(out["fields"].velocity_max, used.max(0), rtol=1e-6)
    np.testing.assert_allclose(out["fields"].turbulent_kinetic_energy, 0.5 * (used.std(0) ** 2).sum(-1), rtol=1e-5)
    rows = out["table"].to_pandas().set_index("field") if hasattr(out["table"], "to_pandas") else None
    x, y = rows.loc["velocity[x]"], rows.loc["velocity[y]"]
    assert x["mean"] == pytest.approx(1.0, rel=1e-6)  # the area's mean of 2 y on the unit square
    assert y["std"] == pytest.approx(used[:, 0, 1].std(), rel=1e-6)
    assert y["unit"] == "m s-1"


def test_statistics_of_what_does_not_change_are_refused(tmp_path):
    from fieldloom.errors import StageFailed

    with pytest.raises(StageFailed, match="taken over time"):
        run(TestStatistics, tmp_path, {"fields": hexahedra()}, variables=["U"])


def test_moments_are_stable_for_a_large_mean():
    values = 1e8 + np.random.default_rng(0).standard_normal((500, 3))
    moments = Moments()
    for row in values:
        moments.add(row)
    np.testing.assert_allclose(moments.std, values.std(0), rtol=1e-6)


def test_weights_add_up_to_the_area_and_volume():
    assert weights(plane())["node"].sum() == pytest.approx(1.0)
    assert weights(plane())["cell"].sum() == pytest.approx(1.0)
    assert weights(hexahedra())["cell"].sum() == pytest.approx(27.0)
    assert weights(grid()) == {}


def test_peak_lies_between_the_frequencies_of_the_transform():
    t = np.arange(300) * 0.02
    for f in (1.234, 3.3, 7.77):
        found = spectrum(t, np.sin(2 * np.pi * f * t)[:, None])
        assert found.peak[0] == pytest.approx(f, rel=2e-3)
        assert np.trapezoid(found.power[:, 0], found.frequency) == pytest.approx(0.5, rel=0.05)


@pytest.mark.parametrize(
    ("times", "signal", "message"),
    [
        (np.arange(5.0), np.ones(5), "at least 8"),
        (np.array([0.0, 1, 2, 2, 3, 4, 5, 6]), np.ones(8), "after instant 2"),
        (np.arange(9.0), np.full(9, np.nan), "not finite"),
    ],
)
def test_series_without_a_spectrum_are_refused(times, signal, message):
    with pytest.raises(ValueError, match=message):
        spectrum(times, signal[:, None])


def test_peak_of_a_constant_is_nan():
    assert np.isnan(spectrum(np.arange(20.0), np.ones((20, 1))).peak[0])


def rotation(n, place, cells_as=9):
    """A rigid rotation at 1 rad/s on quadrilaterals, with its velocity on nodes or cells."""
    s = np.linspace(-1, 1, n + 1)
    x, y = (a.ravel() for a in np.meshgrid(s, s))
    corner = (np.arange(n)[:, None] * (n + 1) + np.arange(n)).ravel()
    quads = np.stack([corner, corner + 1, corner + n + 2, corner + n + 1], 1)
    points = np.stack([x, y], 1)
    at = points if place == "node" else points[quads].mean(1)
    m = len(quads)
    variables = mesh_variables(points, quads.ravel(), np.arange(0, 4 * m + 1, 4), np.full(m, cells_as, np.uint8))
    variables["velocity"] = ((place, "component"), np.stack([-at[:, 1], at[:, 0]], 1), {"units": "m s-1"})
    return xr.Dataset(variables).set_coords(["node_x", "node_y", "node_z"])


@pytest.mark.parametrize("place", ["node", "cell"])
def test_vorticity_of_a_rotation_is_exact_up_to_the_boundary(place, tmp_path):
    found = run(TestVorticity, tmp_path, {"fields": rotation(8, place)})["fields"]
    np.testing.assert_allclose(found.vorticity, 2.0, rtol=1e-5)


def test_nodes_inside_quadratic_edges_have_values_too(tmp_path):
    corners = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]], float)
    edges = [(0, 1), (1, 2), (2, 3), (3, 0), (4, 5), (5, 6), (6, 7), (7, 4), (0, 4), (1, 5), (2, 6), (3, 7)]
    points = np.vstack([corners, [(corners[a] + corners[b]) / 2 for a, b in edges], [[9.0, 9.0, 9.0]]])
    variables = mesh_variables(points, np.arange(20), np.array([0, 20]), np.array([25], np.uint8))
    variables["velocity"] = (("node", "component"), np.cross([0, 0, 1.0], points))
    data = xr.Dataset(variables).set_coords(["node_x", "node_y", "node_z"])
    found = run(TestVorticity, tmp_path, {"fields": data})["fields"].vorticity.values
    np.testing.assert_allclose(found[:20, 2], 2.0, rtol=1e-5)
    assert np.isnan(found[20]).all()  # it belongs to no cell


def test_statistics_skip_what_is_not_finite_and_keep_tensors(tmp_path):
    data = plane(4)
    u = data.velocity.values.copy()
    u[:, 0] = np.nan
    data = data.assign(velocity=(data.velocity.dims, u, data.velocity.attrs))
    data = data.assign(stress=(("time", "node", "component_9"), np.ones((4, data.sizes["node"], 9))))
    table = run(TestStatistics, tmp_path, {"fields": data})["table"]
    assert table.sizes["row"] == 2 + 9
    assert np.isfinite(table["mean"]).all()


def test_precision_of_the_input_is_kept(tmp_path):
    data = plane(4).assign(p=(("time", "node"), 101325.0 + 1e-3 * np.arange(4)[:, None] * np.ones(49)))
    found = run(TestStatistics, tmp_path, {"fields": data}, variables=["p"])["fields"]
    np.testing.assert_allclose(found.p_max, 101325.003, rtol=1e-12)


def test_fields_are_no_series(tmp_path):
    from fieldloom.errors import StageFailed

    with pytest.raises(StageFailed, match="take some points"):
        run(TestSpectrum, tmp_path, {"series": plane(20)}, variable="velocity")


def test_round_off_has_no_peak():
    t = np.arange(100) * 0.1
    assert np.isnan(spectrum(t, np.full((100, 1), 101325.1)).peak[0])
    assert np.isnan(spectrum(t, np.full((100, 1), 0.1)).peak[0])


def test_grids_of_two_rows_have_gradients():
    assert np.isfinite(grid_gradient(np.zeros((2, 5, 2)), (0.1, 0.1))).all()
