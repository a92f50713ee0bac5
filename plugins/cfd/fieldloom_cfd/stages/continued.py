"""Fields that came from elsewhere, continued by the solvers: what happens next if their first instant is right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, Self

from fieldloom import Context, Port, Resources, Stage, StageParams, Variable, param
from fieldloom.contracts import grid_port, mesh_port
from pydantic import model_validator

from .attributes import about
from .scenarios import SCENARIOS, Meshed, channel_of, row_of
from .smoke import SmokePlume
from .wakes import FLOW

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr

    from ..smoke import Box, Smoke

_TIME = Variable(("time",), "float", "s", "instants, equally spaced; the first is the start")
_VELOCITY, _SMOKE = FLOW.variables["velocity"], SmokePlume.outputs["fields"].variables
_CENTRED = ("smoke", "velocity")


class ContinueWake(Stage):
    """Start the solver from the first instant of a wake, and store the instants that the wake has.

    The mesh is made anew from a row of the scenarios, as `cfd.wakes` and `cfd.wake-meshes` do, and must be that of
    the fields. Values on inlet, walls and obstacle are those of the boundary conditions.
    """

    class Params(Meshed):
        """Which scenario, and its mesh."""

        row: int = param(0, "Row of the scenarios.", ge=0)

    inputs: Mapping[str, Port] = {
        "fields": mesh_port(
            "The wake: its first instant is where the solver starts.",
            {
                "time": _TIME,
                "velocity": Variable(("time", "node", "component"), "float", "m s-1", "velocity"),
                "pressure": Variable(("time", "node"), "float", "m2 s-2", "kinematic pressure"),
            },
        ),
        "scenarios": SCENARIOS,
    }
    outputs: Mapping[str, Port] = {
        "fields": mesh_port(
            "The solver's answer; the first instant is the start as it was given.",
            {n: FLOW.variables[n] for n in ("time", "velocity", "pressure", "vorticity")},
            sizes={"component": 2},
        )
    }
    resources = Resources(isolate=True)
    affects = ("numpy", "scipy")

    def run(self, context: Context, params: Params, **inputs: Any) -> Mapping[str, xr.Dataset]:
        """Integrate."""
        import numpy as np

        from ..channel_flow import channel_flow, discretise

        fields, scenario = inputs["fields"], row_of(inputs["scenarios"], params, params.row)
        domain = discretise(channel_of(scenario, params))
        _check_nodes(fields, domain.nodes)
        times = fields["time"].to_numpy()
        start = tuple(fields[name].isel(time=0).to_numpy() for name in ("velocity", "pressure"))
        count = len(times) - 1
        flow = channel_flow(
            domain, scenario.mean_velocity, scenario.viscosity, count * _step(times), count, start=start
        )
        stored: dict[str, list[Any]] = {"velocity": [], "pressure": [], "vorticity": []}
        for i, frame in enumerate(flow, 1):
            for name, values in stored.items():
                values.append(getattr(frame, name).astype(np.float32))
            context.progress(i, count, f"instant {i} of {count}")
        curl = domain.elements.curl @ start[0].T.ravel().astype(float)
        opening = {"velocity": start[0], "pressure": start[1], "vorticity": curl}
        return {"fields": _flow(fields, {n: np.stack([opening[n], *v]) for n, v in stored.items()})}


def _check_nodes(fields: xr.Dataset, nodes: np.ndarray[Any, Any]) -> None:
    import numpy as np

    given = np.stack([fields["node_x"].to_numpy(), fields["node_y"].to_numpy()], axis=1)
    if given.shape != nodes.shape or not np.allclose(given, nodes, atol=1e-6):
        raise ValueError(
            f"the fields lie on another mesh ({len(given)} nodes) than the scenario's ({len(nodes)} nodes): take the "
            "mesh from cfd.wake-meshes or cfd.wakes with the same scenarios and the same parameters of the mesh"
        )


def _step(times: np.ndarray[Any, Any]) -> float:
    """Time between two instants, seconds."""
    import numpy as np

    steps = np.diff(times)
    if not len(steps) or steps.min() <= 0 or np.ptp(steps) > 1e-6 * steps.max():
        raise ValueError(f"the fields need at least two instants at equal steps, got {len(times)} from {times[0]:g} s")
    return float((times[-1] - times[0]) / len(steps))


def _flow(fields: xr.Dataset, values: Mapping[str, np.ndarray[Any, Any]]) -> xr.Dataset:
    """Mesh and instants of the fields with other values."""
    import numpy as np

    kept = fields.drop_vars([n for n in fields.data_vars if "time" in fields[n].dims])
    variables = {
        n: (
            FLOW.variables[n].dims,
            v.astype(np.float32),
            {**about(FLOW.variables[n]), "mesh": "mesh", "location": "node"},
        )
        for n, v in values.items()
    }
    return kept.assign(variables).assign_attrs(title="A wake, continued by the solver")


class _Fluid(StageParams):
    """Fluid and numerics, as in `cfd.smoke-plume`."""

    time_step: float = param(1.5, "Time step; divides the time between instants.", unit="s", gt=0.0)
    viscosity: float = param(0.01, "Kinematic viscosity.", unit="m2 s-1", ge=0.0)
    interpolation: Literal["linear", "cubic"] = param("linear", "Of the advection.")

    def box(self, fields: xr.Dataset, buoyancy: float) -> Box:
        """The solver's box for the fields' grid."""
        from ..smoke import Box

        return Box(_side(fields), self.time_step, self.viscosity, buoyancy, self.interpolation)


_PLUMES = grid_port(
    "The smoke: its first instant is where the solver starts.",
    {
        "time": _TIME,
        "smoke": Variable(("time", "y", "x"), "float", "1", "density of the smoke"),
        "velocity": Variable(("time", "y", "x", "component"), "float", "m s-1", "velocity at the centres"),
    },
)


class ContinueSmoke(Stage):
    """Start the solver from the first instant of smoke in a box, and store the instants that the smoke has.

    Velocities at the cells' centres are averaged to the faces, closed at the walls and made divergence-free.
    """

    class Params(_Fluid):
        """Fluid and numerics."""

        buoyancy: float | None = param(
            None, "Upward acceleration by smoke of density 1; the fields' own if not given.", unit="m s-2"
        )

    inputs: Mapping[str, Port] = {"fields": _PLUMES}
    outputs: Mapping[str, Port] = {
        "fields": grid_port(
            "The solver's answer; the first instant is the start as the solver takes it.",
            {
                "time": _TIME,
                "smoke": Variable(("time", "y", "x"), "float32", "1", "density of the smoke"),
                "velocity": Variable(("time", "y", "x", "component"), "float32", "m s-1", "velocity at the centres"),
            },
            sizes={"component": 2},
        )
    }
    resources = Resources(isolate=True)
    affects = ("numpy", "scipy")

    def run(self, context: Context, params: Params, **inputs: Any) -> Mapping[str, xr.Dataset]:
        """Integrate."""
        import numpy as np

        from ..smoke import centred, simulate, start_from

        fields = inputs["fields"]
        times = fields["time"].to_numpy()
        every, box = _steps_between(times, params.time_step), params.box(fields, _buoyancy(fields, params))
        first = start_from(*(fields[n].isel(time=0).to_numpy().astype(float) for n in _CENTRED), box.h)
        kept: list[Smoke] = [first]
        for step, state in enumerate(simulate(first, box, every * (len(times) - 1)), 1):
            if step % every == 0:
                kept.append(state)
                context.progress(len(kept), len(times), f"instant {len(kept)} of {len(times)}")
        values = {"smoke": np.stack([s.density for s in kept]), "velocity": np.stack([centred(s) for s in kept])}
        variables = {n: (fields[n].dims, v.astype(np.float32), about(_SMOKE[n])) for n, v in values.items()}
        return {"fields": fields[list(_CENTRED)].assign(variables).assign_attrs(title="Smoke, continued by the solver")}


class MeasureBuoyancy(Stage):
    """The buoyancy that smoke shows: that with which the solver, from the first instant, meets the next ones best."""

    class Params(_Fluid):
        """Fluid, numerics, and where to look."""

        instants: int = param(1, "Instants after the first that are compared.", ge=1, le=100)
        modes: int = param(6, "Cosine modes along each axis that are compared: the large scales.", ge=1, le=1024)
        low: float = param(0.02, "Least buoyancy that is looked for.", unit="m s-2", ge=0.0)
        high: float = param(1.0, "Largest.", unit="m s-2", gt=0.0)

        @model_validator(mode="after")
        def _ordered(self) -> Self:
            if self.low >= self.high:
                raise ValueError(f"`low` {self.low:g} should be below `high` {self.high:g}")
            return self

    inputs: Mapping[str, Port] = {"fields": _PLUMES}
    outputs: Mapping[str, Port] = {
        "table": Port(
            {
                "buoyancy": Variable(("row",), "float64", "m s-2", "upward acceleration by smoke of density 1"),
                "misfit": Variable(("row",), "float64", "1", "what is left, relative to the velocity's change"),
            },
            "One row.",
            extra=False,
        )
    }
    resources = Resources(isolate=True)
    affects = ("numpy", "scipy")

    def run(self, context: Context, params: Params, **inputs: Any) -> Mapping[str, xr.Dataset]:
        """Fit."""
        from fieldloom.contracts.table import table

        from ..buoyancy import estimate_buoyancy

        fields = inputs["fields"]
        every = _steps_between(fields["time"].to_numpy(), params.time_step)
        velocity = fields["velocity"].isel(time=slice(0, params.instants + 1)).to_numpy().astype(float)
        density = fields["smoke"].isel(time=0).to_numpy().astype(float)
        bounds, box = (params.low, params.high), params.box(fields, 0.0)
        found = estimate_buoyancy(density, list(velocity), box, every, bounds, params.modes)
        row = dict(zip(("buoyancy", "misfit"), found, strict=True))
        return {"table": table([row], self.outputs["table"], "Buoyancy that smoke shows")}


def _steps_between(times: np.ndarray[Any, Any], time_step: float) -> int:
    every = _step(times) / time_step
    if abs(every - round(every)) > 1e-6 or round(every) < 1:
        raise ValueError(
            f"`time_step` {time_step:g} s does not divide the {_step(times):g} s between the fields' instants"
        )
    return round(every)


def _side(fields: xr.Dataset) -> float:
    """Side of a cell, which must be square."""
    steps = [float(fields[axis].diff(axis).mean()) for axis in ("x", "y")]
    if abs(steps[0] - steps[1]) > 1e-6 * steps[0]:
        raise ValueError(f"the cells measure {steps[0]:g} by {steps[1]:g}; the solver's are squares")
    return steps[0]


def _buoyancy(fields: xr.Dataset, params: ContinueSmoke.Params) -> float:
    if params.buoyancy is not None:
        return params.buoyancy
    if "buoyancy" not in fields:
        raise ValueError("the fields do not say their buoyancy; give `buoyancy`")
    return float(fields["buoyancy"])
