"""The stages of the room: parameters and data contracts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from fieldloom import Collection, Context, Port, Resources, Stage, StageParams, Variable, param

if TYPE_CHECKING:
    import xarray as xr

MESH = {
    "node_x": Variable(("node",), "float", "m"),
    "node_y": Variable(("node",), "float", "m"),
    "node_z": Variable(("node",), "float", "m"),
    "cell_connectivity": Variable(("conn",), "int"),
    "cell_offsets": Variable(("cell_edge",), "int"),
    "cell_types": Variable(("cell",), "int"),
}


class Render(Stage):
    """Pictures of a field on a mesh: a still of the last instant, or an animation.

    Drawn off-screen. Colours span the 1st to the 99th percentile of all frames, symmetric about zero where the
    field has both signs, unless ``limits`` says otherwise.
    """

    class Params(StageParams):
        """What to draw, and how."""

        variable: str = param(..., "The field to draw; of a vector, its magnitude.")
        format: Literal["png", "gif"] = param("png", "A still of the last instant, or an animation.")
        frames: int = param(50, "Largest number of frames in an animation, equally spaced.", ge=1, le=500)
        start: float = param(0.0, "Part of the series to leave out at its beginning.", ge=0.0, lt=1.0)
        fps: float = param(15.0, "Frames per second.", unit="s-1", gt=0.0, le=60.0)
        width: int = param(960, "Width in pixels.", ge=64, le=4096)
        height: int = param(300, "Height in pixels.", ge=64, le=4096)
        cmap: str = param("RdBu_r", "Colour map, by matplotlib's name.")
        limits: tuple[float, float] | None = param(None, "Values at the ends of the colour bar.")
        edges: bool = param(False, "Draw the edges of the cells.")

    inputs: Mapping[str, Port] = {"fields": Port(description="Meshes with fields.", variables=MESH, many=True)}
    outputs: Mapping[str, Port] = {"pictures": Port(description="One picture for each mesh.", files=True)}
    resources = Resources(isolate=True)  # a GL driver that crashes should not take the run with it
    affects = ("pyvista", "vtk")

    @classmethod
    def input_ports(cls, params: Any) -> Mapping[str, Port]:
        """Ask for the variable that is to be drawn."""
        wanted = {**MESH, params.variable: Variable((...,), "number")}
        return {"fields": Port(description=cls.inputs["fields"].description, variables=wanted, many=True)}

    def run(self, context: Context, params: Params, **inputs: Any) -> Mapping[str, xr.Dataset]:
        """Draw each mesh."""
        import xarray as xr
        from fieldloom.files import file_variable

        meshes: Collection = inputs["fields"]
        pictures = {}
        for i, (name, mesh) in enumerate(meshes.items()):
            label = name if meshes.coords(name) else ""
            data = _picture(context, params, mesh, label, (i, len(meshes)))
            media = {"png": "image/png", "gif": "image/gif"}[params.format]
            filename = (
                "_".join(filter(None, (params.variable, label.replace("=", "-").replace(",", "_"))))
                + f".{params.format}"
            )
            caption = f"{params.variable}, {label}" if label else params.variable
            pictures[f"picture_{i}"] = file_variable(data, filename, media, caption)
        return {"pictures": xr.Dataset(pictures)}


def _picture(context: Context, params: Render.Params, mesh: xr.Dataset, label: str, part: tuple[int, int]) -> bytes:
    import numpy as np

    from .rendering import View, draw, encode_gif, encode_png, robust_limits

    last = mesh.sizes.get("time", 1) - 1
    first = min(round(params.start * last), last)
    count = min(params.frames, last - first + 1) if params.format == "gif" else 1
    frames = [int(i) for i in np.linspace(first, last, count).round()] if count > 1 else [last]
    sample = frames[:: max(len(frames) // 8, 1)]
    limits = params.limits or robust_limits(mesh, params.variable, sample)
    title = "   ".join(filter(None, (label, "t = {time}" if "time" in mesh.coords else "")))
    view = View(params.variable, params.cmap, limits, (params.width, params.height), title, params.edges)
    index, total = part

    def done(drawn: int) -> None:
        context.progress(index * count + drawn, total * count, label)

    pictures = draw(mesh, view, frames, done)
    return encode_gif(pictures, params.fps, params.cmap) if params.format == "gif" else encode_png(pictures[-1])


class Write(Stage):
    """A time series on a mesh as VTU files with a PVD index, which ParaView opens.

    The files land in the run's folder below ``files/``.
    """

    class Params(StageParams):
        """Which instants, and the files' name."""

        frames: int = param(50, "Largest number of instants, equally spaced.", ge=1, le=10_000)
        stem: str = param("fields", "Beginning of the files' names.", pattern=r"^[\w-]+$")

    inputs: Mapping[str, Port] = {"fields": Port(description="A mesh with fields.", variables=MESH)}
    outputs: Mapping[str, Port] = {"files": Port(description="VTU files and their PVD index.", files=True)}
    affects = ("pyvista", "vtk")
    resources = Resources(isolate=True)

    def run(self, context: Context, params: Params, **inputs: Any) -> Mapping[str, xr.Dataset]:
        """Write each instant."""
        import numpy as np
        import xarray as xr
        from fieldloom.files import file_variable

        from .writing import write_vtu_series

        mesh = inputs["fields"]
        last = mesh.sizes.get("time", 1) - 1
        frames = sorted({int(i) for i in np.linspace(0, last, min(params.frames, last + 1)).round()})
        files = {}
        for i, (name, data) in enumerate(write_vtu_series(mesh, frames, params.stem, context.scratch)):
            media = "application/xml" if name.endswith(".pvd") else "application/vnd.vtk.vtu"
            files[f"file_{i}"] = file_variable(data, name, media)
            context.progress(i + 1, len(frames) + 1, name)
        return {"files": xr.Dataset(files)}
