"""Pictures of fields on meshes, drawn off-screen by pyvista."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from .grids import field_at, grid_of

if TYPE_CHECKING:
    import pyvista as pv
    import xarray as xr

_PROBE = (
    "import pyvista as pv; p = pv.Plotter(off_screen=True, window_size=(64, 64)); "
    "p.add_mesh(pv.Sphere()); assert p.screenshot(None, return_img=True).std() > 0"
)
_INSTALL = "apt-get install -y --no-install-recommends libegl1 libgl1 libxrender1"


class CannotRender(RuntimeError):
    """A library that drawing needs is missing on this machine."""


@dataclass(frozen=True)
class View:
    """How to draw.

    Attributes
    ----------
    variable : str
        The field; of a vector its magnitude is drawn.
    cmap : str
        A matplotlib colour map.
    limits : tuple of float
        Values at the ends of the colour bar.
    size : tuple of int
        Width and height in pixels.
    title : str
        Shown at the top; ``{time}`` is replaced.
    edges : bool
        Draw the mesh, too.
    """

    variable: str
    cmap: str
    limits: tuple[float, float]
    size: tuple[int, int]
    title: str = ""
    edges: bool = False


@cache
def check_rendering() -> None:
    """Draw once in a child process: a missing system library is a segmentation fault, not an exception.

    Raises
    ------
    CannotRender
        With the command that installs what is missing.
    """
    result = subprocess.run([sys.executable, "-c", _PROBE], capture_output=True, text=True, timeout=180, check=False)
    if result.returncode != 0:
        why = f"signal {-result.returncode}" if result.returncode < 0 else result.stderr.strip().splitlines()[-1:]
        raise CannotRender(f"off-screen rendering does not work here ({why}). On Debian or Ubuntu: {_INSTALL}")


def robust_limits(dataset: xr.Dataset, variable: str, frames: Sequence[int]) -> tuple[float, float]:
    """Colour limits from the 1st and 99th percentile over some frames; symmetric if the field has both signs."""
    sample = np.concatenate([magnitude(field_at(dataset, variable, i)) for i in frames])
    sample = sample[np.isfinite(sample)]
    if not sample.size:
        raise ValueError(f"{variable!r} has no finite value in the frames to draw")
    low, high = (float(v) for v in np.percentile(sample, [1, 99]))
    if low < 0 < high and -low > 0.1 * high and high > -0.1 * low:
        high = max(-low, high)
        low = -high
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def magnitude(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The values themselves, or the length of vectors (n, components)."""
    return values if values.ndim == 1 else np.linalg.norm(values, axis=1)


def draw(
    dataset: xr.Dataset, view: View, frames: Sequence[int], done: Callable[[int], None]
) -> list[np.ndarray[Any, Any]]:
    """Draw some frames.

    Parameters
    ----------
    dataset : xarray.Dataset
        A mesh with fields, see :func:`~fieldloom_mesh.grids.grid_of`.
    frames : sequence of int
        Indices along ``time``.
    done : callable
        Called with the number of frames drawn so far.

    Returns
    -------
    list of ndarray, shape (height, width, 3), uint8
    """
    import pyvista as pv

    check_rendering()
    grid = grid_of(dataset)
    plotter = pv.Plotter(off_screen=True, window_size=list(view.size))
    try:
        first = magnitude(field_at(dataset, view.variable, frames[0])).astype(np.float32)
        data = grid.point_data if len(first) == grid.n_points else grid.cell_data
        data[view.variable] = first
        _set_scene(plotter, grid, dataset, view)
        pictures = []
        for count, frame in enumerate(frames):
            data[view.variable] = magnitude(field_at(dataset, view.variable, frame)).astype(np.float32)
            if view.title:
                plotter.add_text(
                    _title(view.title, dataset, frame),
                    name="title",
                    font_size=9,
                    color="#1d2733",
                    position="upper_left",
                )
            plotter.render()
            pictures.append(np.asarray(plotter.screenshot(None, return_img=True))[..., :3].copy())
            done(count + 1)
        return pictures
    finally:
        plotter.close()


def _set_scene(plotter: pv.Plotter, grid: pv.UnstructuredGrid, dataset: xr.Dataset, view: View) -> None:
    units = dataset[view.variable].attrs.get("units", "")
    label = dataset[view.variable].attrs.get("long_name", view.variable)
    if magnitude(field_at(dataset, view.variable, 0)).ndim < field_at(dataset, view.variable, 0).ndim:
        label = f"|{label}|"
    bar = {
        "title": f"{label} [{units}]" if units not in ("", "1") else label,
        "vertical": False,
        "fmt": "%.3g",
        "width": 0.46,
        "height": 0.2,
        "position_x": 0.27,
        "position_y": 0.015,
        "n_labels": 5,
        "title_font_size": 15,
        "label_font_size": 13,
        "color": "#1d2733",
    }
    plotter.set_background("white")
    plotter.add_mesh(
        grid,
        scalars=view.variable,
        cmap=view.cmap,
        clim=list(view.limits),
        show_edges=view.edges,
        edge_color="#777777",
        lighting=False,
        scalar_bar_args=bar,
        interpolate_before_map=True,
    )
    plotter.scalar_bar.SetVerticalTitleSeparation(8)
    if np.ptp(grid.points[:, 2]) == 0:
        _look_down(plotter, grid, view.size)
    else:
        plotter.view_isometric()


def _look_down(plotter: pv.Plotter, grid: pv.UnstructuredGrid, size: tuple[int, int]) -> None:
    """Frame a flat mesh so that it fills the picture, with room for the colour bar below."""
    x0, x1, y0, y1, *_ = grid.bounds
    scale = max((y1 - y0) / 0.60, (x1 - x0) / 0.97 * size[1] / size[0]) / 2
    centre = ((x0 + x1) / 2, (y0 + y1) / 2 - 0.16 * scale, 0.0)
    plotter.view_xy()
    plotter.enable_parallel_projection()
    plotter.camera.focal_point = centre
    plotter.camera.position = (*centre[:2], 10 * scale)
    plotter.camera.parallel_scale = scale
    plotter.reset_camera_clipping_range()


def _title(text: str, dataset: xr.Dataset, frame: int) -> str:
    if "time" not in dataset.coords:
        return text.replace("{time}", "")
    units = dataset["time"].attrs.get("units", "")
    return text.replace("{time}", f"{float(dataset['time'][frame]):.2f} {units}".strip())


def encode_png(picture: np.ndarray[Any, Any]) -> bytes:
    """Encode one picture (height, width, 3) as PNG."""
    import imageio.v3 as iio

    return bytes(iio.imwrite("<bytes>", picture, extension=".png"))


def encode_gif(pictures: Sequence[np.ndarray[Any, Any]], fps: float, cmap: str) -> bytes:
    """Encode pictures as a GIF that loops.

    All frames share one palette, made of the colour map and of greys for text and edges: no flicker, no noise.
    """
    from PIL import Image

    palette = Image.new("P", (1, 1))
    palette.putpalette(_palette(cmap))
    indexed = [Image.fromarray(picture).quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
    out = io.BytesIO()
    indexed[0].save(out, format="GIF", save_all=True, append_images=indexed[1:], duration=round(1000 / fps), loop=0)
    return out.getvalue()


def _palette(cmap: str) -> bytes:
    from matplotlib import colormaps

    colours = colormaps[cmap](np.linspace(0, 1, 224))[:, :3]
    ink = np.array([0x1D, 0x27, 0x33]) / 255
    greys = ink + np.linspace(0, 1, 32)[:, None] * (1 - ink)
    return (np.vstack([colours, greys]) * 255).round().astype(np.uint8).tobytes()
