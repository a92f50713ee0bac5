"""Pictures that are not blank, files that read back, errors that say what is wrong with a mesh."""

import io

import numpy as np
import pytest
import xarray as xr
from fieldloom.testing import StageContract
from fieldloom_mesh import rendering
from fieldloom_mesh.grids import field_at, fields_of, grid_of
from fieldloom_mesh.writing import write_vtu_series
from fieldloom_storage import Store
from PIL import Image


def mesh(frames=3, n=6):
    """A square of triangles with a field on nodes, one on cells and a vector, over time."""
    s = np.linspace(0.0, 1.0, n + 1)
    x, y = (a.ravel() for a in np.meshgrid(s, s))
    corner = (np.arange(n)[:, None] * (n + 1) + np.arange(n)).ravel()
    lower = np.stack([corner, corner + 1, corner + n + 1], 1)
    upper = np.stack([corner + 1, corner + n + 2, corner + n + 1], 1)
    triangles = np.concatenate([lower, upper])
    time = np.arange(frames) * 0.5
    wave = np.sin(2 * np.pi * (x + time[:, None]))
    cells = len(triangles)
    return xr.Dataset(
        {
            "cell_connectivity": ("conn", triangles.ravel()),
            "cell_offsets": ("cell_edge", np.arange(0, 3 * cells + 1, 3)),
            "cell_types": ("cell", np.full(cells, 5, np.uint8)),
            "temperature": (("time", "node"), wave, {"units": "K", "long_name": "temperature"}),
            "flux": (("time", "cell"), wave[:, triangles].mean(-1), {"units": "W m-2"}),
            "velocity": (("time", "node", "component"), np.stack([wave, -wave], -1), {"units": "m s-1"}),
        },
        {"time": ("time", time, {"units": "s"}), **{f"node_{a}": ("node", v, {"units": "m"})
                                                    for a, v in zip("xyz", (x, y, 0 * x), strict=True)}},
    )  # fmt: skip


class TestRender(StageContract):
    stage_id = "mesh.render"
    params = {"variable": "temperature", "width": 200, "height": 160}
    bad_params = [{}, {"variable": "temperature", "format": "bmp"}, {"variable": "temperature", "width": 3}]

    def inputs(self):
        return {"fields": [mesh()]}


class TestWrite(StageContract):
    stage_id = "mesh.write"
    params = {"stem": "wave"}
    bad_params = [{"stem": "../up"}, {"frames": 0}]

    def inputs(self):
        return {"fields": mesh()}


def colours(image):
    return len(np.unique(np.asarray(image.convert("RGB")).reshape(-1, 3), axis=0))


@pytest.mark.parametrize("variable", ["temperature", "flux", "velocity"])
def test_pictures_are_not_blank_and_show_the_field(variable, tmp_path):
    view = rendering.View(variable, "viridis", (-1.0, 1.0), (320, 260), "t = {time}")
    first, last = rendering.draw(mesh(), view, [0, 2], lambda n: None)
    assert first.shape == (260, 320, 3)
    assert colours(Image.fromarray(first)) > 50
    assert (first != last).any()
    assert (first == 255).all(axis=-1).mean() < 0.7


def test_animation_has_its_frames_and_the_field_moves(tmp_path):
    store = Store(tmp_path / "s", durable=False)
    outputs = TestRender().run_stage(store, format="gif", frames=3)
    picture = next(iter(store.open(outputs["pictures"]).data_vars.values()))
    assert (picture.attrs["media_type"], picture.attrs["filename"]) == ("image/gif", "temperature.gif")
    image = Image.open(io.BytesIO(picture.values.tobytes()))
    assert image.n_frames == 3
    frames = []
    for i in range(2):
        image.seek(i)
        frames.append(np.asarray(image.convert("RGB")))
    assert colours(Image.fromarray(frames[0])) > 50
    assert (frames[0] != frames[1]).mean() > 0.05


def test_vtu_series_reads_back(tmp_path):
    import meshio
    import pyvista as pv

    data = mesh()
    written = dict(write_vtu_series(data, [0, 2], "wave", tmp_path))
    assert list(written) == ["wave_0000.vtu", "wave_0001.vtu", "wave.pvd"]
    for name, content in written.items():
        (tmp_path / name).write_bytes(content)
    series = pv.get_reader(tmp_path / "wave.pvd")
    assert series.time_values == [0.0, 1.0]
    found = meshio.read(tmp_path / "wave_0001.vtu")
    np.testing.assert_array_equal(found.cells_dict["triangle"].ravel(), data.cell_connectivity)
    np.testing.assert_allclose(found.point_data["temperature"], data.temperature[2])
    np.testing.assert_allclose(found.point_data["velocity"][:, :2], data.velocity[2])
    np.testing.assert_allclose(np.ravel(found.cell_data["flux"]), data.flux[2])


def test_fields_are_told_from_topology():
    assert fields_of(mesh()) == ["temperature", "flux", "velocity"]


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (lambda d: d.isel(cell=slice(0), cell_edge=slice(1), conn=slice(0)), "no cells"),
        (lambda d: d.isel(node=slice(5)), "has 5 nodes"),
        (lambda d: d.isel(cell=slice(3)), "cell_offsets"),
    ],
)
def test_broken_meshes_are_refused(broken, message):
    with pytest.raises(ValueError, match=message):
        grid_of(broken(mesh()))


def test_field_off_the_mesh_is_refused():
    data = mesh().assign(odd=("conn", np.zeros(216)))
    with pytest.raises(ValueError, match="has dims"):
        field_at(data, "odd", 0)


def test_limits_are_symmetric_for_fields_of_both_signs():
    low, high = rendering.robust_limits(mesh(), "temperature", [0, 1, 2])
    assert low == -high
    assert rendering.robust_limits(mesh().assign(temperature=0 * mesh().temperature), "temperature", [0]) == (-0.5, 0.5)


def test_missing_library_is_an_error_with_the_command_that_installs_it(monkeypatch):
    rendering.check_rendering.cache_clear()
    monkeypatch.setattr(rendering, "_PROBE", "import os; os.kill(os.getpid(), 11)")
    with pytest.raises(rendering.CannotRender, match="apt-get install"):
        rendering.check_rendering()
    rendering.check_rendering.cache_clear()
