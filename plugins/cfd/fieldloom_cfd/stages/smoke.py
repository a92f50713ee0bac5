"""Buoyant smoke in a box."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, Self

from fieldloom import Context, Port, Resources, Stage, StageParams, Stream, Variable, param
from fieldloom.contracts import grid_port
from pydantic import model_validator

from .attributes import about

if TYPE_CHECKING:
    import xarray as xr

    from ..smoke import Box, Smoke


class SmokePlume(Stage):
    """Buoyant smoke in a closed box: random clouds rise, roll up and mix.

    Navier-Stokes equations with a Boussinesq force on a staggered grid: semi-Lagrangian advection, explicit
    diffusion, and a pressure that a fast cosine transform solves to round-off. Set-up and defaults are
    PDEArena's (Gupta & Brandstetter 2023). Trajectories differ in their initial clouds and, if a range is given,
    in buoyancy; each is written when it is done.
    """

    class Params(StageParams):
        """How many, the box, the fluid, the numerics."""

        trajectories: int = param(1, "Number of simulations with different clouds.", ge=1, le=1_000_000)
        cells: int = param(64, "Cells along a side of the box.", ge=8, le=1024)
        side: float = param(32.0, "Side of the box.", unit="m", gt=0.0)
        steps: int = param(64, "Time steps.", ge=1, le=100_000)
        time_step: float = param(1.5, "Time step.", unit="s", gt=0.0)
        every: int = param(1, "Store every so many steps.", ge=1)
        skip: int = param(0, "Steps at the beginning that are not stored.", ge=0)
        viscosity: float = param(0.01, "Kinematic viscosity.", unit="m2 s-1", ge=0.0)
        buoyancy: float = param(0.5, "Upward acceleration by smoke of density 1.", unit="m s-2")
        buoyancy_max: float | None = param(
            None, "Draw each trajectory's buoyancy between `buoyancy` and this.", unit="m s-2"
        )
        interpolation: Literal["linear", "cubic"] = param(
            "linear", "Of the advection: linear is PDEArena's; cubic keeps details, at three times the cost."
        )
        scale: float = param(11.0, "Size of the clouds: those with fewer than 10 / scale cycles a side are left out.",
                             gt=0.0)  # fmt: skip
        smoothness: float = param(6.0, "How fast the clouds' spectrum decays with the wave number.", ge=0.0)

        @model_validator(mode="after")
        def _consistent(self) -> Self:
            if self.skip >= self.steps:
                raise ValueError(f"skip {self.skip} leaves nothing of {self.steps} steps")
            if self.buoyancy_max is not None and self.buoyancy_max < self.buoyancy:
                raise ValueError(f"buoyancy_max {self.buoyancy_max:g} is below buoyancy {self.buoyancy:g}")
            number = self.viscosity * self.time_step * (self.cells / self.side) ** 2
            if number > 50:
                raise ValueError(
                    f"time_step {self.time_step:g} s is beyond the limit of diffusion: nu dt / h2 is {number:.3g} and "
                    "may be 50 (it is divided into steps of 0.25); take fewer cells or shorter steps"
                )
            return self

    outputs: Mapping[str, Port] = {
        "fields": grid_port(
            "Smoke and velocity over time; u and v are the velocities on the cells' faces, divergence-free.",
            {
                "time": Variable(("time",), "float64", "s", "instants of the stored frames; the first is the start"),
                "smoke": Variable(("sample", "time", "y", "x"), "float32", "1", "density of the smoke"),
                "velocity": Variable(
                    ("sample", "time", "y", "x", "component"), "float32", "m s-1", "velocity at the centres"
                ),
                "u": Variable(("sample", "time", "y", "x_face"), "float64", "m s-1", "horizontal velocity on faces"),
                "v": Variable(("sample", "time", "y_face", "x"), "float64", "m s-1", "vertical velocity on faces"),
                "buoyancy": Variable(("sample",), "float64", "m s-2", "upward acceleration by unit density"),
            },
            sizes={"x": "cells", "y": "cells", "sample": "trajectories", "component": 2},
            attrs=("viscosity", "time_step"),
        )
    }
    resources = Resources(isolate=True)
    affects = ("numpy", "scipy")
    random = True

    def run(self, context: Context, params: Params, **inputs: Any) -> Mapping[str, Stream]:
        """Simulate one trajectory after the other."""
        return {"fields": Stream("sample", _trajectories(context, params))}


def _trajectories(context: Context, params: SmokePlume.Params) -> Iterator[xr.Dataset]:
    import numpy as np

    from ..smoke import Box, at_rest, random_smoke, simulate

    h = params.side / params.cells
    for i in range(params.trajectories):
        rng = np.random.default_rng([context.seed, i])  # a trajectory does not depend on how many there are
        density = random_smoke(rng, params.cells, scale=params.scale, smoothness=params.smoothness)
        buoyancy = params.buoyancy if params.buoyancy_max is None else rng.uniform(params.buoyancy, params.buoyancy_max)
        box = Box(h, params.time_step, params.viscosity, float(buoyancy), params.interpolation)
        start = at_rest(density)
        kept = [start] if params.skip == 0 else []
        for step, state in enumerate(simulate(start, box, params.steps), 1):
            if step >= max(params.skip, 1) and (step - params.skip) % params.every == 0:
                kept.append(state)
            if params.trajectories == 1 or step == params.steps:
                context.progress(i * params.steps + step, params.trajectories * params.steps, f"trajectory {i + 1}")
        yield _block(params, box, kept)


def _block(params: SmokePlume.Params, box: Box, states: list[Smoke]) -> xr.Dataset:
    import numpy as np
    import xarray as xr

    from ..smoke import centred

    n = params.cells
    faces = np.arange(n + 1) * box.h
    centres = (np.arange(n) + 0.5) * box.h
    steps = params.skip + params.every * np.arange(len(states))
    described = SmokePlume.outputs["fields"].variables
    values = {
        "smoke": np.stack([s.density for s in states]),
        "velocity": np.stack([centred(s) for s in states]),
        "u": np.stack([s.u for s in states]),
        "v": np.stack([s.v for s in states]),
        "buoyancy": np.float64(box.buoyancy),
    }
    variables = {
        name: (described[name].dims, value[None].astype(described[name].dtype), about(described[name]))
        for name, value in values.items()
    }
    coordinates = {
        "time": ("time", steps * box.dt, {"units": "s", "axis": "T"}),
        **{axis: (axis, centres, {"units": "m", "long_name": f"{axis} of the cells' centres"}) for axis in "xy"},
        **{f"{axis}_face": (f"{axis}_face", faces, {"units": "m"}) for axis in "xy"},
    }
    attrs = {
        "Conventions": "CF-1.11",
        "title": "Buoyant smoke in a closed box",
        "viscosity": box.viscosity,
        "time_step": box.dt,
        "interpolation": box.interpolation,
    }
    return xr.Dataset(variables, coordinates, attrs)
