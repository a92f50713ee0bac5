"""Flow past obstacles, and what is read off their force histories."""

from __future__ import annotations

import math
import re
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, Self

from fieldloom import Collection, Context, Port, Resources, Stage, StageParams, Stream, Variable, param, path_param
from fieldloom.contracts import mesh_port
from pydantic import field_validator, model_validator

from ..limits import CFL_LIMITS, Element, check_clearance, time_step_limit

if TYPE_CHECKING:
    import xarray as xr

    from ..channel_flow import Domain, Frame
    from ..meshing import Outline

FLOW = mesh_port(
    "Velocity, pressure and vorticity on a triangle mesh over time, and the forces on the obstacle.",
    {
        "node_x": Variable(("node",), "float64", "m", "first coordinate of the nodes"),
        "node_y": Variable(("node",), "float64", "m", "second coordinate"),
        "node_z": Variable(("node",), "float64", "m", "third coordinate, zero"),
        "face_nodes": Variable(("cell", "face_corner"), "int64", description="the triangles as UGRID lists them"),
        "obstacle_nodes": Variable(("ring",), "int64", description="nodes on the obstacle"),
        "time": Variable(("time",), "float64", "s", "instants of the stored frames"),
        "velocity": Variable(("time", "node", "component"), "float32", "m s-1", "velocity"),
        "pressure": Variable(("time", "node"), "float32", "m2 s-2", "kinematic pressure"),
        "vorticity": Variable(("time", "node"), "float32", "s-1", "vorticity"),
        "force_time": Variable(("time", "substep"), "float64", "s", "instants of the force history"),
        "drag": Variable(("time", "substep"), "float64", "1", "drag coefficient 2 F_x / (U^2 D)"),
        "lift": Variable(("time", "substep"), "float64", "1", "lift coefficient 2 F_y / (U^2 D)"),
    },
    sizes={"component": 2, "face_corner": 3, "time": "frames"},
    attrs=("reynolds", "diameter", "mean_velocity", "viscosity", "element", "obstacle"),
)


class Channel(StageParams):
    """Fluid, time and numerics; the obstacle is the subclasses'."""

    reynolds: float = param(100.0, "Reynolds number U D / nu; D is the obstacle's height.", ge=1.0, le=200.0)
    mean_velocity: float = param(1.0, "Mean inflow velocity U; the profile is a parabola.", unit="m s-1", gt=0.0)
    duration: float = param(6.0, "Time to simulate.", unit="s", gt=0.0, le=1000.0)
    frames: int = param(150, "Stored instants, equally spaced.", ge=1, le=100_000)
    length: float = param(2.2, "Length of the channel.", unit="m", gt=0.0)
    height: float = param(0.41, "Height of the channel.", unit="m", gt=0.0)
    centre: tuple[float, float] = param((0.2, 0.2), "Centre of the obstacle.", unit="m")
    resolution: int = param(9, "Elements along half the obstacle's height; 9 gives about 1,800 vertices.", ge=4, le=40)
    grading: float = param(
        1.0, "How fast elements grow away from the obstacle and its wake; smaller is finer.", ge=0.3, le=2.0
    )
    element: Element = param(
        "linear", "Linear velocity and pressure (cheap), or Taylor-Hood: quadratic velocity, four times the nodes."
    )
    time_step: float | None = param(None, "Bound of the time step, which follows the flow below it.", unit="s", gt=0.0)
    perturbation: float = param(0.5, "Initial cross-flow behind the obstacle, as a fraction of U.", ge=0.0, le=1.0)

    def check_time_step(self, height: float) -> None:
        """Refuse a time step beyond stability, by the mesh size that is to be expected."""
        spacing = height / 2 / self.resolution / (1 if self.element == "linear" else 2)
        limit = time_step_limit(spacing, self.mean_velocity, height / self.height, self.element)
        if self.time_step is not None and self.time_step > limit:
            raise ValueError(
                f"time_step {self.time_step:.3g} s is above the limit of stability, {limit:.3g} s: the CFL number "
                f"dt |u| / h may be {CFL_LIMITS[self.element]}; leave it out for the largest"
            )


class _ObstacleFlow(Stage):
    """What the stages share: mesh, integrate, yield the frames as they come."""

    outputs: Mapping[str, Port] = {"fields": FLOW}
    resources = Resources(isolate=True)  # sparse triangular solves hold the interpreter's lock
    affects = ("numpy", "scipy")

    @abstractmethod
    def outline(self, params: Any) -> Outline:
        """Make the obstacle."""

    @abstractmethod
    def title(self, params: Any) -> str:
        """Say what the obstacle is."""

    def run(self, context: Context, params: Any, **inputs: Any) -> Mapping[str, Stream]:
        """Mesh, then integrate."""
        from ..channel_flow import channel_flow, discretise
        from ..meshing import channel_mesh, reference_size

        outline = self.outline(params)
        h = reference_size(outline) / 2 / params.resolution
        mesh = channel_mesh(params.length, params.height, outline, h, growth=params.grading)
        domain = discretise(mesh, params.element)
        context.log.info("mesh: %d nodes, %d triangles", len(domain.nodes), len(domain.triangles))
        viscosity = params.mean_velocity * domain.size / params.reynolds
        frames = channel_flow(
            domain,
            params.mean_velocity,
            viscosity,
            params.duration,
            params.frames,
            dt=params.time_step,
            perturbation=params.perturbation,
        )
        attrs = {
            "title": f"Flow past {self.title(params)} in a channel",
            "reynolds": params.reynolds,
            "diameter": domain.size,
            "mean_velocity": params.mean_velocity,
            "viscosity": viscosity,
            "centre": list(params.centre),
            "element": params.element,
            "resolution": params.resolution,
            "obstacle": self.title(params),
        }
        return {"fields": Stream("time", _blocks(context, params.frames, domain, attrs, frames))}


def _blocks(
    context: Context, count: int, domain: Domain, attrs: Mapping[str, Any], frames: Iterator[Frame]
) -> Iterator[xr.Dataset]:
    from fieldloom.contracts.mesh import CONVENTIONS, triangle_variables

    fixed = triangle_variables(domain.nodes, domain.triangles)
    fixed["obstacle_nodes"] = ("ring", domain.obstacle, {"long_name": "nodes on the obstacle"})
    for i, frame in enumerate(frames):
        yield _block(frame, fixed, {"Conventions": CONVENTIONS, **attrs})
        context.progress(i + 1, count, f"t = {frame.time:.2f} s")


def _block(frame: Frame, fixed: Mapping[str, Any], attrs: Mapping[str, Any]) -> xr.Dataset:
    import numpy as np
    import xarray as xr

    described = {name: FLOW.variables[name] for name in ("velocity", "pressure", "vorticity")}
    variables: dict[str, Any] = dict(fixed)
    for name, variable in described.items():
        about = {"units": variable.units, "long_name": variable.description, "mesh": "mesh", "location": "node"}
        variables[name] = (variable.dims, getattr(frame, name)[None].astype(np.float32), about)
    variables |= {
        "force_time": (("time", "substep"), frame.force_times[None], {"units": "s"}),
        "drag": (("time", "substep"), frame.drag[None], {"units": "1", "long_name": "drag coefficient"}),
        "lift": (("time", "substep"), frame.lift[None], {"units": "1", "long_name": "lift coefficient"}),
    }
    data = xr.Dataset(variables, {"time": ("time", [frame.time], {"units": "s", "axis": "T"})}, dict(attrs))
    return data.set_coords(["node_x", "node_y", "node_z", "force_time"])


class CylinderWake(_ObstacleFlow):
    """Flow past a circular cylinder in a channel: vortices shed above a Reynolds number of about 50.

    Incompressible Navier-Stokes equations by finite elements on an unstructured triangle mesh, with an
    incremental pressure correction in rotational form and BDF2 in time (Guermond, Minev & Shen 2006): stabilised
    linear elements, or Taylor-Hood's with curved edges on the cylinder. The default geometry is that of the DFG
    benchmark 2D-2 (Schäfer & Turek 1996); forces are computed from the volume (John 2004). Every frame is written
    as it is computed: memory holds one.
    """

    class Params(Channel):
        """Geometry, fluid, time and numerics."""

        radius: float = param(0.05, "Radius of the cylinder.", unit="m", gt=0.0)

        @model_validator(mode="after")
        def _possible(self) -> Self:
            check_clearance((self.radius, self.radius), self.centre, self.length, self.height, "cylinder")
            self.check_time_step(2 * self.radius)
            return self

    def outline(self, params: Params) -> Outline:
        from ..meshing import circle

        return circle(params.centre, params.radius)

    def title(self, params: Params) -> str:
        return "a circular cylinder"


class ObstacleWake(_ObstacleFlow):
    """Flow past an obstacle of any outline in a channel: ellipse, square, NACA airfoil, or one from a file.

    The same solver as `cfd.cylinder-wake`. The Reynolds number and the force coefficients use the obstacle's
    height across the flow, whatever its length.
    """

    class Params(Channel):
        """The obstacle, fluid, time and numerics."""

        shape: Literal["ellipse", "square", "naca", "outline"] = param(
            "ellipse", "Ellipse, square, NACA four-digit airfoil, or a closed outline read from a file."
        )
        size: float = param(
            0.1,
            "The ellipse's axis along the flow, the square's side, the airfoil's chord; "
            "of an outline the factor that takes the file's numbers to metres.",
            unit="m",
            gt=0.0,
        )
        aspect: float = param(0.5, "The ellipse's other axis over the first.", gt=0.0, le=20.0)
        angle: float = param(
            0.0,
            "Turns the obstacle counter-clockwise; the airfoil nose up instead.",
            unit="degree",
            ge=-180.0,
            le=180.0,
        )
        naca: str | int = param("0012", "Four digits of the airfoil: camber, its place, thickness.")
        outline: str | None = path_param(
            None, "Text file with x, y rows, in order around the outline; airfoil .dat files are read, too."
        )

        @field_validator("naca")
        @classmethod
        def _four_digits(cls, value: str | int) -> str:
            text = f"{value:04d}" if isinstance(value, int) else value  # YAML reads 0012 as a number
            if not re.fullmatch(r"\d{4}", text):
                raise ValueError("should be four digits, such as 0012")
            return text

        @model_validator(mode="after")
        def _possible(self) -> Self:
            for name, shape, default in (("aspect", "ellipse", 0.5), ("naca", "naca", "0012")):
                if self.shape != shape and getattr(self, name) != default:
                    raise ValueError(f"`{name}` goes with shape: {shape}; the shape is {self.shape}")
            if (self.shape == "outline") != (self.outline is not None):
                raise ValueError(
                    "shape: outline needs the parameter outline, a file of x, y rows; others do not take it"
                )
            if (half := self._half_extent()) is not None:
                check_clearance(half, self.centre, self.length, self.height, self.shape)
                self.check_time_step(2 * half[1])
            return self

        def _half_extent(self) -> tuple[float, float] | None:
            """Half the extent along x and y, where it follows from the parameters alone."""
            c, s = math.cos(math.radians(self.angle)), math.sin(math.radians(self.angle))
            if self.shape == "square":
                return (self.size / 2 * (abs(c) + abs(s)),) * 2
            if self.shape == "ellipse":
                a, b = self.size / 2, self.size / 2 * self.aspect
                return math.hypot(a * c, b * s), math.hypot(a * s, b * c)
            return None

    def outline(self, params: Params) -> Outline:
        from .. import meshing

        if params.shape == "square":
            return meshing.square(params.centre, params.size, params.angle)
        if params.shape == "naca":
            return meshing.naca(params.naca, params.centre, params.size, params.angle)
        if params.shape == "ellipse":
            semi_axes = (params.size / 2, params.size / 2 * params.aspect)
            return meshing.ellipse(params.centre, semi_axes, params.angle)
        assert params.outline is not None
        return meshing.read_outline(params.outline, scale=params.size, angle=params.angle, middle=params.centre)

    def title(self, params: Params) -> str:
        names = {
            "ellipse": "an ellipse",
            "square": "a square",
            "naca": f"a NACA {params.naca}",
            "outline": "an outline",
        }
        return names[params.shape] + (f" at {params.angle:g} degrees" if params.angle else "")


HISTORY = Port(
    description="Flows with their force history.",
    variables={name: FLOW.variables[name] for name in ("force_time", "drag", "lift")},
    attrs=("reynolds", "diameter", "mean_velocity"),
    many=True,
)


class StrouhalTable(Stage):
    """Shedding frequency and force coefficients of wakes, one row for each.

    The frequency is the inverse of the mean time between upward zero crossings of the lift over the last part
    of the history; the Strouhal number is f D / U. A wake that does not shed has NaN, and the log says why.
    """

    class Params(StageParams):
        """Which part of the history counts."""

        window: float = param(0.4, "Part of the history that is analysed, from its end.", gt=0.0, le=1.0)

    inputs: Mapping[str, Port] = {"fields": HISTORY}
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
        from fieldloom.contracts.table import table

        wakes: Collection = inputs["fields"]
        rows = sorted(
            (row(context, name, wake, params.window) for name, wake in wakes.items()),
            key=lambda found: found["reynolds"],
        )
        found = table(rows, self.outputs["table"], "Vortex shedding behind an obstacle")
        return {"table": found.set_coords("reynolds")}


def row(context: Context, name: str, wake: xr.Dataset, window: float) -> dict[str, Any]:
    """Frequency and force coefficients of one wake, a row of the table."""
    from ..strouhal import strouhal

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

    inputs: Mapping[str, Port] = {"fields": HISTORY, "table": StrouhalTable.outputs["table"]}
    outputs: Mapping[str, Port] = {"pictures": Port(description="One picture.", files=True)}
    affects = ("matplotlib",)
    resources = Resources(isolate=True)  # matplotlib is not for several threads

    def run(self, context: Context, params: StageParams, **inputs: Any) -> Mapping[str, xr.Dataset]:
        """Draw three panels."""
        from fieldloom.files import png_files

        from ..plots import plot_forces

        picture = plot_forces(list(inputs["fields"].values()), inputs["table"])
        caption = "lift, drag, and shedding frequency; the bar is the benchmark's range at Re 100"
        return {"pictures": png_files(forces=(picture, caption))}
