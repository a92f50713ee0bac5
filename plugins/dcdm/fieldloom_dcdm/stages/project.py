"""Make velocities divergence-free."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

from fieldloom import Context, Port, Resources, Stage, StageParams, Variable, param
from fieldloom.contracts import grid_port

from .ports import AXES
from .systems import Box, sides

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr

VELOCITIES = {"x": "u", "y": "v", "z": "w"}
"""Name of the velocity along each axis; it lies on the faces ``<axis>_face``."""
_FACES = {
    "u": Variable((...,), "float", description="velocity along x on the faces x_face"),
    "v": Variable((...,), "float", description="velocity along y on the faces y_face"),
    "w": Variable((...,), "float", description="velocity along z on the faces z_face", optional=True),
}
PROJECTIONS = Port(
    {
        "frame": Variable(("row",), "int64", description="number of the frame"),
        "iterations": Variable(("row",), "int64", description="iterations"),
        "before": Variable(("row",), "float64", "1", "divergence before, 2-norm, velocity units over a cell"),
        "after": Variable(("row",), "float64", "1", "divergence after"),
    },
    "The divergence of each frame, before and after.",
    extra=False,
)


class Project(Stage):
    """Subtract from a velocity on a staggered grid the gradient of the pressure that makes it divergence-free.

    The velocity lies on the cells' faces: `u` on `x_face`, `v` on `y_face`, and in three dimensions `w` on `z_face`;
    samples and times may come before. A variable `mask` (fluid cells) marks solids. Velocities on walls stay as they
    are. Frames are solved from the pressure of the frame before.
    """

    class Params(StageParams):
        """How, and how exactly."""

        method: Literal["learned-multigrid", "multigrid", "dst", "amg"] = param(
            "learned-multigrid", "Preconditioner of the conjugate gradients."
        )
        boundary: Box = param(
            "neumann", "Sides of the box: walls (`neumann`), all open with pressure zero (`dirichlet`), or `open` only "
            "on the upper side of the first axis."
        )  # fmt: skip
        rtol: float = param(1e-6, "Divergence to leave, relative to that which is there.", ge=1e-14, lt=1.0)

    inputs: Mapping[str, Port] = {
        "fields": grid_port(
            "A velocity on faces.",
            {**_FACES, "mask": Variable((...,), "bool", description="fluid cells", optional=True)},
        )
    }
    outputs: Mapping[str, Port] = {
        "fields": grid_port(
            "The velocity without divergence, and the pressure.",
            {**_FACES, "pressure": Variable((...,), "float64", description="time step times pressure over density")},
        ),
        "projections": PROJECTIONS,
    }
    resources = Resources(isolate=True)
    affects = ("numpy", "scipy", "numba")

    def run(self, context: Context, params: Params, **inputs: Any) -> Mapping[str, xr.Dataset]:
        """Project frame after frame."""
        import numpy as np
        import xarray as xr
        from fieldloom.contracts.table import table

        data = inputs["fields"]
        axes = AXES[3 if "z" in data.dims else 2]
        names = [VELOCITIES[axis] for axis in axes]
        lead = [str(dim) for dim in data["u"].dims if dim in ("sample", "time")]
        frames = list(_frames(context, params, data, axes, lead))
        sizes = [data.sizes[dim] for dim in lead]
        variables: dict[str, Any] = {}
        for k, name in enumerate([*names, "pressure"]):
            values = np.stack([fields[k] for _, fields in frames])
            dims, attrs = (data[name].dims, data[name].attrs) if name in names else ((*lead, *axes), {})
            variables[name] = (dims, values.reshape(*sizes, *values.shape[1:]), attrs)
        projected = xr.Dataset(variables, {str(n): c for n, c in data.coords.items()}, data.attrs)
        rows = [row for row, _ in frames]
        return {"fields": projected, "projections": table(rows, PROJECTIONS, "Projections")}


def _frames(
    context: Context, params: Project.Params, data: xr.Dataset, axes: tuple[str, ...], lead: list[str]
) -> Iterator[tuple[dict[str, Any], tuple[np.ndarray, ...]]]:
    """Yield, for each frame, a row of the table, and the velocities and the pressure."""
    import numpy as np
    from fieldloom.contracts.grid import spacing

    from ..problem import poisson
    from ..projection import divergence, project
    from ..solving import set_up

    lengths = tuple(spacing(data, axis) for axis in axes)
    shape = tuple(data.sizes[axis] for axis in axes)
    moving = "mask" in data and bool(set(lead) & set(data["mask"].dims))
    pressure, system = None, None
    count = int(np.prod([data.sizes[dim] for dim in lead]))
    for frame, index in enumerate(np.ndindex(*(data.sizes[dim] for dim in lead))):
        here = data.isel(dict(zip(lead, index, strict=True)))
        if system is None or moving:
            mask = here["mask"].to_numpy() if "mask" in here else np.ones(shape, np.bool_)
            problem = poisson(mask, lengths, sides(params.boundary, len(axes)))
            system = set_up(problem, params.method, context.threads)
        velocity = [here[VELOCITIES[axis]].to_numpy().astype(np.float64) for axis in axes]
        before = float(np.linalg.norm(divergence(problem, velocity)))
        found = project(problem, velocity, rtol=params.rtol, pressure=pressure, system=system)
        found.result.check()
        pressure = found.pressure
        after = float(np.linalg.norm(divergence(problem, found.velocity)))
        row = {"frame": frame, "iterations": found.result.iterations, "before": before, "after": after}
        context.progress(frame + 1, count, f"{found.result.iterations} iterations")
        yield row, (*found.velocity, found.pressure)
