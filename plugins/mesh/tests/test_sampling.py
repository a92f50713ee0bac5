"""Interpolation is exact where it should be; what a mesh covers; populations."""

import numpy as np
import pytest
import xarray as xr
from fieldloom.contracts import mesh as meshes
from fieldloom.contracts.population import part
from fieldloom.errors import StageFailed
from fieldloom_mesh.locating import interpolation
from fieldloom_mesh.voxels import covered, distance
from hypothesis import given, settings
from hypothesis import strategies as st
from running import run
from sample_meshes import kinds, sphere, triangles
from scipy.spatial import Delaunay

RESAMPLE, VOXELIZE, GATHER = "mesh.resample", "mesh.voxelize", "mesh.gather"


def linear(data):
    """The mesh with a field that is linear in space, and one on cells."""
    x = 2 * data.node_x + 3 * data.node_y + 1
    return data.assign(linear=("node", x.values), number=("cell", np.arange(data.sizes["cell"], dtype=float)))


@pytest.mark.parametrize("d", [2, 3])
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), power=st.floats(0.5, 3.0))
def test_location_agrees_with_an_oracle(d, seed, power):
    """Any graded Delaunay mesh: the same points are inside, and linear fields are exact."""
    rng = np.random.default_rng(seed)
    nodes = rng.random((60, d)) ** power
    oracle = Delaunay(nodes)
    points = rng.random((200, d)) * 1.2 - 0.1
    found = interpolation(nodes, oracle.simplices.astype(np.int64), points)
    np.testing.assert_array_equal(found.inside, oracle.find_simplex(points) >= 0)
    values = nodes @ np.arange(1, d + 1)
    np.testing.assert_allclose((found.matrix @ values)[found.inside], (points @ np.arange(1, d + 1))[found.inside])


def test_nodes_of_the_mesh_find_themselves():
    rng = np.random.default_rng(0)
    nodes = rng.random((300, 3))
    found = interpolation(nodes, Delaunay(nodes).simplices.astype(np.int64), nodes)
    assert found.inside.all()
    np.testing.assert_allclose((found.matrix @ nodes), nodes, atol=1e-9)


def test_points_outside_take_the_nearest_node_if_asked():
    nodes = np.array([[0.0, 0], [1, 0], [0, 1]])
    triangle, outside = np.array([[0, 1, 2]]), np.array([[2.0, -1.0], [0.2, 0.2]])
    assert not interpolation(nodes, triangle, outside).inside[0]
    near = interpolation(nodes, triangle, outside, nearest=True)
    np.testing.assert_allclose(near.matrix.toarray()[0], [0, 1, 0])
    np.testing.assert_allclose(near.matrix.toarray()[1].sum(), 1.0)


def test_grid_holds_linear_fields_exactly(tmp_path):
    data = linear(triangles())
    grid = run(RESAMPLE, tmp_path, {"fields": data}, variables=["linear", "number"], cells=10)["fields"]
    assert grid.linear.dims == ("y", "x")
    np.testing.assert_allclose(grid.linear, (2 * grid.x + 3 * grid.y + 1).transpose("y", "x"), rtol=1e-12)
    assert bool(grid.inside.all())
    assert set(np.unique(grid.number)) <= set(range(72))


def test_series_keeps_its_time_and_components(tmp_path):
    grid = run(RESAMPLE, tmp_path, {"fields": triangles()}, spacing=0.1, bounds={"x": [0.0, 0.5]})["fields"]
    assert grid.velocity.dims == ("time", "y", "x", "component")
    assert grid.sizes["x"] == 5
    np.testing.assert_array_equal(grid.time, [0, 0.5, 1.0])
    assert grid.velocity.attrs["units"] == "m s-1"


def test_points_outside_are_nan_or_nearest(tmp_path):
    points = [[0.5, 0.5], [3.0, 0.5]]
    data = {"fields": linear(triangles())}
    found = run(RESAMPLE, tmp_path / "a", data, onto="points", points=points, variables=["linear"])["fields"]
    np.testing.assert_allclose(found.linear, [3.5, np.nan])
    near = run(RESAMPLE, tmp_path / "b", data, onto="points", points=points, variables=["linear"], outside="nearest")[
        "fields"
    ]
    np.testing.assert_allclose(near.linear, [3.5, 4.5], atol=0.2)


def test_another_mesh_gets_the_fields_at_its_nodes(tmp_path):
    data = {"fields": linear(triangles()), "target": triangles(n=9)}
    found = run(RESAMPLE, tmp_path, data, onto="mesh", variables=["linear", "temperature"])["fields"]
    assert found.temperature.dims == ("time", "node")
    assert found.sizes["node"] == 100
    assert not [*meshes.violations(found)]
    other = triangles(n=9)
    other.node_x.attrs["units"] = "mm"
    with pytest.raises(StageFailed, match="the mesh is in 'm', the target in 'mm'"):
        run(RESAMPLE, tmp_path / "b", {"fields": data["fields"], "target": other}, onto="mesh")


def test_surfaces_in_space_have_nothing_to_interpolate_in(tmp_path):
    ball = sphere().assign(a=("node", np.zeros(sphere().sizes["node"])))
    with pytest.raises(StageFailed, match="no inside to interpolate in"):
        run(RESAMPLE, tmp_path, {"fields": ball})


@pytest.mark.parametrize("name", ["triangles and quads", "mixed volumes", "polygons", "quadratic tetrahedra"])
def test_simplices_fill_the_cells(name):
    """Splitting keeps the area and the volume: each simplex is positive, and they add up to VTK's sizes."""
    from fieldloom_mesh.datasets import dataset_of
    from fieldloom_mesh.pyvista_grids import grid_of

    mesh = kinds()[name]
    data = dataset_of(mesh, None, {}, None)
    corners, parents = meshes.simplices(data)
    points = meshes.points_of(data)
    edges = points[corners[:, 1:]] - points[corners[:, :1]]
    if corners.shape[1] == 4:
        size = np.linalg.det(edges) / 6
        assert (size >= 0).all()
    else:
        size = np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1) / 2
    if name != "quadratic tetrahedra":  # random nodes: it is folded
        sizes = grid_of(data).compute_cell_sizes()
        whole = np.abs(sizes["Volume"] if corners.shape[1] == 4 else sizes["Area"])
        planar = name == "triangles and quads" or name == "polygons"
        np.testing.assert_allclose(np.bincount(parents, size), whole, rtol=1e-9 if planar else 0.1)
    assert set(parents.tolist()) == set(range(data.sizes["cell"]))


# -- voxels


def test_voxels_of_a_sphere_have_its_volume_and_distance(tmp_path):
    found = run(VOXELIZE, tmp_path, {"mesh": sphere(24)}, cells=40, distance=True)["voxels"]
    h = float(found.x[1] - found.x[0])
    assert float(found.inside.sum()) * h**3 == pytest.approx(4 / 3 * np.pi, rel=0.03)
    radius = np.sqrt(found.x**2 + found.y**2 + found.z**2)
    np.testing.assert_allclose(
        found.distance.transpose("x", "y", "z"), (radius - 1).transpose("x", "y", "z"), atol=0.02
    )


def test_distance_is_exact_for_a_plane_mesh():
    targets = np.array([[0.5, 0.5, 0], [0.1, 0.5, 0], [1.25, 0.5, 0], [2.0, 2.0, 0]])
    inside = covered(triangles(), targets)
    np.testing.assert_array_equal(inside, [True, True, False, False])
    np.testing.assert_allclose(distance(triangles(), targets, inside), [-0.5, -0.1, 0.25, np.sqrt(2)])


def test_open_surfaces_enclose_nothing(tmp_path):
    with pytest.raises(StageFailed, match="the surface is open: 3 edges"):
        run(VOXELIZE, tmp_path, {"mesh": sphere(hole=True)})


# -- populations


def test_population_gives_its_meshes_back(tmp_path):
    small, large = triangles(n=4), triangles(n=6)
    whole = run(GATHER, tmp_path, {"meshes": [small, large]})["population"]
    assert whole.sizes["node"] == 25 + 49
    np.testing.assert_array_equal(whole.i, [0, 1])  # the coordinate of the collected instances
    for i, original in enumerate((small, large)):
        one = part(whole, i)
        for name in ("node_x", "cell_connectivity", "cell_offsets", "temperature", "flux", "velocity"):
            np.testing.assert_array_equal(one[name], original[name])
        assert not [*meshes.violations(one)]
    with pytest.raises(IndexError, match="has 2 meshes"):
        part(whole, 2)


def test_population_with_times_of_their_own(tmp_path):
    one, two = triangles(n=4), triangles(n=5)
    two = two.assign_coords(time=two.time * 2)
    whole = run(GATHER, tmp_path, {"meshes": [one, two]})["population"]
    np.testing.assert_array_equal(part(whole, 1).time, two.time)


def test_meshes_that_do_not_fit_together_are_refused(tmp_path):
    with pytest.raises(StageFailed, match="mesh 1 has the fields"):
        run(GATHER, tmp_path, {"meshes": [triangles(), triangles().drop_vars("flux")]})
    other = triangles()
    other.node_x.attrs["units"] = "mm"
    with pytest.raises(StageFailed, match="'node_x' of mesh 1 is in 'mm'"):
        run(GATHER, tmp_path / "b", {"meshes": [triangles(), other]})


def test_cells_may_not_reach_into_another_sample():
    from fieldloom.contracts.population import join, violations

    whole = join([triangles(n=3), triangles(n=4)]).load()
    assert not [*violations(whole)]
    connectivity = whole.cell_connectivity.values.copy()
    connectivity[0] = 20
    strange = whole.drop_vars("face_nodes", errors="ignore").assign(cell_connectivity=("conn", connectivity))
    (problem,) = violations(strange)
    assert "cells of sample 0 point to nodes" in problem


# -- what a careful reader found


def polygons(points, *rings):
    """A mesh of polygons on z = 0 (or as given)."""
    from fieldloom.contracts.mesh import mesh_variables

    points = np.asarray(points, float)
    flat = np.concatenate([np.asarray(ring) for ring in rings])
    offsets = np.cumsum([0, *map(len, rings)])
    types = np.array([{3: 5, 4: 9}.get(len(ring), 7) for ring in rings], np.uint8)
    return xr.Dataset(mesh_variables(points, flat, offsets, types)).set_coords(["node_x", "node_y", "node_z"])


@pytest.mark.parametrize("z", [0.0, 5.0])
def test_plane_meshes_may_lie_anywhere(z, tmp_path):
    data = triangles().assign_coords(node_z=("node", np.full(49, z), {"units": "m"}))
    found = run(VOXELIZE, tmp_path, {"mesh": data}, cells=8, margin=0.0, distance=True)["voxels"]
    assert bool(found.inside.all())
    np.testing.assert_allclose(found.distance.min(), -7 / 16, atol=1e-6)
    points = run(RESAMPLE, tmp_path / "b", {"fields": data}, onto="points", points=[[0.5, 0.5]])["fields"]
    assert np.isfinite(points.temperature).all()
    with pytest.raises(StageFailed, match="points elsewhere are not on it"):
        run(RESAMPLE, tmp_path / "c", {"fields": data}, onto="points", points=[[0.5, 0.5, z + 1]])
    with pytest.raises(StageFailed, match="nothing to bound along z"):
        run(RESAMPLE, tmp_path / "d", {"fields": data}, bounds={"z": [0.0, 1.0]})


def test_concave_polygons_cover_themselves_alone():
    house = [[0, 0], [1, 0.9], [2, 0], [2, 2], [0, 2]]
    arrow = [[0, 0], [2, 0], [0.4, 0.4], [0, 2]]
    for points, area in ((house, 3.1), (arrow, 0.8), (np.roll(house, 2, 0), 3.1), (np.roll(arrow, 1, 0), 0.8)):
        data = polygons(points, range(len(points)))
        corners, _ = meshes.simplices(data)
        edges = np.asarray(points, float)[corners[:, 1:]] - np.asarray(points, float)[corners[:, :1]]
        assert np.linalg.det(edges).sum() / 2 == pytest.approx(area)
    assert not covered(polygons(house, range(5)), np.array([[1.0, 0.3, 0.0]]))[0]


def test_faces_inside_a_mesh_are_no_boundary():
    """However two neighbouring hexahedra are numbered, and where nodes are double."""
    from fieldloom.contracts.cells import boundary
    from fieldloom.contracts.mesh import mesh_variables

    points = np.array([[x, y, z] for z in (0, 1) for y in (0, 1) for x in (0, 1, 2)], float)
    one, two = [0, 1, 4, 3, 6, 7, 10, 9], [1, 2, 5, 4, 7, 8, 11, 10]
    turned = [two[i] for i in (4, 0, 3, 7, 5, 1, 2, 6)]  # the same box, other local axes
    for second in (two, turned):
        data = xr.Dataset(
            mesh_variables(points, np.array(one + second), np.array([0, 8, 16]), np.full(2, 12, np.uint8))
        )
        assert len(boundary(data)) == 20
    torn = polygons([[0, 0], [1, 0], [1, 1], [0, 1], [1, 0], [2, 0], [2, 1], [1, 1]], range(4), range(4, 8))
    assert len(boundary(torn)) == 6


def test_static_fields_stay_beside_those_that_move(tmp_path):
    data = triangles().assign(material=("cell", np.arange(72.0)))
    grid = run(RESAMPLE, tmp_path, {"fields": data}, variables=["temperature", "material"], cells=4)["fields"]
    assert grid.material.dims == ("y", "x")
    assert grid.temperature.dims == ("time", "y", "x")


def test_fields_called_like_coordinates_are_refused(tmp_path):
    with pytest.raises(StageFailed, match="a field is called 'inside'"):
        run(RESAMPLE, tmp_path, {"fields": triangles().assign(inside=("node", np.zeros(49)))})


def test_nearest_holds_for_cells_too(tmp_path):
    found = run(RESAMPLE, tmp_path, {"fields": linear(triangles())}, onto="points", points=[[-1.0, -1.0]],
                variables=["number"], outside="nearest")["fields"]  # fmt: skip
    assert np.isfinite(found.number).all()


def test_grids_beyond_memory_are_refused_at_once(tmp_path):
    with pytest.raises(StageFailed, match="take fewer cells"):
        run(RESAMPLE, tmp_path, {"fields": triangles()}, spacing=1e-6)


def test_populations_are_not_resampled_as_one(tmp_path):
    from fieldloom.contracts.population import join

    with pytest.raises(StageFailed, match="this is a population"):
        run(RESAMPLE, tmp_path, {"fields": join([triangles(), triangles()])})


def test_fields_of_one_name_on_nodes_and_cells_are_not_mixed(tmp_path):
    one = triangles().drop_vars(["flux", "velocity"])
    two = one.drop_vars("temperature").assign(temperature=triangles().flux)
    with pytest.raises(StageFailed, match=r"temperature \(time, cell\)"):
        run(GATHER, tmp_path, {"meshes": [one, two]})


def test_times_that_differ_by_round_off_are_the_same(tmp_path):
    two = triangles().assign_coords(time=("time", triangles().time.values * (1 + 1e-14), {"units": "s"}))
    whole = run(GATHER, tmp_path, {"meshes": [triangles(), two]})["population"]
    np.testing.assert_array_equal(whole.time, triangles().time)


def test_graded_and_fan_meshes_are_searched_in_bounded_memory():
    """20,000 triangles around one node, and a mesh graded over six decades."""
    import tracemalloc

    angle = np.linspace(0, 2 * np.pi, 20_000, endpoint=False)
    rim = np.stack([np.cos(angle), np.sin(angle)], 1)
    i = np.arange(len(rim))
    fan = np.stack([np.zeros_like(i), 1 + i, 1 + (i + 1) % len(rim)], 1)
    tracemalloc.start()
    found = interpolation(np.vstack([[0.0, 0.0], rim]), fan, np.array([[0.3, 0.2], [0.0, 1e-9]]))
    assert found.inside.all()
    rng = np.random.default_rng(0)
    radius, turn = 10 ** rng.uniform(-6, 0, 20_000), rng.uniform(0, 2 * np.pi, 20_000)
    nodes = np.stack([radius * np.cos(turn), radius * np.sin(turn)], 1)
    oracle = Delaunay(nodes)
    points = nodes[:500] * 1.001
    graded = interpolation(nodes, oracle.simplices.astype(np.int64), points)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 500e6
    values = nodes @ [1.0, 2.0]
    np.testing.assert_allclose((graded.matrix @ values)[graded.inside], (points @ [1.0, 2.0])[graded.inside], rtol=1e-6)
    assert graded.inside.mean() > 0.95
