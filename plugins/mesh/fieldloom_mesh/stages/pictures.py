"""Pictures of fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self

from fieldloom import Collection, Context, Port, Resources, Stage, StageParams, Variable, param
from fieldloom.contracts import field_port
from pydantic import model_validator

if TYPE_CHECKING:
    import xarray as xr

    from ..rendering import View

_MEDIA = {"png": "image/png", "gif": "image/gif", "mp4": "video/mp4", "html": "text/html"}


class Render(Stage):
    """Pictures of fields on a mesh or grid: a still of the last instant, an animation, or a page that turns.

    Drawn off-screen. Several variables make several panels, each with its colour bar. Colours span what 98 % of
    the area take over all frames, symmetric about zero where the field has both signs, unless `limits` says
    otherwise. Of vectors the magnitude is drawn, or a component.
    """

    class Params(StageParams):
        """What to draw, and how."""

        variable: str | list[str] = param(..., "The field to draw, or several, one a panel.")
        component: int | None = param(None, "Component of vectors; their magnitude if not given.", ge=0, le=8)
        format: Literal["png", "gif", "mp4", "html"] = param(
            "png", "A still of the last instant, an animation, a film (needs fieldloom-mesh[video]), or an interactive "
            "page (needs fieldloom-mesh[html])."
        )  # fmt: skip
        frames: int = param(50, "Largest number of frames in an animation, equally spaced.", ge=1, le=2000)
        start: float = param(0.0, "Part of the series to leave out at its beginning.", ge=0.0, lt=1.0)
        fps: float = param(15.0, "Frames per second.", unit="s-1", gt=0.0, le=60.0)
        width: int = param(960, "Width in pixels.", ge=64, le=4096)
        height: int = param(300, "Height in pixels.", ge=64, le=4096)
        cmap: str | list[str] = param("RdBu_r", "Colour map by matplotlib's name, or one a panel.")
        limits: tuple[float, float] | list[tuple[float, float] | None] | None = param(
            None, "Values at the ends of the colour bar, or one pair a panel."
        )
        camera: Literal["auto", "xy", "xz", "yz", "iso", "-xy", "-xz", "-yz"] = param(
            "auto", "Where to look from; auto looks straight at what is flat."
        )
        zoom: tuple[float, float, float, float] | None = param(
            None, "Window x0, x1, y0, y1 of a flat mesh that is shown; all of it if not given."
        )
        sample: int = param(0, "Which sample of a population, or of fields that have several.", ge=0)
        edges: bool = param(False, "Draw the edges of the cells.")

        @model_validator(mode="after")
        def _fits(self) -> Self:
            if len(self.variables) == 0:
                raise ValueError("`variable` names no field")
            for name, value in (("cmap", self.cmap), ("limits", self.limits)):
                if isinstance(value, list) and len(value) != len(self.variables):
                    raise ValueError(f"`{name}` has {len(value)} entries for {len(self.variables)} variables")
            for pair in filter(None, self.limits if isinstance(self.limits, list) else [self.limits]):
                if not pair[0] < pair[1]:
                    raise ValueError(
                        f"`limits` go from {pair[0]:g} to {pair[1]:g}; the first should be below the second"
                    )
            if self.zoom is not None and not (self.zoom[0] < self.zoom[1] and self.zoom[2] < self.zoom[3]):
                raise ValueError("`zoom` is x0, x1, y0, y1 with x0 < x1 and y0 < y1")
            return self

        @property
        def variables(self) -> list[str]:
            return [self.variable] if isinstance(self.variable, str) else self.variable

    inputs: Mapping[str, Port] = {"fields": field_port("Meshes or grids with fields.", many=True)}
    outputs: Mapping[str, Port] = {"pictures": Port(description="One picture for each mesh.", files=True)}
    resources = Resources(isolate=True)  # a GL driver that crashes should not take the run with it
    affects = ("pyvista", "vtk")

    @classmethod
    def input_ports(cls, params: Any) -> Mapping[str, Port]:
        """Ask for the variables that are to be drawn."""
        wanted = {name: Variable((...,), "number") for name in params.variables}
        return {"fields": field_port(cls.inputs["fields"].description, wanted, many=True)}

    def run(self, context: Context, params: Params, **inputs: Any) -> Mapping[str, xr.Dataset]:
        """Draw each mesh."""
        import xarray as xr
        from fieldloom.files import file_variable

        meshes: Collection = inputs["fields"]
        pictures = {}
        for i, (name, mesh) in enumerate(meshes.items()):
            label = name if meshes.coords(name) or len(meshes) > 1 else ""
            mesh = _sample(mesh, params.sample)
            data = _picture(context, params, mesh, label, (i, len(meshes)))
            what = "_".join(params.variables)
            parts = filter(None, (what, label.replace("=", "-").replace(",", "_")))
            caption = ", ".join(filter(None, (", ".join(params.variables), label)))
            filename = f"{'_'.join(parts)}.{params.format}"
            pictures[f"picture_{i}"] = file_variable(data, filename, _MEDIA[params.format], caption)
        return {"pictures": xr.Dataset(pictures)}


def _sample(data: xr.Dataset, number: int) -> xr.Dataset:
    """One mesh of a population; others as they are, if they have that sample."""
    from fieldloom.contracts import kind_of
    from fieldloom.contracts.population import part

    if kind_of(data) == "population":
        return part(data, number)
    if number >= data.sizes.get("sample", number + 1):
        raise ValueError(
            f"there are {data.sizes['sample']} samples; `sample` {number} is not among 0 to {data.sizes['sample'] - 1}"
        )
    return data


def _picture(context: Context, params: Render.Params, mesh: xr.Dataset, label: str, part: tuple[int, int]) -> bytes:
    import numpy as np

    from ..encoding import encode_gif, encode_mp4, encode_png
    from ..rendering import draw, export_html

    last = mesh.sizes.get("time", 1) - 1
    first = min(round(params.start * last), last)
    moving = params.format in ("gif", "mp4")
    count = min(params.frames, last - first + 1) if moving else 1
    frames = [int(i) for i in np.linspace(first, last, count).round()] if count > 1 else [last]
    view = _view(params, mesh, frames, label)
    index, total = part

    def done(drawn: int) -> None:
        context.progress(index * count + drawn, total * count, label)

    if params.format == "html":
        path = context.scratch / "page.html"
        export_html(mesh, view, last, path)
        return path.read_bytes()
    pictures = draw(mesh, view, frames, done)
    if params.format == "mp4":
        return encode_mp4(pictures, params.fps)
    return encode_gif(pictures, params.fps, [p.cmap for p in view.panels]) if moving else encode_png(pictures[-1])


def _view(params: Render.Params, mesh: xr.Dataset, frames: Sequence[int], label: str) -> View:
    from ..encoding import check_colours
    from ..rendering import Panel, View, robust_limits

    count = len(params.variables)
    cmaps = [params.cmap] * count if isinstance(params.cmap, str) else params.cmap
    check_colours(cmaps)
    given = params.limits if isinstance(params.limits, list) else [params.limits] * count
    sample = frames[:: max(len(frames) // 8, 1)]
    panels = []
    for name, cmap, limits in zip(params.variables, cmaps, given, strict=True):
        vector = "component" in mesh[name].dims
        draft = Panel(name, cmap, (0.0, 1.0), params.component if vector else None)
        limits = limits or robust_limits(mesh, draft, sample, params.sample)
        panels.append(Panel(name, cmap, limits, draft.component))
    title = "   ".join(filter(None, (label, "t = {time}" if "time" in mesh.coords else "")))
    size = (params.width, params.height)
    return View(tuple(panels), size, title, params.edges, params.camera, params.zoom, params.sample)
