"""A smoke plume past a moving disc."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from fieldloom import Context, Port, Resources, Stage, StageParams, Variable, param
from fieldloom.contracts import grid_port

from .ports import PICTURES

if TYPE_CHECKING:
    import xarray as xr

    from ..plume import Faces, Setting, State
    from ..problem import Poisson
    from ..projection import Projected
    from ..result import SolveResult

COMPARISON = Port(
    {
        "method": Variable(("row",), "string", description="preconditioner, set up anew in every step"),
        "iterations": Variable(("row",), "float64", "1", "iterations a step, mean"),
        "most": Variable(("row",), "int64", description="most iterations in a step"),
        "setup": Variable(("row",), "float64", "s", "wall-clock seconds of all set-ups"),
        "solve": Variable(("row",), "float64", "s", "wall-clock seconds of all solves"),
        "cpu": Variable(("row",), "float64", "s", "CPU seconds of both"),
        "against_first": Variable(("row",), "float64", "1", "wall-clock seconds over those of the first method"),
    },
    "What the projections of all steps cost, method by method, on the same systems.",
    extra=False,
)


class Plume(Stage):
    """Smoke rises past a disc that goes to and fro: a pressure projection in every step, around other cells each time.

    Buoyant air in a box with an open top, on a staggered grid: semi-Lagrangian advection, explicit buoyancy, one
    projection a step. The first method solves; the others solve the same systems beside it, for the comparison. All
    are set up anew in every step, since the disc has moved.
    """

    class Params(StageParams):
        """The box, the flow, and what solves it."""

        cells: int = param(128, "Cells across the box; it is half as high again.", ge=16, le=2048)
        steps: int = param(240, "Time steps.", ge=1, le=100_000)
        every: int = param(4, "Store every so many steps.", ge=1)
        time_step: float = param(0.02, "Time step.", unit="s", gt=0.0)
        buoyancy: float = param(2.5, "Upward acceleration by smoke of density 1.", unit="m s-2")
        radius: float = param(0.11, "Radius of the disc; the box is 1 m wide.", unit="m", gt=0.0, le=0.2)
        period: float = param(3.0, "Time in which the disc goes to and fro.", unit="s", gt=0.0)
        methods: list[Literal["learned-multigrid", "multigrid", "dst", "amg", "identity"]] = param(
            ["learned-multigrid", "amg"], "Preconditioners; the first one's solutions are used.", min_length=1
        )
        rtol: float = param(1e-5, "Divergence to leave, relative to that which is there.", ge=1e-14, lt=1.0)
        timings: bool = param(True, "Measure seconds; then no two runs give the same table.")

    outputs: Mapping[str, Port] = {
        "fields": grid_port(
            "Smoke and velocity over time.",
            {
                "time": Variable(("time",), "float64", "s", "instants of the stored frames"),
                "smoke": Variable(("time", "y", "x"), "float32", "1", "density of the smoke; missing in the disc"),
                "velocity": Variable(("time", "y", "x", "component"), "float32", "m s-1", "velocity at the centres"),
                "mask": Variable(("time", "y", "x"), "bool", description="fluid cells"),
            },
            sizes={"x": "cells", "component": 2},
        ),
        "comparison": COMPARISON,
        "pictures": PICTURES,
    }
    resources = Resources(isolate=True)
    affects = ("numpy", "scipy", "pyamg", "numba")

    def run(self, context: Context, params: Params, **inputs: Any) -> Mapping[str, xr.Dataset]:
        """Simulate, and solve each step's system by every method."""
        from fieldloom.contracts.table import table
        from fieldloom.files import png_files

        from ..plume import Setting, simulate
        from . import plots

        n = params.cells
        setting = Setting((n + n // 2, n), 1.0 / n, params.time_step, params.buoyancy, params.radius, params.period)
        projector = _Projector(params, context.threads)
        projector.warm_up(setting)
        kept = []
        for step, state in enumerate(simulate(setting, params.steps, projector), 1):
            if step % params.every == 0 or step == params.steps:
                kept.append(state)
            context.progress(step, params.steps, f"{projector.results[params.methods[0]][-1].iterations} iterations")
        drawn = plots.over_steps(projector.series(params.timings))
        return {
            "fields": _fields(setting, kept),
            "comparison": table(projector.rows(params.timings), COMPARISON, "Projections of the plume"),
            "pictures": png_files(projections=drawn),
        }


class _Projector:
    """Projects by the first method, solves by the others, and keeps what each solve took."""

    def __init__(self, params: Plume.Params, threads: int) -> None:
        self._params, self._threads = params, threads
        self.results: dict[str, list[SolveResult]] = {method: [] for method in params.methods}

    def __call__(self, problem: Poisson, velocity: Faces) -> Projected:
        from ..projection import project

        found = [
            project(problem, velocity, method, rtol=self._params.rtol, threads=self._threads)
            for method in self._params.methods
        ]
        for method, one in zip(self._params.methods, found, strict=True):
            self.results[method].append(one.result.check())
        return found[0]

    def warm_up(self, setting: Setting) -> None:
        """Let kernels be compiled before anything is measured."""
        from ..plume import simulate

        small = replace(setting, shape=(24, 16), spacing=1 / 16)
        for _ in simulate(small, 2, self):
            pass
        for results in self.results.values():
            results.clear()

    def series(self, timings: bool) -> dict[str, dict[str, list[float]]]:
        """Iterations, and seconds, of each step."""
        drawn = {"iterations": {m: [float(r.iterations) for r in rs] for m, rs in self.results.items()}}
        seconds = {m: [r.timings.setup + r.timings.solve for r in rs] for m, rs in self.results.items()}
        return drawn | ({"wall-clock seconds": seconds} if timings else {})

    def rows(self, timings: bool) -> list[dict[str, Any]]:
        """Make the table's rows."""
        rows: list[dict[str, Any]] = []
        for method, results in self.results.items():
            setup, solve, setup_cpu, solve_cpu = (
                sum(getattr(r.timings, part) for r in results) if timings else float("nan")
                for part in ("setup", "solve", "setup_cpu", "solve_cpu")
            )
            counts = [r.iterations for r in results]
            rows.append(
                {
                    "method": method,
                    "iterations": sum(counts) / len(counts),
                    "most": max(counts),
                    "setup": setup,
                    "solve": solve,
                    "cpu": setup_cpu + solve_cpu,
                }
            )
        first = rows[0]["setup"] + rows[0]["solve"]
        return [{**row, "against_first": (row["setup"] + row["solve"]) / first} for row in rows]


def _fields(setting: Setting, states: list[State]) -> xr.Dataset:
    import numpy as np
    import xarray as xr

    from ..plume import centred

    about = Plume.outputs["fields"].variables
    values = {
        "smoke": np.stack([np.where(s.mask, s.smoke, np.nan) for s in states]),
        "velocity": np.stack([centred(s) for s in states]),
        "mask": np.stack([s.mask for s in states]),
    }
    variables = {
        name: (
            about[name].dims,
            value.astype(about[name].dtype),
            {"long_name": about[name].description} | ({"units": unit} if (unit := about[name].units) else {}),
        )
        for name, value in values.items()
    }
    coordinates: dict[str, Any] = {"time": ("time", np.array([s.time for s in states]), {"units": "s", "axis": "T"})}
    for axis, cells in zip("yx", setting.shape, strict=True):
        centres = (np.arange(cells) + 0.5) * setting.spacing
        coordinates[axis] = (axis, centres, {"units": "m", "long_name": f"{axis} of the cells' centres"})
    attrs = {"Conventions": "CF-1.11", "title": "Smoke past a moving disc"}
    return xr.Dataset(variables, coordinates, attrs)
