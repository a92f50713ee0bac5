"""Data contracts: what passes a port is a mesh, a grid, a population; what is not is told in words."""

import numpy as np
import pytest
import xarray as xr
from fieldloom import Port, PortError, ports
from fieldloom.contracts import field_port, grid_port, kind_of, mesh_port, population_port, violations
from fieldloom.contracts.mesh import face_nodes, mesh_variables, simplices, triangle_variables
from fieldloom.contracts.population import join, part
from hypothesis import given
from hypothesis import strategies as st


def mesh(n=3, shift=0.0):
    s = np.linspace(0, 1, n + 1)
    x, y = (a.ravel() for a in np.meshgrid(s, s))
    corner = (np.arange(n)[:, None] * (n + 1) + np.arange(n)).ravel()
    triangles = np.concatenate([np.stack([corner, corner + 1, corner + n + 1], 1),
                                np.stack([corner + 1, corner + n + 2, corner + n + 1], 1)])  # fmt: skip
    variables = triangle_variables(np.stack([x + shift, y], 1), triangles)
    variables["p"] = ("node", x + shift, {"units": "Pa", "location": "node"})
    return xr.Dataset(variables).set_coords(["node_x", "node_y", "node_z"])


def grid(x=(0.5, 1.5, 2.5), y=(0.0, 1.0)):
    return xr.Dataset({"p": (("y", "x"), np.zeros((len(y), len(x))))}, {"x": ("x", list(x)), "y": ("y", list(y))})


@pytest.mark.parametrize(
    ("port", "good"),
    [(mesh_port(""), mesh()), (grid_port(""), grid()), (population_port(""), join([mesh(), mesh(4)])),
     (field_port(""), mesh()), (field_port(""), grid()), (field_port(""), join([mesh()]))],
)  # fmt: skip
def test_what_keeps_its_contract_passes(port, good):
    ports.check(good, port, "here")


@pytest.mark.parametrize(
    ("port", "bad", "words"),
    [
        (mesh_port(""), grid(), "variable 'node_x' is missing"),
        (mesh_port(""), mesh().isel(node=slice(4)), "but the mesh has 4 nodes"),
        (mesh_port(""), mesh().assign(cell_types=("cell", np.full(18, 42, np.uint8))), "cell type 42 is not one of"),
        (mesh_port(""), mesh().assign(q=("cell", np.zeros(18), {"location": "node"})), "16 nodes and 18 cells"),
        (grid_port(""), grid(x=(0.0, 1.0, 3.0)), "'x' is not uniform: its steps go from 1 to 2"),
        (grid_port(""), grid(x=(0.0, 0.0, 1.0)), "'x' should increase; it does not after entry 0"),
        (grid_port(""), grid(y=(1.0,)), "'y' has 1 entries"),
        (grid_port(""), grid().assign(u=(("y", "x_face"), np.zeros((2, 3)))), "3 cells have 4 faces"),
        (population_port(""), mesh(), "variable 'sample_node_offsets' is missing"),
        (population_port(""), join([mesh()]).assign(sample_cell_offsets=("sample_edge", [0, 5])), "from 0 to 18"),
        (field_port(""), xr.Dataset({"a": ("b", [1.0])}), "neither a mesh nor a grid"),
        (field_port(""), mesh().drop_vars("cell_offsets"), "a mesh lacks cell_offsets"),
    ],
)
def test_what_breaks_its_contract_is_told(port, bad, words):
    with pytest.raises(PortError, match=words):
        ports.check(bad, port, "output 'fields' of step")


def test_extra_variables_and_units_of_a_mesh_port_are_asked_for():
    from fieldloom import Variable

    port = mesh_port("", {"p": Variable(("node",), "float", "kPa")})
    with pytest.raises(PortError, match="should be in 'kPa' and is in 'Pa'"):
        ports.check(mesh(), port, "here")


def test_unknown_contract_is_a_mistake_of_the_author():
    with pytest.raises(ValueError, match="no contract 'mush'"):
        ports.check(mesh(), Port(contract="mush"), "here")


def test_kinds_are_told_apart():
    assert [kind_of(d) for d in (mesh(), grid(), join([mesh()]), xr.Dataset())] == ["mesh", "grid", "population", ""]


def test_faces_are_filled_for_triangles_among_quadrilaterals():
    connectivity, offsets, types = np.array([0, 1, 2, 1, 3, 4, 2]), np.array([0, 3, 7]), np.array([5, 9], np.uint8)
    np.testing.assert_array_equal(face_nodes(connectivity, offsets, types), [[0, 1, 2, -1], [1, 3, 4, 2]])
    assert face_nodes(np.arange(4), np.array([0, 4]), np.array([10], np.uint8)) is None


def test_meshes_are_ugrid():
    data = mesh()
    assert data["mesh"].attrs["cf_role"] == "mesh_topology"
    assert data[data["mesh"].attrs["face_node_connectivity"]].attrs["start_index"] == 0
    np.testing.assert_array_equal(data.face_nodes.values.ravel(), data.cell_connectivity)


def test_simplices_of_a_mixed_mesh_know_their_cells():
    points = np.array([[0.0, 0], [1, 0], [1, 1], [0, 1], [2, 0.5]])
    variables = mesh_variables(points, np.array([0, 3, 2, 1, 1, 4, 2]), np.array([0, 4, 7]), np.array([9, 5], np.uint8))
    corners, parents = simplices(xr.Dataset(variables))
    np.testing.assert_array_equal(parents, [0, 0, 1])
    edges = points[corners[:, 1:]] - points[corners[:, :1]]
    assert (np.linalg.det(edges) > 0).all()  # the clockwise square was turned
    with pytest.raises(ValueError, match="neither faces nor volumes"):
        simplices(xr.Dataset(mesh_variables(points, np.arange(2), np.array([0, 2]), np.array([3], np.uint8))))


@given(st.lists(st.integers(1, 5), min_size=1, max_size=5))
def test_populations_give_their_meshes_back(sizes):
    meshes = [mesh(n, shift=i) for i, n in enumerate(sizes)]
    whole = join(meshes, {"size": sizes})
    assert not [*violations(whole, "population")]
    for i, original in enumerate(meshes):
        one = part(whole, i)
        xr.testing.assert_equal(one.drop_vars("size").drop_attrs(deep=False), original.drop_attrs(deep=False))
        assert int(one["size"]) == sizes[i]
    xr.testing.assert_equal(part(whole, -1), part(whole, len(sizes) - 1))


def test_meshes_join_whatever_the_order_of_their_fields():
    both = mesh().assign(q=mesh()["p"] + 1)
    whole = join([both, both[["q", "p", *(n for n in both.data_vars if n not in "pq")]]])
    np.testing.assert_array_equal(part(whole, 1)["q"], both["q"])


def test_nothing_cannot_be_joined():
    with pytest.raises(ValueError, match="no mesh to join"):
        join([])


@pytest.mark.parametrize(
    ("kind", "bad", "words"),
    [
        ("mesh", mesh().assign(v=(("component", "node"), np.zeros((2, 16)))), "the order is"),
        ("mesh", mesh().assign(v=(("node", "cell"), np.zeros((16, 18)))), "the order is"),
        (
            "mesh",
            mesh().assign(face_nodes=(("cell", "face_corner"), np.full((18, 3), -1))),
            "'face_nodes' does not list",
        ),
        ("mesh", mesh().assign_coords(time=("time", [1.0, 0.0])), "time does not increase after instant 0"),
        ("grid", grid().assign(u=(("x", "y"), np.zeros((3, 2)))), "transpose it"),
        ("population", join([mesh()]).assign(a=("sample", [1.0, 2.0])), "there are 1 samples, and values for 2"),
    ],
)
def test_order_time_and_numbers_of_samples_are_looked_at(kind, bad, words):
    assert any(words in problem for problem in violations(bad, kind)), [*violations(bad, kind)]


def test_grids_do_not_fit_where_meshes_are_wanted():
    assert any(
        "wants a mesh and gets a grid" in p for p in ports.disagreements(grid_port("", open=True), mesh_port(""), {})
    )
    assert not [*ports.disagreements(population_port(""), mesh_port(""), {})]
    assert not [*ports.disagreements(grid_port(""), field_port(""), {})]


def test_a_field_fits_where_a_mesh_is_wanted_if_it_is_known_only_when_it_runs():
    assert not [*ports.disagreements(field_port("", open=True), mesh_port(""), {})]
    assert any("wants a mesh and gets a field" in p for p in ports.disagreements(field_port(""), mesh_port(""), {}))


def test_covariates_may_not_hide_fields():
    with pytest.raises(ValueError, match="'p' is a field or dimension"):
        join([mesh()], {"p": [1.0]})
    with pytest.raises(ValueError, match="has 2 values for 1 meshes"):
        join([mesh()], {"q": [1.0, 2.0]})
