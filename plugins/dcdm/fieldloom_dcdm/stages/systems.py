"""Make systems: random obstacles and coefficients, moving obstacles, bodies given as meshes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, Self

from fieldloom import Context, Port, Resources, Stage, StageParams, Stream, param
from fieldloom.contracts import mesh_port
from pydantic import model_validator

from .ports import AXES, systems_port

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr

    from ..problem import Poisson

Obstacle = Literal["none", "blobs", "discs", "boxes", "porous", "channels", "moving", "mesh"]
Box = Literal["dirichlet", "neumann", "open"]


class MakeSystems(Stage):
    """Pressure-Poisson systems on a grid, each with obstacles or a coefficient of its own and a right-hand side.

    Kinds are taken in turn. `moving` is a disc (a sphere) that goes around the middle of the box from sample to
    sample. `mesh` takes the body from the port: a plane mesh, or a closed surface in space, in the coordinates of the
    box; cells whose centre it holds are solid. Systems do not depend on how many there are.
    """

    class Params(StageParams):
        """How many, the box, what is in it."""

        obstacles: list[Obstacle] = param(["blobs", "discs", "boxes"], "Kinds of obstacles, in turn.", min_length=1)
        coefficient: Literal["none", "inclusions", "patches", "layers"] = param(
            "none", "Let the coefficient jump in the fluid: bodies, a patchwork, or wavy layers."
        )
        jump: float = param(1000.0, "Largest value of the coefficient over its least.", ge=1.0, le=1e8)
        dimension: Literal[2, 3] = param(2, "Of the grid.")
        cells: int = param(64, "Cells along each side of the box.", ge=4, le=2048)
        side: float = param(1.0, "Side of the box.", unit="m", gt=0.0)
        samples: int = param(6, "Number of systems.", ge=1, le=100_000)
        boundary: Box = param(
            "dirichlet", "Sides of the box: x is zero on all, none lets anything through, or only the upper side of "
            "the first axis is open (x is zero there)."
        )  # fmt: skip
        rhs: Literal["flow", "white"] = param(
            "flow", "Right-hand side: minus the divergence of a smooth velocity that stops at solids, or noise."
        )

        @model_validator(mode="after")
        def _fits(self) -> Self:
            if self.cells**self.dimension > 2**28:
                raise ValueError(f"{self.cells} cells in {self.dimension} dimensions are too many")
            return self

    inputs: Mapping[str, Port] = {"body": mesh_port("The body of the kind `mesh`.", optional=True)}
    outputs: Mapping[str, Port] = {"systems": systems_port(sizes={"sample": "samples"})}
    resources = Resources(isolate=True)
    affects = ("numpy", "scipy")
    random = True

    @classmethod
    def input_ports(cls, params: Any) -> Mapping[str, Port]:
        """Ask for a body only where one is used."""
        return cls.inputs if "mesh" in params.obstacles else {}

    @classmethod
    def output_ports(cls, params: Any) -> Mapping[str, Port]:
        """Say which axes there are."""
        sizes: dict[str, int | str] = {"sample": "samples"} | dict.fromkeys(AXES[params.dimension], "cells")
        return {"systems": systems_port(params.dimension, params.coefficient != "none", sizes=sizes)}

    def run(self, context: Context, params: Params, **inputs: Any) -> Mapping[str, Stream]:
        """Make one system after the other."""
        return {"systems": Stream("sample", _systems(context, params, inputs.get("body")))}


def _systems(context: Context, params: MakeSystems.Params, body: xr.Dataset | None) -> Iterator[xr.Dataset]:
    import numpy as np

    from ..problem import poisson
    from ..systems import flow_rhs, random_coefficient, white_rhs

    for i in range(params.samples):
        kind, rng = params.obstacles[i % len(params.obstacles)], np.random.default_rng([context.seed, i])
        shape = (params.cells,) * params.dimension
        mask = _mask(rng, params, kind, i, body)
        c = None if params.coefficient == "none" else random_coefficient(rng, shape, params.coefficient, params.jump)
        problem = poisson(mask, params.side / params.cells, sides(params.boundary, params.dimension), c)
        b = (flow_rhs if params.rhs == "flow" else white_rhs)(rng, problem)
        label = kind if params.coefficient == "none" else f"{kind}, {params.coefficient}"
        context.progress(i + 1, params.samples, label)
        yield _block(params, problem, b, c, label)


def sides(box: Box, dimension: int) -> Any:
    """Write a box as :func:`.problem.poisson` takes it."""
    return [("neumann", "dirichlet"), *["neumann"] * (dimension - 1)] if box == "open" else box


def _mask(rng: np.random.Generator, params: MakeSystems.Params, kind: Obstacle, i: int, body: Any) -> Any:
    import numpy as np

    from ..systems import moving_obstacle, random_mask

    shape = (params.cells,) * params.dimension
    if kind == "none":
        return np.ones(shape, np.bool_)
    if kind == "moving":
        return list(moving_obstacle(shape, params.samples))[i]
    return ~_solid(params, body) if kind == "mesh" else random_mask(rng, shape, kind)


def _solid(params: MakeSystems.Params, body: xr.Dataset) -> Any:
    import numpy as np
    from fieldloom.contracts.cells import points_of, simplices

    from ..voxels import solid_cells

    centres = (np.arange(params.cells) + 0.5) * params.side / params.cells
    points = points_of(body)[:, params.dimension - 1 :: -1]  # (z,) y, x: the order of the grid's axes
    return solid_cells(points, simplices(body)[0], [centres] * params.dimension)


def _block(params: MakeSystems.Params, problem: Poisson, b: Any, c: Any, label: str) -> xr.Dataset:
    import json

    import numpy as np
    import xarray as xr

    axes = AXES[params.dimension]
    dims = ("sample", *axes)
    centres = (np.arange(params.cells) + 0.5) * params.side / params.cells
    variables: dict[str, Any] = {
        "mask": (dims, problem.mask[None], {"long_name": "fluid cells"}),
        "b": (dims, b[None], {"long_name": "right-hand side"}),
        "kind": ("sample", np.array([label], dtype="U32")),
    }
    if c is not None:
        variables["coefficient"] = (dims, c[None], {"units": "1", "long_name": "coefficient"})
    coordinates = {axis: (axis, centres, {"units": "m", "long_name": f"{axis} of the cells' centres"}) for axis in axes}
    attrs = {"Conventions": "CF-1.11", "title": "Pressure-Poisson systems", "boundary": json.dumps(problem.boundary)}
    return xr.Dataset(variables, coordinates, attrs)
