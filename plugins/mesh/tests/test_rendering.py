"""Pictures: never blank, like the stored references, moving where the field moves; clear errors."""

import io
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from fieldloom import doctor
from fieldloom.errors import StageFailed
from fieldloom.testing import StageContract
from fieldloom_mesh import rendering
from fieldloom_mesh.pyvista_grids import field_at, grid_of
from fieldloom_mesh.rendering import Panel, View, draw, robust_limits
from likeness import similarity
from PIL import Image
from running import run
from sample_meshes import kinds, sphere, triangles

REFERENCES = Path(__file__).parent / "references"
"""Pictures that were looked at; `python plugins/mesh/tests/test_rendering.py` draws them again."""


class TestRender(StageContract):
    stage_id = "mesh.render"
    params = {"variable": "temperature", "width": 200, "height": 160}
    bad_params = [
        {},
        {"variable": []},
        {"variable": "temperature", "format": "bmp"},
        {"variable": "temperature", "width": 3},
        {"variable": ["a", "b"], "cmap": ["viridis"]},
        {"variable": "temperature", "zoom": [1.0, 0.0, 0.0, 1.0]},
    ]

    def inputs(self):
        return {"fields": [triangles()]}


def grid(n=24):
    """A uniform grid with a scalar and a vector."""
    x = (np.arange(n) + 0.5) / n
    xx, yy = np.meshgrid(x, x)
    wave = np.sin(6 * xx) * np.cos(4 * yy)
    return xr.Dataset(
        {"wave": (("y", "x"), wave, {"units": "m"}), "flow": (("y", "x", "component"), np.stack([yy, -xx], -1))},
        {"x": ("x", x, {"units": "m"}), "y": ("y", x, {"units": "m"})},
    )


def volumes():
    """Mixed cells in space with a field on nodes."""
    from fieldloom_mesh.datasets import dataset_of

    data = dataset_of(kinds()["mixed volumes"], None, {"x": "m"}, None)
    return data.assign(height=("node", data.node_z.values, {"units": "m"}))


def ball():
    data = sphere(20)
    return data.assign(height=("node", data.node_z.values, {"units": "m", "long_name": "height"}))


def view(*names, size=(320, 240), **rest):
    panels = tuple(Panel(name, cmap, (-1.0, 1.0)) for name, cmap in zip(names, ("viridis", "RdBu_r"), strict=False))
    return View(panels, size, **rest)


SCENES = {
    "triangles": (triangles, view("temperature", title="t = {time}")),
    "edges": (triangles, view("flux", edges=True)),
    "panels": (triangles, view("temperature", "velocity", size=(480, 240))),
    "zoom": (triangles, view("temperature", edges=True, zoom=(0.2, 0.6, 0.3, 0.6))),
    "grid": (grid, view("wave", "flow", size=(480, 260))),
    "volumes": (volumes, View((Panel("height", "viridis", (0.0, 2.0)),), (320, 260), edges=True)),
    "sphere": (ball, view("height", camera="iso")),
    "side": (ball, view("height", camera="xz")),
}


def picture(name):
    make, how = SCENES[name]
    return draw(make(), how, [0], lambda n: None)[0]


def colours(image):
    return len(np.unique(np.asarray(image).reshape(-1, 3), axis=0))


@pytest.mark.parametrize("name", SCENES)
def test_pictures_are_like_the_stored_ones(name):
    """Structural similarity of at least 0.95: drivers differ in pixels, not in what is to be seen."""
    found = picture(name)
    assert colours(found) > 50
    assert (found == 255).all(axis=-1).mean() < 0.85
    wanted = np.asarray(Image.open(REFERENCES / f"{name}.png").convert("RGB"))
    assert similarity(found, wanted) > 0.95


def test_similarity_tells_pictures_apart():
    wanted = np.asarray(Image.open(REFERENCES / "triangles.png").convert("RGB"))
    assert similarity(wanted, wanted) == pytest.approx(1.0)
    assert similarity(wanted, np.asarray(Image.open(REFERENCES / "sphere.png").convert("RGB"))) < 0.8
    assert similarity(wanted, wanted[:, ::-1]) < 0.9


@pytest.mark.parametrize(("variable", "component"), [("temperature", None), ("flux", None), ("velocity", 1)])
def test_fields_on_nodes_cells_and_vectors_move(variable, component):
    how = View((Panel(variable, "viridis", (-1.0, 1.0), component),), (320, 240))
    first, last = draw(triangles(), how, [0, 1], lambda n: None)
    assert first.shape == (240, 320, 3)
    assert (first != last).mean() > 0.02


def test_component_is_another_picture_than_the_magnitude():
    whole, part = (View((Panel("velocity", "viridis", (-1.5, 1.5), c),), (200, 160)) for c in (None, 1))
    one, other = (draw(triangles(), v, [1], lambda n: None)[0] for v in (whole, part))
    assert similarity(one, other) < 0.95
    with pytest.raises(ValueError, match="there is no number 2"):
        draw(triangles(), View((Panel("velocity", "viridis", (-1, 1), 2),), (200, 160)), [0], lambda n: None)


@pytest.mark.parametrize(("form", "frames"), [("gif", 3), ("mp4", 3)])
def test_animations_have_their_frames(form, frames, tmp_path):
    if form == "mp4":
        pytest.importorskip("imageio_ffmpeg", reason="films need fieldloom-mesh[video]")
    found = run("mesh.render", tmp_path, {"fields": [triangles()]}, variable="temperature", format=form, frames=3,
                width=201, height=160)["pictures"]  # fmt: skip
    (film,) = found.data_vars.values()
    assert film.attrs["filename"] == f"temperature.{form}"
    data = film.values.tobytes()
    if form == "gif":
        image = Image.open(io.BytesIO(data))
        assert image.n_frames == frames
        pictures = []
        for i in range(2):
            image.seek(i)
            pictures.append(np.asarray(image.convert("RGB")))
    else:
        import imageio.v3 as iio

        pictures = iio.imread(data, extension=".mp4")
        assert len(pictures) == frames
    assert colours(pictures[0]) > 50
    assert (pictures[0] != pictures[1]).mean() > 0.02


def test_page_holds_all_that_it_needs(tmp_path):
    pytest.importorskip("trame_vtk", reason="pages need fieldloom-mesh[html]")
    found = run("mesh.render", tmp_path, {"fields": [ball()]}, variable="height", format="html")["pictures"]
    (page,) = found.data_vars.values()
    text = page.values.tobytes().decode()
    assert page.attrs["media_type"] == "text/html"
    assert "<html" in text.lower()
    assert 'src="http' not in text
    assert len(text) > 100_000


def test_several_meshes_have_files_of_their_own(tmp_path):
    found = run("mesh.render", tmp_path, {"fields": [triangles(n=4), triangles(n=5)]}, variable="flux", width=160,
                height=120)["pictures"]  # fmt: skip
    assert len({v.attrs["filename"] for v in found.data_vars.values()}) == 2


def test_samples_of_a_grid_are_drawn_one_at_a_time():
    data = xr.concat([grid(), -grid()], "sample").transpose("sample", ...)
    data = data.assign_coords(x=grid().x, y=grid().y)
    first, second = (draw(data, view("wave", sample=i), [0], lambda n: None)[0] for i in (0, 1))
    assert (first != second).mean() > 0.1


def test_cell_fields_stay_on_cells_where_there_are_as_many_nodes():
    """Nine nodes and nine triangles: the field's place tells, not how many values it has."""
    fan = np.stack([np.full(8, 8), np.arange(8), (np.arange(8) + 1) % 8], 1)
    turn = np.linspace(0, 2 * np.pi, 8, endpoint=False)
    x, y = np.append(np.cos(turn), 0.0), np.append(np.sin(turn), 0.0)
    cells = np.vstack([fan, [[0, 1, 2]]])
    data = xr.Dataset(
        {"cell_connectivity": ("conn", cells.ravel()), "cell_offsets": ("cell_edge", np.arange(0, 28, 3)),
         "cell_types": ("cell", np.full(9, 5, np.uint8)), "number": ("cell", np.arange(9.0) / 9)},
        {f"node_{a}": ("node", v) for a, v in zip("xyz", (x, y, 0 * x), strict=True)},
    )  # fmt: skip
    found = draw(data, view("number"), [0], lambda n: None)[0]
    smooth = draw(data.assign(number=("node", np.arange(9.0) / 9)), view("number"), [0], lambda n: None)[0]
    assert colours(found[:150]) < 60 < colours(smooth[:150])


def test_one_mesh_of_a_population_is_drawn(tmp_path):
    from fieldloom.contracts.population import join

    data = {"fields": [join([triangles(n=4), triangles(n=9)])]}
    look = {"variable": "flux", "edges": True, "width": 200, "height": 200}
    first, second = (
        next(iter(run("mesh.render", tmp_path / str(i), data, sample=i, **look)["pictures"].values())) for i in (0, 1)
    )
    assert first.values.tobytes() != second.values.tobytes()
    with pytest.raises(StageFailed, match="the population has 2 meshes; there is no number 2"):
        run("mesh.render", tmp_path / "2", data, sample=2, **look)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (lambda d: d.isel(cell=slice(0), cell_edge=slice(1), conn=slice(0)), "no cells"),
        (lambda d: d.isel(node=slice(5)), "has 5 nodes"),
        (lambda d: d.isel(cell=slice(3)), "cell_offsets"),
        (lambda d: d[["temperature"]].drop_vars(["node_x"]), "neither a mesh nor a grid"),
    ],
)
def test_what_is_no_mesh_is_not_drawn(broken, message):
    with pytest.raises(ValueError, match=message):
        grid_of(broken(triangles()))


def test_field_off_the_mesh_is_refused():
    with pytest.raises(ValueError, match="has dims"):
        field_at(triangles().assign(odd=("conn", np.zeros(216))), "odd")


def test_limits_are_symmetric_for_fields_of_both_signs():
    panel = Panel("temperature", "viridis", (0, 1))
    low, high = robust_limits(triangles(), panel, [0, 1, 2])
    assert low == -high
    still = triangles().assign(temperature=0 * triangles().temperature)
    assert robust_limits(still, panel, [0]) == (-0.5, 0.5)
    nothing = triangles().assign(temperature=np.nan * triangles().temperature)
    with pytest.raises(ValueError, match="no finite value"):
        robust_limits(nothing, panel, [0])


def test_panels_are_laid_out_where_they_are_largest():
    wide, tall = (0, 10, 0, 1, 0, 0), (0, 1, 0, 1, 0, 0)
    assert rendering.layout(wide, 2, (900, 500)) == (2, 1)
    assert rendering.layout(tall, 2, (900, 500)) == (1, 2)
    assert rendering.layout(tall, 3, (500, 500)) == (2, 2)


def test_unknown_colours_are_told_with_close_ones(tmp_path):
    with pytest.raises(StageFailed, match=r"no colour map 'virides'.*viridis"):
        run("mesh.render", tmp_path, {"fields": [triangles()]}, variable="flux", cmap="virides")


def test_missing_library_is_an_error_with_the_command_that_installs_it(monkeypatch):
    rendering.check_rendering.cache_clear()
    monkeypatch.setattr(doctor, "_RENDER", "import os; os.kill(os.getpid(), 11)")
    with pytest.raises(rendering.CannotRender, match=r"signal 11.*install"):
        rendering.check_rendering()
    rendering.check_rendering.cache_clear()


def test_missing_packages_for_films_and_pages_are_named(monkeypatch, tmp_path):
    import sys

    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    monkeypatch.setitem(sys.modules, "imageio.plugins.ffmpeg", None)
    with pytest.raises(StageFailed, match=r"fieldloom-mesh\[video\]"):
        run("mesh.render", tmp_path, {"fields": [triangles()]}, variable="flux", format="mp4", frames=2)


if __name__ == "__main__":
    REFERENCES.mkdir(exist_ok=True)
    for name in SCENES:
        Image.fromarray(picture(name)).save(REFERENCES / f"{name}.png", optimize=True)
