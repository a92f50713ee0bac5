"""Pictures of fields on meshes and grids, drawn off-screen by pyvista."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from fieldloom.contracts.cells import weights
from fieldloom.doctor import rendering_problem

from .pyvista_grids import field_at, grid_of

if TYPE_CHECKING:
    from pathlib import Path

    import pyvista as pv
    import xarray as xr

Picture = np.ndarray[Any, Any]
Camera = Literal["auto", "xy", "xz", "yz", "iso", "-xy", "-xz", "-yz"]
INK = "#1d2733"
BAR_PIXELS = 64
"""Height of the strip below a panel that its colour bar takes."""
TITLE_PIXELS = 24
THIN = 0.1
"""A mesh is looked at as flat if it is thinner than this part of its middle extent."""


class CannotRender(RuntimeError):
    """A library that drawing needs is missing on this machine."""


@dataclass(frozen=True)
class Panel:
    """One field, and how it is drawn.

    Attributes
    ----------
    variable : str
        The field.
    cmap : str
        A matplotlib colour map.
    limits : tuple of float
        Values at the ends of the colour bar.
    component : int, optional
        Of a vector; its magnitude is drawn if not given.
    """

    variable: str
    cmap: str
    limits: tuple[float, float]
    component: int | None = None


@dataclass(frozen=True)
class View:
    """What a picture looks like.

    Attributes
    ----------
    panels : tuple of Panel
        From top to bottom, or from left to right if that leaves less empty.
    size : tuple of int
        Width and height in pixels.
    title : str
        Shown at the top; ``{time}`` is replaced.
    edges : bool
        Draw the mesh, too.
    camera : str
        ``auto`` looks straight at what is flat, obliquely at what is not.
    zoom : tuple of float, optional
        Window (x0, x1, y0, y1) of a flat mesh that fills the panel.
    sample : int
        Which sample, of fields that have several.
    """

    panels: tuple[Panel, ...]
    size: tuple[int, int]
    title: str = ""
    edges: bool = False
    camera: Camera = "auto"
    zoom: tuple[float, float, float, float] | None = None
    sample: int = 0


@cache
def check_rendering() -> None:
    """Draw once in a child process: a missing system library is a segmentation fault, not an exception.

    Raises
    ------
    CannotRender
        With the command that installs what is missing.
    """
    if problem := rendering_problem():
        raise CannotRender(problem)


def scalars(dataset: xr.Dataset, panel: Panel, frame: int, sample: int) -> Picture:
    """What a panel shows at one instant: the values, a component, or the length of vectors, (points,) float32."""
    values = field_at(dataset, panel.variable, frame, sample)
    if values.ndim == 1:
        return values.astype(np.float32)
    if panel.component is None:
        return np.linalg.norm(values.astype(np.float64), axis=1).astype(np.float32)
    if panel.component >= values.shape[1]:
        raise ValueError(f"{panel.variable!r} has {values.shape[1]} components; there is no number {panel.component}")
    return values[:, panel.component].astype(np.float32)


def robust_limits(dataset: xr.Dataset, panel: Panel, frames: Sequence[int], sample: int = 0) -> tuple[float, float]:
    """Colour limits that 98 % of the area or volume keep over some frames; symmetric if the field has both signs.

    By area, since nodes crowd where a field is steepest.
    """
    every = [scalars(dataset, panel, i, sample) for i in frames]
    share = weights(dataset).get(place_of(dataset, panel.variable), np.ones(len(every[0])))
    share = np.tile(share, len(every))
    values = np.concatenate(every)
    finite = np.isfinite(values)
    values, share = values[finite], share[finite]
    if not values.size:
        raise ValueError(f"{panel.variable!r} has no finite value in the frames to draw")
    order = np.argsort(values)
    part = np.cumsum(share[order]) / share.sum()
    low, high = (float(values[order][min(np.searchsorted(part, q), len(order) - 1)]) for q in (0.01, 0.99))
    if low < 0 < high and -low > 0.1 * high and high > -0.1 * low:
        high = max(-low, high)
        low = -high
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def place_of(dataset: xr.Dataset, name: str) -> str:
    """Where a field lies: ``"node"``, or ``"cell"`` (which on a grid is around each of its points)."""
    return "node" if "node" in dataset[name].dims else "cell"


def draw(dataset: xr.Dataset, view: View, frames: Sequence[int], done: Callable[[int], None]) -> list[Picture]:
    """Draw some frames.

    Parameters
    ----------
    dataset : xarray.Dataset
        A mesh, population or grid with fields.
    frames : sequence of int
        Indices along ``time``.
    done : callable
        Called with the number of frames drawn so far.

    Returns
    -------
    list of ndarray, shape (height, width, 3), uint8
    """
    scene = _Scene(dataset, view, frames[0])
    try:
        pictures = []
        for count, frame in enumerate(frames):
            scene.show(frame)
            pictures.append(np.asarray(scene.plotter.screenshot(None, return_img=True))[..., :3].copy())
            done(count + 1)
        return pictures
    finally:
        scene.plotter.close()


def export_html(dataset: xr.Dataset, view: View, frame: int, path: Path) -> None:
    """Write one instant as a page that turns and zooms in a browser, with everything it needs inside.

    Raises
    ------
    CannotRender
        If the package that makes the page is not installed.
    """
    scene = _Scene(dataset, view, frame, interactive=True)
    try:
        scene.show(frame)
        import trame_pyvista  # noqa: F401  # gives plotters their `trame`

        scene.plotter.trame.export_html(path)
    except ImportError as error:
        raise CannotRender("interactive pages need one more package: pip install 'fieldloom-mesh[html]'") from error
    finally:
        scene.plotter.close()


class _Scene:
    """A plotter with one renderer a panel, whose scalars change from frame to frame."""

    def __init__(self, dataset: xr.Dataset, view: View, frame: int, *, interactive: bool = False) -> None:
        import pyvista as pv

        check_rendering()
        self._dataset, self._view, self._interactive = dataset, view, interactive
        first = grid_of(dataset)
        shape = layout(first.bounds, len(view.panels), view.size) if flat_axis(first.bounds) else (1, len(view.panels))
        self.plotter = pv.Plotter(off_screen=True, window_size=list(view.size), shape=shape, border=False)
        self._panel_size = (view.size[0] // shape[1], view.size[1] // shape[0])
        self._grids = [first, *(first.copy(deep=False) for _ in view.panels[1:])]
        for i, (panel, grid) in enumerate(zip(view.panels, self._grids, strict=True)):
            self.plotter.subplot(*divmod(i, shape[1]))
            self._fill(panel, grid, frame)
            self._set(panel, grid)

    def _fill(self, panel: Panel, grid: pv.DataSet, frame: int) -> None:
        values = scalars(self._dataset, panel, frame, self._view.sample)
        on_nodes = place_of(self._dataset, panel.variable) == "node"
        (grid.point_data if on_nodes else grid.cell_data)[_key(panel)] = values

    def show(self, frame: int) -> None:
        """Draw another instant."""
        for panel, grid in zip(self._view.panels, self._grids, strict=True):
            self._fill(panel, grid, frame)
        if self._view.title:
            self.plotter.subplot(0, 0)
            text = _title(self._view.title, self._dataset, frame)
            self.plotter.add_text(text, name="title", font_size=9, color=INK, position="upper_left")
        self.plotter.render()

    def _set(self, panel: Panel, grid: pv.DataSet) -> None:
        plotter, (width, height) = self.plotter, self._panel_size
        plotter.set_background("white")
        actor = plotter.add_mesh(
            grid,
            scalars=_key(panel),
            cmap=panel.cmap,
            clim=list(panel.limits),
            show_edges=self._view.edges,
            edge_color="#777777",
            lighting=not flat_axis(grid.bounds),
            nan_color="#d8d8d8",
            interpolate_before_map=True,
            scalar_bar_args=_bar(self._bar_title(panel), width, height) | self._bar_ground(),
            copy_mesh=False,
        )
        if not self._interactive:
            self._label(label_of(self._dataset, panel), height)
        axis = flat_axis(grid.bounds)
        wanted = {"auto": {"x": "yz", "y": "xz", "z": "xy"}.get(axis, "iso")}.get(self._view.camera, self._view.camera)
        if wanted == "iso":
            plotter.view_isometric()
            plotter.camera.zoom(1.3 * (1 - (BAR_PIXELS + TITLE_PIXELS) / height))
            plotter.camera.SetWindowCenter(0.0, (TITLE_PIXELS - BAR_PIXELS) / height)
        else:
            if self._view.zoom is not None:
                _clip(actor, grid, wanted, self._view.zoom)
            _look_along(plotter, grid, wanted, self._view.zoom, (width, height))

    def _bar_title(self, panel: Panel) -> str:
        """The label on a page; on pictures, where it would run into the numbers, a blank of its own for every bar."""
        return label_of(self._dataset, panel) if self._interactive else " " * (1 + self._view.panels.index(panel))

    def _bar_ground(self) -> dict[str, Any]:
        """White, as a mesh may reach below the bar; a page would then show the colours' numbers."""
        return {} if self._interactive else {"fill": True, "background_color": "white"}

    def _label(self, text: str, height: int) -> None:
        place = (0.5, (BAR_PIXELS - 26) / height)
        label = self.plotter.add_text(text, position=place, viewport=True, font_size=8, color=INK)
        label.prop.justification_horizontal = "center"
        label.prop.background_color, label.prop.background_opacity = "white", 1.0


def _key(panel: Panel) -> str:
    return f"{panel.variable}[{panel.component}]" if panel.component is not None else panel.variable


def _bar(key: str, width: int, height: int) -> dict[str, Any]:
    share = BAR_PIXELS / height
    long = min(0.9, max(0.46, 300 / width))
    return {
        "title": key,
        "vertical": False,
        "fmt": "%.3g",
        "width": long,
        "height": 0.62 * share,
        "position_x": (1 - long) / 2,
        "position_y": 0.04 * share,
        "n_labels": 5,
        "title_font_size": 14,
        "label_font_size": 12,
        "color": INK,
    }


def label_of(dataset: xr.Dataset, panel: Panel) -> str:
    """Name of what a panel shows, with its unit: ``velocity, magnitude [m s-1]``."""
    attrs = dataset[panel.variable].attrs
    label = attrs.get("long_name", panel.variable)
    if panel.component is not None:
        label = f"{label} {'xyz'[panel.component] if panel.component < 3 else panel.component}"
    elif field_at(dataset, panel.variable).ndim > 1:
        label = f"{label}, magnitude"  # no bars: VTK takes them for columns of a formula
    units = attrs.get("units", "")
    return f"{label} [{units}]" if units not in ("", "1") else str(label)


def flat_axis(bounds: Sequence[float]) -> str:
    """The axis along which there is next to no extent (a sheet of cells counts as flat), or empty text."""
    extents = {axis: bounds[2 * k + 1] - bounds[2 * k] for k, axis in enumerate("xyz")}
    thinnest = min(reversed(extents), key=extents.__getitem__)
    return thinnest if extents[thinnest] <= THIN * sorted(extents.values())[1] else ""


def layout(bounds: Sequence[float], panels: int, size: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns in which panels of a flat mesh show it largest."""
    axis = flat_axis(bounds)
    extents = [bounds[2 * k + 1] - bounds[2 * k] for k, name in enumerate("xyz") if name != axis]

    def scale(columns: int) -> float:
        rows = -(-panels // columns)
        width, height = size[0] / columns, size[1] / rows - BAR_PIXELS
        return min(width / max(extents[0], 1e-300), height / max(extents[1], 1e-300))

    columns = max(range(1, panels + 1), key=scale)
    return -(-panels // columns), columns


def _clip(actor: Any, grid: pv.DataSet, view: str, zoom: tuple[float, float, float, float]) -> None:
    """Show nothing outside the window.

    Raises
    ------
    ValueError
        If the mesh is outside it.
    """
    from vtkmodules.vtkCommonDataModel import vtkPlane

    for k, name in enumerate(view.lstrip("-")):
        axis = "xyz".index(name)
        low, high = grid.bounds[2 * axis : 2 * axis + 2]
        if zoom[2 * k] >= high or zoom[2 * k + 1] <= low:
            raise ValueError(
                f"`zoom` shows {name} from {zoom[2 * k]:g} to {zoom[2 * k + 1]:g}; the mesh {low:g} to {high:g}"
            )
        for end, sign in ((zoom[2 * k], 1.0), (zoom[2 * k + 1], -1.0)):
            plane = vtkPlane()
            plane.SetOrigin([end if i == axis else 0.0 for i in range(3)])
            plane.SetNormal([sign if i == axis else 0.0 for i in range(3)])
            actor.mapper.AddClippingPlane(plane)


def _look_along(
    plotter: pv.Plotter,
    grid: pv.DataSet,
    view: str,
    zoom: tuple[float, float, float, float] | None,
    size: tuple[int, int],
) -> None:
    """Look straight at a plane so that the mesh fills the panel, with room for the colour bar below."""
    getattr(plotter, f"view_{view.lstrip('-')}")(negative=view.startswith("-"))
    plotter.enable_parallel_projection()
    axis = next(name for name in "xyz" if name not in view)
    right, up = "xyz".index(view.lstrip("-")[0]), "xyz".index(view.lstrip("-")[1])
    low, high = np.array(grid.bounds[::2]), np.array(grid.bounds[1::2])
    if zoom is not None:
        low[[right, up]], high[[right, up]] = (zoom[0], zoom[2]), (zoom[1], zoom[3])
    width, height = size
    room = max(height - BAR_PIXELS - TITLE_PIXELS, height // 3)
    scale = max((high[up] - low[up]) / room, (high[right] - low[right]) / (0.97 * width)) * height / 2
    centre = (low + high) / 2
    centre[up] -= (BAR_PIXELS - TITLE_PIXELS) / height * scale
    camera = plotter.camera
    offset = np.array(camera.position) - np.array(camera.focal_point)
    camera.focal_point = centre
    far = max(scale / np.tan(np.radians(camera.view_angle / 2)), high["xyz".index(axis)] - low["xyz".index(axis)])
    camera.position = centre + offset / np.linalg.norm(offset) * far  # as large in perspective, which pages show
    camera.parallel_scale = scale
    plotter.reset_camera_clipping_range()


def _title(text: str, dataset: xr.Dataset, frame: int) -> str:
    if "time" not in dataset.coords:
        return text.replace("{time}", "")
    units = dataset["time"].attrs.get("units", "")
    units = "" if units == "1" else units
    return text.replace("{time}", f"{float(dataset['time'][frame]):.2f} {units}".strip())
