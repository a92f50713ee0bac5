"""Populations of wakes: draw scenarios, simulate them, or mesh them only."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from fieldloom import Context, Port, Resources, Stage, StageParams, Variable, param
from fieldloom.contracts import population_port
from pydantic import model_validator

from ..scenarios import COLUMNS, Scenario
from .attributes import about
from .wakes import FLOW

if TYPE_CHECKING:
    import xarray as xr

    from ..meshing import ChannelMesh

Rows = Mapping[int, Scenario]

_WANTED = {
    "centre_x": Variable(("sample",), "float", "m", "distance of the cylinder's centre from the inlet"),
    "centre_y": Variable(("sample",), "float", "m", "height of the cylinder's centre above the lower wall"),
    "radius": Variable(("sample",), "float", "m", "radius of the cylinder"),
    "mean_velocity": Variable(("sample",), "float", "m s-1", "mean inflow velocity U"),
    "viscosity": Variable(("sample",), "float", "m2 s-1", "kinematic viscosity nu"),
}
_COLUMNS = {name: Variable(v.dims, "float64", v.units, v.description) for name, v in _WANTED.items()} | {
    "reynolds": Variable(("sample",), "float64", "1", "Reynolds number 2 r U / nu")
}
_COVARIATES = _COLUMNS | {"row": Variable(("sample",), "int64", "1", "row in the table of scenarios, from 0")}
_NODES = ["node_x", "node_y", "node_z"]
_FIELDS = ("velocity", "pressure", "vorticity")

SCENARIOS = Port(_WANTED, "Scenarios, one a row; Reynolds numbers are computed anew, other columns ignored.")


class DrawWakes(Stage):
    """Scenarios of flow past a cylinder, drawn at random: each number uniformly from its range.

    A row depends on the seed and on its own number only: more rows leave the first ones as they are.
    """

    class Params(StageParams):
        """How many, and from which ranges."""

        count: int = param(144, "Number of scenarios.", ge=1, le=100_000)
        centre_x: tuple[float, float] = param((0.2, 0.4), "Range of the centre's distance from the inlet.", unit="m")
        centre_y: tuple[float, float] = param((0.15, 0.26), "Range of the centre's height.", unit="m")
        radius: tuple[float, float] = param((0.04, 0.065), "Range of the radius.", unit="m")
        mean_velocity: tuple[float, float] = param((0.3, 1.0), "Range of the mean inflow velocity.", unit="m s-1")
        viscosity: float = param(1e-3, "Kinematic viscosity of all.", unit="m2 s-1", gt=0.0)
        length: float = param(1.6, "Length of the channel.", unit="m", gt=0.0)
        height: float = param(0.41, "Height of the channel.", unit="m", gt=0.0)

        @model_validator(mode="after")
        def _possible(self) -> Self:
            for name, (low, high) in zip(COLUMNS, self.ranges, strict=False):
                if not 0 < low <= high:
                    raise ValueError(f"`{name}` goes from {low:g} to {high:g}; it should be 0 < first <= second")
            for corner in itertools.product(*self.ranges):
                try:
                    Scenario(*(*corner, self.viscosity)).check(self.length, self.height)
                except ValueError as error:
                    raise ValueError(f"a corner of the ranges is out of limits: {error}") from error
            return self

        @property
        def ranges(self) -> tuple[tuple[float, float], ...]:
            """In the order of a scenario's columns."""
            return self.centre_x, self.centre_y, self.radius, self.mean_velocity

    outputs: Mapping[str, Port] = {"table": Port(_COLUMNS, "One scenario a row.", extra=False)}
    affects = ("numpy",)
    random = True

    def run(self, context: Context, params: Params, **inputs: Any) -> Mapping[str, xr.Dataset]:
        """Draw row by row."""
        from fieldloom.contracts.table import table

        drawn = [_drawn(params, context.seed, i) for i in range(params.count)]
        rows = [{name: getattr(scenario, name) for name in _COLUMNS} for scenario in drawn]
        return {"table": table(rows, self.outputs["table"], "Scenarios of flow past a cylinder")}


def _drawn(params: DrawWakes.Params, seed: int, row: int) -> Scenario:
    import numpy as np

    low, high = np.array(params.ranges).T
    drawn = np.random.default_rng([seed, row]).uniform(low, high)
    return Scenario(*map(float, (*drawn, params.viscosity)))


class Meshed(StageParams):
    """Channel and mesh, the same for every scenario."""

    length: float = param(1.6, "Length of the channel.", unit="m", gt=0.0)
    height: float = param(0.41, "Height of the channel.", unit="m", gt=0.0)
    resolution: int = param(8, "Elements along the radius; 8 gives about 1,300 nodes.", ge=4, le=40)
    grading: float = param(
        1.0, "How fast elements grow away from the cylinder and its wake; smaller is finer.", ge=0.3, le=2.0
    )


class Wakes(Stage):
    """Flow past a cylinder in a channel for each row of a table: one population of wakes on meshes of their own.

    The solver is that of `cfd.cylinder-wake`, with linear elements. A warm-up is simulated first and not stored;
    all wakes have the same instants. What is done is kept every ten wakes, so that an interrupted run goes on there.
    With `parts` and a matrix over `part`, several instances share the rows.
    """

    class Params(Meshed):
        """Mesh, instants, and which rows."""

        warm_up: float = param(
            2.4, "Instant of the first stored frame, a multiple of the interval.", unit="s", gt=0.0, le=1000.0
        )
        interval: float = param(0.04, "Time between stored frames.", unit="s", gt=0.0)
        frames: int = param(32, "Stored frames of each wake.", ge=1, le=100_000)
        perturbation: float = param(
            0.5, "Initial cross-flow behind the cylinder, as a fraction of the mean velocity.", ge=0.0, le=1.0
        )
        part: int = param(0, "Simulate the rows part, part + parts, part + 2 parts, ...", ge=0)
        parts: int = param(1, "Number of parts that the rows are divided into.", ge=1)

        @model_validator(mode="after")
        def _possible(self) -> Self:
            if abs(self.skipped + 1 - self.warm_up / self.interval) > 1e-6 or self.skipped < 0:
                near = max(self.skipped + 1, 1) * self.interval
                raise ValueError(
                    f"`warm_up` {self.warm_up:g} s is no multiple of `interval` {self.interval:g} s; the nearest is "
                    f"{near:g} s"
                )
            if self.part >= self.parts:
                raise ValueError(f"`part` {self.part} is not among the `parts`, which count from 0 to {self.parts - 1}")
            return self

        @property
        def skipped(self) -> int:
            """Frames before the first that is stored; the flow's first frame is at one interval, not at zero."""
            return round(self.warm_up / self.interval) - 1

    inputs: Mapping[str, Port] = {"scenarios": SCENARIOS}
    outputs: Mapping[str, Port] = {
        "fields": population_port(
            "Velocity, pressure and vorticity of every wake over time, and its scenario.",
            {"time": FLOW.variables["time"], **{name: FLOW.variables[name] for name in _FIELDS}, **_COVARIATES},
            sizes={"component": 2, "time": "frames"},
        )
    }
    resources = Resources(isolate=True)  # sparse triangular solves hold the interpreter's lock
    affects = ("numpy", "scipy")

    def run(self, context: Context, params: Params, **inputs: Any) -> Mapping[str, xr.Dataset]:
        """Simulate one wake after the other."""
        rows = _rows(inputs["scenarios"], params)
        mine = {i: rows[i] for i in range(params.part, len(rows), params.parts)}
        if not mine:
            raise ValueError(f"part {params.part} of {params.parts} has no row: the table has only {len(rows)}")
        wakes, numbers = _restored(context), list(mine)
        for k in range(len(wakes), len(mine)):
            done = partial(_report, context, k, numbers)
            with _naming(numbers[k]):
                wakes.append(_wake(mine[numbers[k]], params, done))
            if len(wakes) % _KEPT_EVERY == 0:
                context.checkpoints.save(len(wakes), _population(wakes, mine))
            done(1.0)
        return {"fields": _population(wakes, mine).assign_attrs(title="Wakes of cylinders in a channel")}


_KEPT_EVERY = 10
"""Wakes from one checkpoint to the next."""


class WakeMeshes(Stage):
    """The meshes that `cfd.wakes` takes for a table of scenarios, without a flow: a population.

    With the same parameters of the mesh, nodes and cells are exactly those of the wakes.
    """

    class Params(Meshed):
        """Channel and mesh."""

    inputs: Mapping[str, Port] = {"scenarios": SCENARIOS}
    outputs: Mapping[str, Port] = {
        "mesh": population_port("The mesh of every scenario, and the scenario.", _COVARIATES)
    }
    resources = Resources(isolate=True)
    affects = ("numpy", "scipy")

    def run(self, context: Context, params: Params, **inputs: Any) -> Mapping[str, xr.Dataset]:
        """Mesh one channel after the other."""
        rows, meshes = _rows(inputs["scenarios"], params), []
        for row, scenario in rows.items():
            with _naming(row):
                meshes.append(_bare_mesh(scenario, params))
            context.progress(row + 1, len(rows), f"row {row}")
        return {"mesh": _population(meshes, rows).assign_attrs(title="Channels with a cylinder")}


def _rows(data: xr.Dataset, params: Meshed) -> dict[int, Scenario]:
    """All rows of the table by number, each within the limits."""
    columns = [data[name].to_numpy().astype(float).tolist() for name in COLUMNS]
    rows = {i: Scenario(*values) for i, values in enumerate(zip(*columns, strict=True))}
    if not rows:
        raise ValueError("the table of scenarios has no row")
    for i, scenario in rows.items():
        with _naming(i):
            scenario.check(params.length, params.height)
    return rows


@contextmanager
def _naming(row: int) -> Iterator[None]:
    """Name the row in errors about it."""
    try:
        yield
    except (ValueError, FloatingPointError) as error:
        kind = FloatingPointError if isinstance(error, FloatingPointError) else ValueError
        raise kind(f"row {row} of the scenarios: {error}") from error


def _report(context: Context, k: int, numbers: Sequence[int], share: float) -> None:
    """Show that ``share`` of wake number ``k`` is done."""
    context.progress(k + share, len(numbers), f"wake {k + 1} of {len(numbers)}, row {numbers[k]}")


def row_of(data: xr.Dataset, params: Meshed, row: int) -> Scenario:
    """One row of a table of scenarios, within the limits."""
    rows = _rows(data, params)
    if row not in rows:
        raise ValueError(f"the table of scenarios has {len(rows)} rows; there is no row {row}")
    return rows[row]


def channel_of(scenario: Scenario, params: Meshed) -> ChannelMesh:
    """The mesh of a scenario."""
    from ..meshing import channel_mesh, circle

    outline = circle((scenario.centre_x, scenario.centre_y), scenario.radius)
    return channel_mesh(
        params.length, params.height, outline, scenario.radius / params.resolution, growth=params.grading
    )


def _bare_mesh(scenario: Scenario, params: Meshed) -> xr.Dataset:
    import xarray as xr
    from fieldloom.contracts.mesh import triangle_variables

    mesh = channel_of(scenario, params)
    return xr.Dataset(triangle_variables(mesh.nodes, mesh.triangles)).set_coords(_NODES)


def _wake(scenario: Scenario, params: Wakes.Params, done: Callable[[float], None]) -> xr.Dataset:
    """Simulate one scenario: its mesh with the stored frames. ``done`` takes the share that is done."""
    import numpy as np
    import xarray as xr
    from fieldloom.contracts.mesh import triangle_variables

    from ..channel_flow import channel_flow, discretise

    domain = discretise(channel_of(scenario, params))
    count = params.skipped + params.frames
    flow = channel_flow(
        domain,
        scenario.mean_velocity,
        scenario.viscosity,
        count * params.interval,
        count,
        perturbation=params.perturbation,
    )
    stored: dict[str, list[Any]] = {name: [] for name in _FIELDS}
    for i, frame in enumerate(flow):
        if i >= params.skipped:
            for name, values in stored.items():
                values.append(getattr(frame, name).astype(np.float32))
        done(i / count)
    variables = triangle_variables(domain.nodes, domain.triangles)
    for name, values in stored.items():
        attrs = {**about(FLOW.variables[name]), "mesh": "mesh", "location": "node"}
        variables[name] = (FLOW.variables[name].dims, np.stack(values), attrs)
    # from the parameters, not the frames: the same to the last bit in every wake and every part
    time = params.warm_up + params.interval * np.arange(params.frames)
    data = xr.Dataset(variables, {"time": ("time", time, {**about(FLOW.variables["time"]), "axis": "T"})})
    return data.set_coords(_NODES)


def _population(meshes: Sequence[xr.Dataset], rows: Rows) -> xr.Dataset:
    """Join the meshes, which may be the first few of the rows, with their scenarios."""
    from fieldloom.contracts.population import join

    known = dict(itertools.islice(rows.items(), len(meshes)))
    covariates: dict[str, list[Any]] = {
        name: [getattr(scenario, name) for scenario in known.values()] for name in _COLUMNS
    }
    whole = join(meshes, {**covariates, "row": list(known)})
    for name, variable in _COVARIATES.items():
        whole[name].attrs = about(variable)
    return whole


def _restored(context: Context) -> list[xr.Dataset]:
    """The wakes that an earlier, interrupted run has finished."""
    from fieldloom.contracts.population import part

    saved = context.checkpoints.latest()
    if saved is None:
        return []
    count, population = saved
    context.log.info("%d wakes were finished before", count)
    return [part(population, i) for i in range(count)]  # type: ignore[arg-type]  # what run saved
