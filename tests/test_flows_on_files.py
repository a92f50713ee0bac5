"""The flows that start from a user's files, run as a user would, on files made from public formats."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from fieldloom import run
from openfoam_case import hex_grid, write_case
from PIL import Image
from sample_meshes import solid

ROOT = Path(__file__).parents[1]


def gyre(centres, time):
    """A standing double gyre that sways, m/s."""
    x, y = 2 * centres[:, 0], 2 * centres[:, 1]
    sway = 0.25 * np.sin(2 * np.pi * time / 4)
    f, slope = sway * x**2 + (1 - 2 * sway) * x, 2 * sway * x + 1 - 2 * sway
    u = -np.sin(np.pi * f) * np.cos(np.pi * y)
    v = np.cos(np.pi * f) * np.sin(np.pi * y) * slope
    return np.stack([u, v, 0 * x], axis=1)


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    """An OpenFOAM case of a sheet of hexahedra."""
    folder = tmp_path_factory.mktemp("own") / "case"
    fields = {"U": gyre, "p": lambda c, t: c[:, 0] + 0 * t}
    write_case(folder, *hex_grid((16, 8, 1), (1.0, 0.5, 0.05)), [0.5 * i for i in range(17)], fields)
    return folder


@pytest.fixture(scope="module")
def finished(case):
    store = case.parent / "store"
    found = run(ROOT / "flows/own_simulation.yaml", store=store, workers=2,
                set={"files": str(case), "probe": [[0.3, 0.2, 0.025]], "cells": 32})  # fmt: skip
    return found, store


def test_own_simulation_ends_in_pictures_statistics_and_zarr(finished, case):
    found, _ = finished
    assert found.status == "done"
    wake = xr.open_zarr(path_of(found, "fields"))
    assert wake.U.dims == ("time", "cell", "component")
    centres = hex_grid((16, 8, 1), (1.0, 0.5, 0.05))[0][hex_grid((16, 8, 1), (1.0, 0.5, 0.05))[1]].mean(axis=1)
    np.testing.assert_allclose(wake.U[3], gyre(centres, 1.5), atol=1e-12)
    grid = xr.open_zarr(path_of(found, "grid"))
    assert grid.U.dims == ("time", "z", "y", "x", "component")
    table = xr.open_zarr(path_of(found, "statistics.table"))
    assert table.sizes["row"] == 3
    spectrum = xr.open_zarr(path_of(found, "spectrum.spectrum"))
    assert float(spectrum.peak[0]) == pytest.approx(0.25, rel=0.1)  # it sways once in 4 s


def path_of(found, name):
    """Where the Zarr of ``step`` or ``step.port`` lies: what xarray opens without fieldloom."""
    return found.store.path(found.artifact(name).digest)


def test_its_vorticity_is_that_of_the_gyre(finished):
    found, _ = finished
    eddies = xr.open_zarr(path_of(found, "eddies"))
    assert eddies.vorticity.dims == ("time", "node", "component")
    middle = np.hypot(eddies.node_x - 0.25, eddies.node_y - 0.25) < 0.05
    # at t = 0: curl of (-sin pi X cos pi Y, cos pi X sin pi Y) with X = 2 x, Y = 2 y
    assert float(eddies.vorticity[0, middle.values, 2].mean()) == pytest.approx(-4 * np.pi, rel=0.15)


def test_paraview_gets_one_file_with_all_instants(finished):
    import pyvista as pv

    found, _ = finished
    (file,) = (found.folder / "files").rglob("*.vtkhdf")
    reader = pv.get_reader(file)
    mesh = reader.read()
    assert mesh.n_cells == 128
    assert "U" in mesh.cell_data


def test_its_pictures_are_not_blank(finished):
    found, _ = finished
    pictures = [p for p in (found.folder / "files").rglob("*") if p.suffix in (".png", ".gif")]
    assert {p.name for p in pictures} == {"U.gif", "vorticity_q_criterion.png", "spectrum_U.png"}
    for path in pictures:
        assert len(np.unique(np.asarray(Image.open(path).convert("RGB")).reshape(-1, 3), axis=0)) > 30


def test_rerun_reads_nothing_and_a_moved_case_neither(finished, case):
    found, store = finished
    moved = case.rename(case.with_name("moved")).rename(case)
    again = run(ROOT / "flows/own_simulation.yaml", store=store,
                set={"files": str(moved), "probe": [[0.3, 0.2, 0.025]], "cells": 32})  # fmt: skip
    assert {row["status"] for row in again.instances.values()} == {"cached"}
    assert again.id != found.id


@pytest.mark.parametrize(("kind", "wanted"), [("vtkhdf", 1), ("pvd", 4), ("xdmf", 2)])
def test_files_are_converted_checked_and_described(kind, wanted, tmp_path):
    from fieldloom_mesh.formats.reading import read
    from fieldloom_mesh.formats.writing import write

    series = [(0.5 * i, solid(i)) for i in range(3)]
    write(tmp_path / "mine.pvd", series)
    found = run(ROOT / "flows/convert_mesh.yaml", store=tmp_path / "store",
                set={"file": str(tmp_path / "mine.pvd"), "format": kind, "units": {"x": "mm"}})  # fmt: skip
    assert found.status == "done"
    folder = found.folder / "files" / "converted"
    assert len(list(folder.iterdir())) == wanted
    again = list(read(folder / f"converted.{kind}"))
    assert [t for t, _ in again] == [0.0, 0.5, 1.0]
    np.testing.assert_array_equal(again[2][1].point_data["U"], solid(2).point_data["U"])
    assert "its unit is not stated" in found["check"].message.values
    assert set(found["contents"].field.values) == {"(coordinates)", "p", "U", "c"}


def convert(file, folder):
    """The command line's answer to converting ``file``, called in ``folder``."""
    flow = str(ROOT / "flows/convert_mesh.yaml")
    command = [sys.executable, "-m", "fieldloom", "run", flow, "--set", f"file={file}"]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)


def test_command_line_says_what_is_missing(tmp_path):
    result = convert("nowhere.vtu", tmp_path)
    assert result.returncode == 2
    assert "convert_mesh.yaml" in result.stderr
    assert "there is no file or folder 'nowhere.vtu'" in result.stderr


def test_broken_file_fails_the_stage_with_its_reason(tmp_path):
    (tmp_path / "bad.vtu").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(200))
    result = convert("bad.vtu", tmp_path)
    assert result.returncode == 1
    assert "it is a PNG image, not a .vtu file" in result.stderr
