"""Mesh files: exact round trips or refusals by name; every broken file is one clear error."""

import concurrent.futures
import os
import time
import warnings

import numpy as np
import pytest
from broken_files import make
from fieldloom_mesh.formats.errors import MeshFileWarning, UnreadableMesh, UnwritableMesh
from fieldloom_mesh.formats.meshes import Mesh, mesh_from_blocks
from fieldloom_mesh.formats.reading import Limits, read
from fieldloom_mesh.formats.referenced import files_of
from fieldloom_mesh.formats.writing import CAPABILITIES, losses, write
from openfoam_case import hex_grid, write_case
from sample_meshes import good_files, kinds, solid, with_fields

KINDS = kinds()


def equal(a, b):
    """Whether two meshes agree in every bit of every array."""
    arrays = ("points", "connectivity", "offsets", "types")
    same = all(np.array_equal(getattr(a, name), getattr(b, name)) for name in arrays)
    pairs = [(a.point_data, b.point_data), (a.cell_data, b.cell_data)]
    return same and all(
        set(one) == set(other)
        and all(one[n].dtype == other[n].dtype and np.array_equal(one[n], other[n], equal_nan=True) for n in one)
        for one, other in pairs
    )


@pytest.mark.parametrize("kind", [".vtu", ".pvd", ".vtk", ".vtkhdf", ".xdmf"])
@pytest.mark.parametrize("name", KINDS)
def test_rich_formats_keep_everything(kind, name, tmp_path):
    write(tmp_path / f"a{kind}", KINDS[name])
    ((_, found),) = read(tmp_path / f"a{kind}")
    assert equal(found, KINDS[name])


@pytest.mark.parametrize("kind", [".vtp", ".msh", ".ply", ".stl", ".obj", ".off"])
@pytest.mark.parametrize("name", KINDS)
def test_poorer_formats_refuse_by_name_what_they_would_lose(kind, name, tmp_path):
    """What a format cannot keep is named and nothing is written; what is written reads back."""
    mesh, path = KINDS[name], tmp_path / f"a{kind}"
    lost = losses(kind, [(None, mesh)])
    if not lost:
        write(path, mesh)
        return
    with pytest.raises(UnwritableMesh) as refusal:
        write(path, mesh)
    assert all(phrase in str(refusal.value) for phrase in lost)
    assert not list(tmp_path.iterdir())
    if set(mesh.types.tolist()) & CAPABILITIES[kind].cells and "polygon" not in " ".join(lost):
        write(path, mesh, allow_loss=True)  # it reads the file back and compares
        assert path.exists()


@pytest.mark.parametrize("kind", [".pvd", ".vtkhdf", ".xdmf"])
@pytest.mark.parametrize("moving", [False, True])
def test_series_keep_their_times_and_meshes(kind, moving, tmp_path):
    meshes = [KINDS["mixed volumes"], KINDS["tetrahedra"] if moving else KINDS["mixed volumes"], KINDS["mixed volumes"]]
    series = [(1 / 3 + 0.1 * i, with_fields(mesh, i)) for i, mesh in enumerate(meshes)]
    write(tmp_path / f"a{kind}", series)
    found = list(read(tmp_path / f"a{kind}"))
    assert [t for t, _ in found] == [t for t, _ in series]
    assert all(equal(a, b) for (_, a), (_, b) in zip(found, series, strict=True))
    assert (found[2][1].points is found[0][1].points) == (not moving)  # the same arrays where nothing moves


def test_series_go_only_where_time_is_kept(tmp_path):
    with pytest.raises(UnwritableMesh, match="2 of 3 time steps"):
        write(tmp_path / "a.vtu", [(float(i), solid(i)) for i in range(3)])


@pytest.mark.parametrize("processors", [0, 3])
def test_openfoam_cases_are_read(processors, tmp_path):
    points, cells = hex_grid((5, 4, 3))
    data = {"p": lambda c, t: c[:, 0] + t, "U": lambda c, t: c * (1 + t) / 3}
    write_case(tmp_path / "case", points, cells, [0, 0.25, 0.5], data, processors)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MeshFileWarning)  # parts of a decomposed case are merged
        steps = list(read(tmp_path / "case"))
    assert [t for t, _ in steps] == [0, 0.25, 0.5]
    for t, mesh in steps:
        assert (mesh.types == 12).all()
        centres = mesh.points[mesh.connectivity.reshape(-1, 8)].mean(axis=1)
        np.testing.assert_allclose(mesh.cell_data["p"], centres[:, 0] + t, atol=1e-14)
        np.testing.assert_allclose(mesh.cell_data["U"], centres * (1 + t) / 3, atol=1e-14)
    assert len(steps[0][1].types) == 60


def test_folders_of_numbered_files_are_series_in_natural_order(tmp_path):
    for i in (1, 2, 10):
        write(tmp_path / f"step_{i}.vtu", solid(float(i)))
    assert [mesh.point_data["p"][0] for _, mesh in read(tmp_path)] == [1.0, 2.0, 10.0]
    write(tmp_path / "other.vtk", solid())
    with pytest.raises(UnreadableMesh, match="several formats"):
        list(read(tmp_path))


def test_index_in_a_folder_stands_for_its_files(tmp_path):
    write(tmp_path / "a.pvd", [(0.5 * i, solid(i)) for i in range(3)])
    assert [t for t, _ in read(tmp_path)] == [0.0, 0.5, 1.0]


def test_files_that_belong_to_a_file_are_listed(tmp_path):
    series = [(0.5 * i, solid(i)) for i in range(2)]
    write(tmp_path / "a.pvd", series)
    write(tmp_path / "b.xdmf", series)
    assert set(files_of(tmp_path / "a.pvd")) == {"a.pvd", "a_0000.vtu", "a_0001.vtu"}
    assert set(files_of(tmp_path / "b.xdmf")) == {"b.xdmf", "b.h5"}
    write(tmp_path / "c.vtu", solid())
    assert set(files_of(tmp_path / "c.vtu")) == {"c.vtu"}
    with pytest.raises(FileNotFoundError, match=r"d\.vtu"):
        files_of(tmp_path / "d.vtu")


def test_polyhedra_and_voxels_become_cells_that_everyone_knows(tmp_path):
    import pyvista as pv

    pv.ImageData(dimensions=(3, 3, 3)).cast_to_unstructured_grid().save(tmp_path / "voxels.vtu")
    ((_, found),) = read(tmp_path / "voxels.vtu")
    assert set(found.types) == {12}
    box = pv.Cube().triangulate()
    faces = [len(box.regular_faces)] + [n for face in box.regular_faces for n in (3, *face)]
    pv.UnstructuredGrid([len(faces), *faces], [42], box.points).save(tmp_path / "poly.vtu")
    with pytest.warns(MeshFileWarning, match="polyhedra were split"):
        ((_, found),) = read(tmp_path / "poly.vtu")
    edges = found.points[found.connectivity.reshape(-1, 4)]
    assert np.abs(np.linalg.det(edges[:, 1:] - edges[:, :1])).sum() / 6 == pytest.approx(1.0)


# -- broken files


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    """Broken files, and what the good ones hold."""
    root = tmp_path_factory.mktemp("files")
    good = good_files(root / "good")
    bad = make(good, root / "bad")
    chosen = dict(sorted(bad.items(), key=lambda item: hash_of(item[0]))[:160])
    return chosen, {kind: list(read(path)) for kind, path in good.items()}


def hash_of(label):
    """A fixed order that mixes the kinds."""
    import zlib

    return zlib.crc32(label.encode())


def test_broken_files_are_one_clear_error_each(broken):
    """160 files: empty, cut, flipped, of another kind, with huge counts. No crash, no hang, no blow-up.

    A file may read well if the damage is a valid file (a changed digit); then it has the good one's kind of content.
    """
    files, _ = broken

    def attempt(item):
        label, path = item
        started, problem, steps = time.monotonic(), None, []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                steps = list(read(path, Limits(seconds=20, memory=2 * 2**30)))
            except UnreadableMesh as error:
                problem = error
        return label, path, problem, steps, time.monotonic() - started

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        found = list(pool.map(attempt, files.items()))
    assert len(found) == 160
    for label, path, problem, steps, seconds in found:
        assert seconds < 60, label
        if problem is None:
            assert steps, label
            assert all(isinstance(mesh, Mesh) and len(mesh.types) for _, mesh in steps), label
        else:
            assert path.name in str(problem), label
            assert problem.reason, label  # what was found
            assert problem.advice, label  # what to do
    assert sum(problem is not None for _, _, problem, *_ in found) > 100


@pytest.mark.parametrize(
    ("name", "content", "kind", "words"),
    [
        ("a.vtu", b"", "empty", "it is empty"),
        ("a.vtu", b"\x89PNG\r\n\x1a\n" + bytes(100), "content", "it is a PNG image"),
        ("a.vtk", b"<!DOCTYPE html><html>", "content", "it is a web page"),
        ("a.vtkhdf", b"not hdf at all", "content", "HDF5"),
        ("a.xyz", b"1 2 3", "format", "use one of"),
        ("a.ply", b"ply\nformat ascii 1.0\n", "reader", "cannot read the mesh"),
        ("a.obj", b"v 0 0 0\nv 1 0 0\nv 0 1 0\n", "reader", "no cells"),
    ],
)
def test_reasons_are_in_the_users_terms(name, content, kind, words, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UnreadableMesh, match=words) as error:
        list(read(tmp_path / name))
    assert error.value.kind in (kind, "invalid")


def test_missing_files_suggest_near_ones(tmp_path):
    write(tmp_path / "mesh.vtu", solid())
    with pytest.raises(UnreadableMesh, match=r"did you mean mesh\.vtu"):
        list(read(tmp_path / "mesh.vtk"))


def test_field_of_the_wrong_length_is_refused(tmp_path):
    text = (tmp_path / "a.ply").write_text
    text(
        "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\n"
        "element face 1\nproperty list uchar int vertex_indices\nend_header\n0 0 0\n1 0 0\n0 1 0\n3 0 1 7\n"
    )
    with pytest.raises(UnreadableMesh, match="uses node 7, but there are 3 nodes"):
        list(read(tmp_path / "a.ply"))
    short = mesh_from_blocks(np.eye(3), [(5, np.array([[0, 1, 2]]))], point_data={"p": np.zeros(2)})
    with pytest.raises(UnwritableMesh, match="'p' has 2 values for 3 points"):
        write(tmp_path / "b.vtu", short)


def test_reader_that_dies_or_hangs_is_reported(tmp_path, monkeypatch):
    """The limits are real: too little time, and a child that is killed."""
    write(tmp_path / "a.vtu", solid())
    with pytest.raises(UnreadableMesh, match=r"more than 0\.001 s"):
        list(read(tmp_path / "a.vtu", Limits(seconds=0.001)))
    import fieldloom_mesh.formats.reading as reading

    child = reading._child

    def shot(*arguments):
        process = child(*arguments)
        os.kill(process.pid, 11)
        return process

    monkeypatch.setattr(reading, "_child", shot)
    with pytest.raises(UnreadableMesh, match="reader crashed"):
        list(read(tmp_path / "a.vtu"))


def test_reading_can_be_left_half_way(tmp_path):
    write(tmp_path / "a.vtkhdf", [(float(i), solid(i)) for i in range(4)])
    steps = read(tmp_path / "a.vtkhdf")
    assert next(steps)[0] == 0.0
    steps.close()


def test_every_writable_format_is_covered():
    assert set(CAPABILITIES) == {
        ".vtu",
        ".pvd",
        ".vtk",
        ".vtkhdf",
        ".xdmf",
        ".vtp",
        ".msh",
        ".ply",
        ".stl",
        ".obj",
        ".off",
    }


def test_references_are_followed_wherever_they_lead(tmp_path):
    """Into other folders, with equal names, through blanks, entities and links."""
    for folder in ("a", "b", "c"):
        (tmp_path / folder).mkdir()
    for folder in ("b", "c"):
        write(tmp_path / folder / "x.vtu", solid())
    lines = [f'<DataSet timestep="{i}" part="0" file="../{folder}/x.vtu"/>' for i, folder in enumerate("bc")]
    (tmp_path / "a" / "t.pvd").write_text("<VTKFile><Collection>" + "".join(lines) + "</Collection></VTKFile>")
    assert set(files_of(tmp_path / "a" / "t.pvd")) == {"t.pvd", "../b/x.vtu", "../c/x.vtu"}
    write(tmp_path / "my a.xdmf", solid())
    assert set(files_of(tmp_path / "my a.xdmf")) == {"my a.xdmf", "my a.h5"}
    (tmp_path / "b" / "q&r.vtu").write_bytes((tmp_path / "b" / "x.vtu").read_bytes())
    (tmp_path / "b" / "e.pvd").write_text('<VTKFile><Collection><DataSet file="q&amp;r.vtu"/></Collection></VTKFile>')
    assert set(files_of(tmp_path / "b" / "e.pvd")) == {"e.pvd", "q&r.vtu"}


@pytest.mark.parametrize("kind", [".vtu", ".stl", ".vtp", ".xdmf"])
def test_cut_files_say_that_they_were_cut(kind, tmp_path):
    files = good_files(tmp_path / "good")
    content = files[kind].read_bytes()
    (tmp_path / f"cut{kind}").write_bytes(content[: len(content) // 2])
    with pytest.raises(UnreadableMesh, match=r"it was cut off|it announces|no element found|unclosed|not well-formed"):
        list(read(tmp_path / f"cut{kind}"))


def test_broken_file_of_a_series_is_named(tmp_path):
    for i in range(3):
        write(tmp_path / f"step_{i}.vtu", solid(i))
    content = (tmp_path / "step_1.vtu").read_bytes()
    (tmp_path / "step_1.vtu").write_bytes(content[: len(content) // 2])
    with pytest.raises(UnreadableMesh, match=r"step_1\.vtu: it ends after"):
        list(read(tmp_path))
