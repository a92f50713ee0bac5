"""The stages keep their contracts; files become Datasets and files again; meshes are checked in words."""

import numpy as np
import pytest
import xarray as xr
from fieldloom.contracts import mesh as meshes
from fieldloom.contracts.population import part
from fieldloom.errors import StageFailed
from fieldloom.testing import StageContract
from fieldloom_mesh.checking import examine
from fieldloom_mesh.datasets import dataset_of, mesh_of
from fieldloom_mesh.formats.meshes import Mesh
from fieldloom_mesh.formats.writing import write
from running import run
from sample_meshes import kinds, solid, sphere, surface, triangles

FIELDS = {"fields": triangles()}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    write(folder / "one.vtu", solid())
    write(folder / "series.pvd", [(0.25 * i, solid(i)) for i in range(3)])
    return folder


class TestRead(StageContract):
    stage_id = "mesh.read"
    bad_params = [{}, {"path": "a.vtu", "collect": "both"}, {"path": "a.vtu", "every": 0},
                  {"path": "a.vtu", "units": {"U": "furlongs per blink"}}]  # fmt: skip

    @pytest.fixture(autouse=True)
    def _file(self, files):
        self.params = {"path": str(files / "series.pvd"), "units": {"x": "mm", "U": "m s-1", "time": "s"}}


class TestWrite(StageContract):
    stage_id = "mesh.write"
    params = {"stem": "wave"}
    bad_params = [{"stem": "../up"}, {"frames": 0}, {"format": "docx"}]

    def inputs(self):
        return {"fields": triangles()}


class TestInfo(StageContract):
    stage_id = "mesh.info"

    def inputs(self):
        return {"fields": triangles()}


class TestCheck(StageContract):
    stage_id = "mesh.check"
    bad_params = [{"fail_on": "note"}]

    def inputs(self):
        return {"fields": triangles()}


class TestResample(StageContract):
    stage_id = "mesh.resample"
    params = {"cells": 8}
    bad_params = [{"onto": "points"}, {"points": [[0.0, 0.0]]}, {"onto": "points", "points": [[1.0]]}, {"cells": 1}]

    def inputs(self):
        return {"fields": triangles()}


class TestVoxelize(StageContract):
    stage_id = "mesh.voxelize"
    params = {"cells": 10, "distance": True}
    bad_params = [{"cells": 1}, {"margin": -1.0}]

    def inputs(self):
        return {"mesh": sphere()}


class TestGather(StageContract):
    stage_id = "mesh.gather"

    def inputs(self):
        return {"meshes": [triangles(n=4), triangles(n=6)]}


# -- read and write


def test_single_file_has_no_time_and_a_series_has(files, tmp_path):
    one = run("mesh.read", tmp_path / "1", path=str(files / "one.vtu"))["fields"]
    assert "time" not in one.dims
    assert one.p.dims == ("node",)
    many = run("mesh.read", tmp_path / "2", path=str(files / "series.pvd"), units={"x": "mm", "p": "Pa"})["fields"]
    np.testing.assert_array_equal(many.time, [0.0, 0.25, 0.5])
    assert many.U.dims == ("time", "node", "component")
    assert many.c.dims == ("time", "cell")
    assert (many.node_x.attrs["units"], many.p.attrs["units"]) == ("mm", "Pa")
    np.testing.assert_array_equal(many.p[2], solid(2).point_data["p"])


def test_fields_and_instants_can_be_chosen(files, tmp_path):
    found = run("mesh.read", tmp_path, path=str(files / "series.pvd"), variables=["p"], every=2)["fields"]
    assert meshes.field_names(found) == ["p"]
    np.testing.assert_array_equal(found.time, [0.0, 0.5])
    with pytest.raises(StageFailed, match="no field 'q'; it has"):
        run("mesh.read", tmp_path / "2", path=str(files / "one.vtu"), variables=["q"])


def test_folder_is_a_population_if_its_files_are_samples(tmp_path):
    folder = tmp_path / "shapes"
    folder.mkdir()
    write(folder / "a_1.vtu", solid(1.0))
    write(folder / "a_2.vtu", surface_with_fields())
    found = run("mesh.read", tmp_path, path=str(folder), collect="samples", variables=["p"])["fields"]
    assert found.sizes["sample"] == 2
    assert list(found.file.values) == ["a_1.vtu", "a_2.vtu"]
    np.testing.assert_array_equal(part(found, 1).p, surface_with_fields().point_data["p"])
    with pytest.raises(StageFailed, match="collect: samples"):
        run("mesh.read", tmp_path / "2", path=str(folder))


def surface_with_fields():
    m = surface()
    return Mesh(m.points, m.connectivity, m.offsets, m.types, {"p": m.points[:, 0]})


def test_series_whose_fields_come_and_go_is_refused(tmp_path):
    folder = tmp_path / "series"
    folder.mkdir()
    write(folder / "a_1.vtu", solid())
    bare = solid()
    write(folder / "a_2.vtu", Mesh(bare.points, bare.connectivity, bare.offsets, bare.types))
    with pytest.raises(StageFailed, match="instant 1 has the fields"):
        run("mesh.read", tmp_path, path=str(folder))


def test_instants_without_a_time_are_counted(tmp_path):
    folder = tmp_path / "series"
    folder.mkdir()
    for i in range(3):
        write(folder / f"a_{i}.vtu", solid(i))
    np.testing.assert_array_equal(run("mesh.read", tmp_path / "a", path=str(folder))["fields"].time, [0, 1, 2])
    timed = run("mesh.read", tmp_path / "b", path=str(folder), time_step=0.1)["fields"]
    np.testing.assert_allclose(timed.time, [0, 0.1, 0.2])


def test_names_that_clash_or_are_no_names_are_changed():
    m = solid()
    odd = Mesh(m.points, m.connectivity, m.offsets, m.types, {"a/b": m.points[:, 0], "p": m.points[:, 1]},
               {"p": np.zeros(len(m.types)), "time": np.ones(len(m.types))})  # fmt: skip
    data = dataset_of(odd, None, {}, None)
    assert meshes.field_names(data) == ["a_b", "p", "p_cell", "time_cell"]
    assert data.a_b.attrs["long_name"] == "a/b"


def test_every_kind_of_mesh_survives_the_dataset():
    for name, mesh in kinds().items():
        data = dataset_of(mesh, None, {"x": "m"}, None)
        assert not [*meshes.violations(data)], name
        again = mesh_of(data, None)
        np.testing.assert_array_equal(again.points, mesh.points)
        np.testing.assert_array_equal(again.connectivity, mesh.connectivity)
        np.testing.assert_array_equal(again.point_data["U"], mesh.point_data["U"])


def written(found):
    """The files of a stage that writes: name to bytes."""
    return {v.attrs["filename"]: v.values.tobytes() for v in found["files"].data_vars.values()}


def test_series_is_written_for_paraview_and_reads_back(tmp_path):
    import pyvista as pv

    for name, content in written(run("mesh.write", tmp_path / "a", FIELDS, stem="wave")).items():
        (tmp_path / name).write_bytes(content)
    series = pv.get_reader(tmp_path / "wave.pvd")
    assert series.time_values == [0.0, 0.5, 1.0]
    series.set_active_time_value(1.0)
    block = series.read()[0]
    np.testing.assert_allclose(block.point_data["temperature"], triangles().temperature[2])
    np.testing.assert_allclose(block.point_data["velocity"][:, :2], triangles().velocity[2])
    assert block.point_data["velocity"].shape[1] == 3


def test_formats_without_time_take_the_last_instant_when_told(tmp_path):
    with pytest.raises(StageFailed, match="say frames: 1 for the last"):
        run("mesh.write", tmp_path, FIELDS, format="vtu")
    assert list(written(run("mesh.write", tmp_path / "2", FIELDS, format="vtu", frames=1))) == ["fields.vtu"]
    with pytest.raises(StageFailed, match=r"STL cannot keep: .*'temperature'"):
        run("mesh.write", tmp_path / "3", FIELDS, format="stl", frames=1)
    assert list(written(run("mesh.write", tmp_path / "4", FIELDS, format="stl", frames=1, allow_loss=True))) == [
        "fields.stl"
    ]


# -- check and info


def findings(data):
    return {(f.severity, f.message) for f in examine(data)}


def says(data, severity, words):
    return any(s == severity and words in message for s, message in findings(data))


def broken(change):
    return change(triangles().load())


def with_nodes(data, place, nodes):
    """Other node numbers in the connectivity, from ``place`` on."""
    connectivity = data.cell_connectivity.values.copy()
    connectivity[place : place + len(nodes)] = nodes
    return data.assign(cell_connectivity=("conn", connectivity))


def cold(data):
    """Some temperatures are not numbers."""
    return data.assign(temperature=data.temperature.where(data.temperature > -0.5))


def test_good_mesh_has_notes_only():
    assert {severity for severity, _ in findings(triangles())} == {"note"}
    assert says(sphere(), "note", "the surface is closed")


@pytest.mark.parametrize(
    ("change", "severity", "words"),
    [
        (lambda d: with_nodes(d, 0, [1, 0]), "error", "are inverted"),
        (lambda d: with_nodes(d, 1, [0]), "error", "have no extent, first 0"),
        (lambda d: with_nodes(d, 4, [999]), "error", "cell 1 points to node 999"),
        (lambda d: d.isel(cell=slice(0), cell_edge=slice(1), conn=slice(0)), "error", "no cells"),
        (lambda d: d.isel(cell=slice(3)), "error", "'cell_offsets' has"),
        (lambda d: d.assign(cell_types=("cell", np.full(72, 99, np.uint8))), "error", "cell type 99"),
        (lambda d: d.assign(cell_types=("cell", np.full(72, 9, np.uint8))), "error", "quadrilateral with 3 nodes"),
        (lambda d: d.assign_coords(node_x=d.node_x.where(d.node_x > 0)), "error", "coordinate that is not finite"),
        (lambda d: d.assign_coords(node_x=0 * d.node_x), "error", "have no extent"),
        (cold, "error", "are not finite, first at time"),
        (lambda d: d.assign_coords(time=("time", [0.0, 1.0, 1.0], {"units": "s"})), "error", "does not increase after"),
        (lambda d: d.assign(flux=d.flux.drop_attrs()), "warning", "its unit is not stated"),
        (lambda d: d.isel(conn=slice(3 * 60), cell=slice(60), cell_edge=slice(61)), "warning", "belong to no cell"),
        (lambda d: d.assign(p=("odd", np.zeros(5), {"location": "node"})), "error", "has odd 5; the mesh has 49 nodes"),
        (lambda d: d.drop_vars("cell_offsets"), "error", "needs the variables cell_offsets"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_words(change, severity, words):
    assert says(broken(change), severity, words), findings(broken(change))


def test_torn_and_open_surfaces_are_told():
    assert says(sphere(hole=True), "warning", "the surface is open: 3 edges")
    twice = xr.concat([sphere()], "copy").isel(copy=0)
    torn = twice.assign_coords(node_x=twice.node_x.copy())
    torn.node_x[1] = torn.node_x[0]
    torn.node_y[1], torn.node_z[1] = torn.node_y[0], torn.node_z[0]
    assert says(torn, "warning", "coincide with others, first 0 and 1")


def test_turned_faces_and_parts_are_told():
    ball = sphere().load()
    faces = ball.face_nodes.values.copy()
    faces[3] = faces[3][::-1]
    turned = ball.assign(face_nodes=(("cell", "face_corner"), faces), cell_connectivity=("conn", faces.ravel()))
    assert says(turned, "warning", "turned against each other at 3 edges")
    two = meshes.triangle_variables(
        np.vstack([meshes.points_of(sphere()), meshes.points_of(sphere(centre=(5, 0, 0)))]),
        np.vstack([ball.face_nodes.values, ball.face_nodes.values + ball.sizes["node"]]),
    )
    assert says(xr.Dataset(two), "note", "2 separate parts")


def test_check_fails_when_told_to(tmp_path):
    bad = broken(cold)
    assert "error" in run("mesh.check", tmp_path, {"fields": bad})["findings"].severity.values
    with pytest.raises(StageFailed, match=r"temperature: .* not finite"):
        run("mesh.check", tmp_path / "2", {"fields": bad}, fail_on="error")


def test_what_is_neither_mesh_nor_grid_is_told():
    (only,) = examine(xr.Dataset({"a": ("b", [1.0])}))
    assert "neither a mesh nor a grid" in only.message


def test_info_lists_fields_with_their_ranges(tmp_path):
    table = run("mesh.info", tmp_path, FIELDS)["table"]
    rows = {name: i for i, name in enumerate(table.field.values)}
    assert set(rows) == {"(coordinates)", "temperature", "flux", "velocity"}
    i = rows["temperature"]
    assert (table.place.values[i], table.unit.values[i]) == ("node", "K")
    assert float(table.maximum[i]) == pytest.approx(float(triangles().temperature.max()))


def hexahedron(order=range(8)):
    corners = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]], float)
    return xr.Dataset(
        meshes.mesh_variables(corners[list(order)], np.arange(8), np.array([0, 8]), np.array([12], np.uint8))
    )


def test_wedges_are_numbered_as_vtk_measures_them():
    """The order in which VTK finds a positive volume is not inverted; boundary faces beside volumes do not count."""
    from fieldloom_mesh.pyvista_grids import grid_of

    points = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1], [0, 1, 1.0]])
    for order in (range(6), [3, 4, 5, 0, 1, 2]):
        one = meshes.mesh_variables(points[list(order)], np.arange(6), np.array([0, 6]), np.array([13], np.uint8))
        volume = float(grid_of(xr.Dataset(one)).compute_cell_sizes()["Volume"][0])
        turned = says(xr.Dataset(one), "note", "numbered the other way round")
        assert turned == (volume < 0)
    mixed = meshes.mesh_variables(
        np.eye(4, 3, -1), np.array([0, 2, 1, 0, 1, 2, 3]), np.array([0, 3, 7]), np.array([5, 10], np.uint8)
    )
    assert not says(xr.Dataset(mixed), "error", "inverted")


def test_folded_cells_are_found_at_any_corner():
    assert not says(hexahedron(), "note", "other way round")
    bent = hexahedron().load()
    bent.node_z[6] = -0.5  # a top corner through the floor
    two = np.vstack([meshes.points_of(bent), meshes.points_of(hexahedron()) + np.array([3, 0, 0])])
    data = xr.Dataset(meshes.mesh_variables(two, np.arange(16), np.array([0, 8, 16]), np.full(2, 12, np.uint8)))
    assert says(data, "error", "1 of 2 cells are inverted or folded, first 0")
    bow = meshes.mesh_variables(
        np.array([[0, 0], [1, 1], [1, 0], [0, 1], [2, 0], [3, 0], [3, 1], [2, 1.0]]), np.arange(8), np.array([0, 4, 8]),
        np.full(2, 9, np.uint8),
    )  # fmt: skip
    assert says(xr.Dataset(bow), "error", "inverted or folded, first 0")


def test_many_nodes_at_one_place_cost_nothing():
    ball = sphere()
    points = np.vstack([meshes.points_of(ball), np.zeros((100_000, 3))])
    data = xr.Dataset(meshes.triangle_variables(points, ball.face_nodes.values))
    assert says(data, "warning", "100,000 nodes belong to no cell")


def test_units_for_fields_that_are_not_there_are_refused(files, tmp_path):
    with pytest.raises(StageFailed, match="units are given for 'V', which is not there"):
        run("mesh.read", tmp_path, path=str(files / "one.vtu"), units={"V": "m s-1"})


def test_counted_instants_are_no_seconds(tmp_path):
    folder = tmp_path / "series"
    folder.mkdir()
    for i in range(3):
        write(folder / f"a_{i}.vtu", solid(i))
    data = run("mesh.read", tmp_path, path=str(folder), units={"time": "s", "x": "m"})["fields"]
    assert data.time.attrs["units"] == "1"
    assert says(data, "warning", "instants are counted")


def test_fields_named_like_dimensions_are_kept():
    m = solid()
    odd = Mesh(m.points, m.connectivity, m.offsets, m.types, {"node": m.points[:, 0], "component": m.points[:, 1],
               "p": m.points[:, 2]}, {"p": np.zeros(len(m.types)), "p_cell": np.ones(len(m.types))})  # fmt: skip
    assert len(meshes.field_names(dataset_of(odd, None, {}, None))) == 5
