"""The stages of the room: parameters and data contracts. The numerics are in modules without fieldloom."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Self

from fieldloom import Collection, Context, Port, Resources, Stage, StageParams, Stream, Variable, param
from pydantic import model_validator

if TYPE_CHECKING:
    import xarray as xr

    from .cylinder_wake import Frame
    from .mesh import ChannelMesh

MESH = {
    "node_x": Variable(("node",), "float64", "m", "first coordinate of the nodes"),
    "node_y": Variable(("node",), "float64", "m", "second coordinate"),
    "node_z": Variable(("node",), "float64", "m", "third coordinate, zero"),
    "cell_connectivity": Variable(("conn",), "int64", description="node indices of all cells, one after the other"),
    "cell_offsets": Variable(
        ("cell_edge",), "int64", description="where each cell starts in cell_connectivity, and its end"
    ),
    "cell_types": Variable(("cell",), "uint8", description="VTK cell types; 5 is a triangle"),
    "face_nodes": Variable(("cell", "face_corner"), "int64", description="the same triangles as UGRID lists them"),
}
WAKE = Port(
    description="Velocity, pressure and vorticity on a triangle mesh over time, and the forces on the cylinder.",
    variables={
        **MESH,
        "time": Variable(("time",), "float64", "s", "instants of the stored frames"),
        "velocity": Variable(("time", "node", "component"), "float32", "m s-1", "velocity"),
        "pressure": Variable(("time", "node"), "float32", "m2 s-2", "kinematic pressure"),
        "vorticity": Variable(("time", "node"), "float32", "s-1", "vorticity"),
        "force_time": Variable(("time", "substep"), "float64", "s", "instants of the force history"),
        "drag": Variable(("time", "substep"), "float64", "1", "drag coefficient 2 F_x / (U^2 D)"),
        "lift": Variable(("time", "substep"), "float64", "1", "lift coefficient 2 F_y / (U^2 D)"),
    },
    sizes={"component": 2, "face_corner": 3, "time": "frames"},
    attrs=("reynolds", "diameter", "mean_velocity", "viscosity"),
)


class CylinderWake(Stage):
    """Flow past a circular cylinder in a channel: vortices shed above a Reynolds number of about 50.

    Incompressible Navier-Stokes equations by P1/P1 finite elements on an unstructured triangle mesh, with an
    incremental pressure correction in rotational form and BDF2 in time (Guermond, Minev & Shen 2006). The
    default geometry is that of the DFG benchmark 2D-2 (Schäfer & Turek 1996); forces are computed from the
    volume (John 2004). Every frame is written as it is computed: memory holds one.
    """

    class Params(StageParams):
        """Geometry, fluid and time."""

        reynolds: float = param(100.0, "Reynolds number U D / nu of the mean inflow.", ge=1.0, le=200.0)
        mean_velocity: float = param(1.0, "Mean inflow velocity U; the profile is a parabola.", unit="m s-1", gt=0.0)
        duration: float = param(6.0, "Time to simulate.", unit="s", gt=0.0, le=1000.0)
        frames: int = param(150, "Stored instants, equally spaced.", ge=1, le=100_000)
        length: float = param(2.2, "Length of the channel.", unit="m", gt=0.0)
        height: float = param(0.41, "Height of the channel.", unit="m", gt=0.0)
        centre: tuple[float, float] = param((0.2, 0.2), "Centre of the cylinder.", unit="m")
        radius: float = param(0.05, "Radius of the cylinder.", unit="m", gt=0.0)
        resolution: int = param(9, "Mesh edges along one radius; 9 gives about 1,800 nodes.", ge=4, le=40)
        perturbation: float = param(0.5, "Initial cross-flow behind the cylinder, as a fraction of U.", ge=0.0, le=1.0)

        @model_validator(mode="after")
        def _cylinder_fits(self) -> Self:
            """Refuse a cylinder that touches a wall, before anything is computed."""
            x, y = self.centre
            gaps = {"inlet": x, "outlet": self.length - x, "lower wall": y, "upper wall": self.height - y}
            side, gap = min(gaps.items(), key=lambda item: item[1])
            if gap - self.radius < 0.5 * self.radius:
                raise ValueError(
                    f"the cylinder is {gap - self.radius:.3g} m from the {side}; "
                    f"it must keep at least half a radius, {0.5 * self.radius:.3g} m"
                )
            return self

    outputs: Mapping[str, Port] = {"fields": WAKE}
    resources = Resources(isolate=True)  # sparse triangular solves hold the interpreter's lock
    affects = ("numpy", "scipy")

    def run(self, context: Context, params: Params, **inputs: Any) -> Mapping[str, Stream]:
        """Mesh, then integrate; yields the frames as they come."""
        from .cylinder_wake import cylinder_wake
        from .mesh import channel_mesh

        mesh = channel_mesh(
            params.length, params.height, params.centre, params.radius, params.radius / params.resolution
        )
        context.log.info("mesh: %d nodes, %d triangles", len(mesh.nodes), len(mesh.triangles))
        viscosity = params.mean_velocity * 2 * params.radius / params.reynolds
        frames = cylinder_wake(
            mesh, params.mean_velocity, viscosity, params.duration, params.frames, perturbation=params.perturbation
        )
        return {"fields": Stream("time", _blocks(context, params, mesh, viscosity, frames))}


def _blocks(
    context: Context, params: CylinderWake.Params, mesh: ChannelMesh, viscosity: float, frames: Iterator[Frame]
) -> Iterator[xr.Dataset]:
    fixed = _mesh_variables(mesh)
    attrs = {
        "Conventions": "CF-1.11 UGRID-1.0",
        "title": "Wake of a circular cylinder",
        "reynolds": params.reynolds,
        "diameter": 2 * params.radius,
        "mean_velocity": params.mean_velocity,
        "viscosity": viscosity,
        "centre": list(params.centre),
    }
    for i, frame in enumerate(frames):
        yield _block(mesh, frame, fixed, attrs)
        context.progress(i + 1, params.frames, f"t = {frame.time:.2f} s")


def _mesh_variables(mesh: ChannelMesh) -> dict[str, tuple[Any, ...]]:
    """The mesh in VTK's flat layout, with UGRID's face_nodes and topology beside it."""
    import numpy as np

    cells = len(mesh.triangles)
    topology = {
        "cf_role": "mesh_topology",
        "topology_dimension": 2,
        "node_coordinates": "node_x node_y",
        "face_node_connectivity": "face_nodes",
    }
    return {
        "mesh": ((), np.int32(0), topology),
        "node_x": ("node", mesh.nodes[:, 0], {"units": "m", "standard_name": "projection_x_coordinate"}),
        "node_y": ("node", mesh.nodes[:, 1], {"units": "m", "standard_name": "projection_y_coordinate"}),
        "node_z": ("node", np.zeros(len(mesh.nodes)), {"units": "m"}),
        "cell_connectivity": ("conn", mesh.triangles.ravel().astype(np.int64)),
        "cell_offsets": ("cell_edge", np.arange(0, 3 * cells + 1, 3, dtype=np.int64)),
        "cell_types": ("cell", np.full(cells, 5, np.uint8)),
        "face_nodes": (
            ("cell", "face_corner"),
            mesh.triangles.astype(np.int64),
            {"cf_role": "face_node_connectivity", "start_index": 0},
        ),
    }


def _block(mesh: ChannelMesh, frame: Frame, fixed: Mapping[str, Any], attrs: Mapping[str, Any]) -> xr.Dataset:
    import numpy as np
    import xarray as xr

    from .navier_stokes import vorticity

    on_nodes = {"mesh": "mesh", "location": "node"}
    curl = vorticity(mesh.nodes, mesh.triangles, frame.velocity)
    variables = {
        **fixed,
        "velocity": (
            ("time", "node", "component"),
            frame.velocity[None].astype(np.float32),
            {"units": "m s-1", "long_name": "velocity", **on_nodes},
        ),
        "pressure": (
            ("time", "node"),
            frame.pressure[None].astype(np.float32),
            {"units": "m2 s-2", "long_name": "kinematic pressure", **on_nodes},
        ),
        "vorticity": (
            ("time", "node"),
            curl[None].astype(np.float32),
            {"units": "s-1", "long_name": "vorticity", **on_nodes},
        ),
        "force_time": (("time", "substep"), frame.force_times[None], {"units": "s"}),
        "drag": (("time", "substep"), frame.drag[None], {"units": "1", "long_name": "drag coefficient"}),
        "lift": (("time", "substep"), frame.lift[None], {"units": "1", "long_name": "lift coefficient"}),
    }
    data = xr.Dataset(variables, {"time": ("time", [frame.time], {"units": "s", "axis": "T"})}, dict(attrs))
    return data.set_coords(["node_x", "node_y", "node_z", "force_time"])


class StrouhalTable(Stage):
    """Shedding frequency and force coefficients of wakes, one row for each.

    The frequency is the inverse of the mean time between upward zero crossings of the lift over the last part
    of the history; the Strouhal number is f D / U. A wake that does not shed has NaN, and the log says why.
    """

    class Params(StageParams):
        """Which part of the history counts."""

        window: float = param(0.4, "Part of the history that is analysed, from its end.", gt=0.0, le=1.0)

    inputs: Mapping[str, Port] = {
        "fields": Port(
            description="Wakes with their force history.",
            variables={name: WAKE.variables[name] for name in ("force_time", "drag", "lift")},
            attrs=("reynolds", "diameter", "mean_velocity"),
            many=True,
        )
    }
    outputs: Mapping[str, Port] = {
        "table": Port(
            description="One row a wake, by Reynolds number.",
            variables={
                "reynolds": Variable(("sample",), "float64", "1", "Reynolds number"),
                "strouhal": Variable(("sample",), "float64", "1", "Strouhal number f D / U"),
                "frequency": Variable(("sample",), "float64", "s-1", "shedding frequency"),
                "drag_max": Variable(("sample",), "float64", "1", "largest drag coefficient"),
                "drag_mean": Variable(("sample",), "float64", "1", "mean drag coefficient"),
                "lift_max": Variable(("sample",), "float64", "1", "largest lift coefficient"),
                "periods": Variable(("sample",), "int64", None, "whole periods in the window"),
            },
            extra=False,
        )
    }

    def run(self, context: Context, params: Params, **inputs: Any) -> Mapping[str, xr.Dataset]:
        """Analyse the lift of each wake."""
        import xarray as xr

        wakes: Collection = inputs["fields"]
        rows = sorted(
            (_row(context, name, wake, params.window) for name, wake in wakes.items()), key=lambda row: row["reynolds"]
        )
        described = self.outputs["table"].variables
        data = {
            name: (
                "sample",
                [row[name] for row in rows],
                {"long_name": variable.description} | ({"units": variable.units} if variable.units else {}),
            )
            for name, variable in described.items()
        }
        table = xr.Dataset(data, attrs={"title": "Vortex shedding behind a circular cylinder"})
        return {"table": table.set_coords("reynolds")}


def _row(context: Context, name: str, wake: xr.Dataset, window: float) -> dict[str, Any]:
    from .strouhal import strouhal

    t, lift, drag = (wake[v].to_numpy().ravel() for v in ("force_time", "lift", "drag"))
    result = strouhal(t, lift, wake.attrs["diameter"], wake.attrs["mean_velocity"], window=window)
    if math.isnan(result.value):
        context.log.warning("%s: %s", name, result.reason)
    late = t >= t[-1] - window * (t[-1] - t[0])
    return {
        "reynolds": float(wake.attrs["reynolds"]),
        "strouhal": result.value,
        "frequency": result.frequency,
        "drag_max": float(drag[late].max()),
        "drag_mean": float(drag[late].mean()),
        "lift_max": float(lift[late].max()),
        "periods": result.periods,
    }


class PlotForces(Stage):
    """Lift and drag of wakes over time, and the Strouhal number over the Reynolds number."""

    inputs: Mapping[str, Port] = {
        "fields": StrouhalTable.inputs["fields"],
        "table": StrouhalTable.outputs["table"],
    }
    outputs: Mapping[str, Port] = {"pictures": Port(description="One picture.", files=True)}
    affects = ("matplotlib",)
    resources = Resources(isolate=True)  # matplotlib is not for several threads

    def run(self, context: Context, params: StageParams, **inputs: Any) -> Mapping[str, xr.Dataset]:
        """Draw three panels."""
        import xarray as xr
        from fieldloom.files import file_variable

        from .plots import plot_forces

        picture = plot_forces(list(inputs["fields"].values()), inputs["table"])
        caption = "lift, drag, and shedding frequency; the bar is the benchmark's range at Re 100"
        return {"pictures": xr.Dataset({"forces": file_variable(picture, "forces.png", "image/png", caption)})}
