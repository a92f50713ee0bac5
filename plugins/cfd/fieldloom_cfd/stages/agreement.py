"""A flow beside the solver's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fieldloom import Context, Port, Resources, Stage, StageParams, Variable, param
from fieldloom.contracts import field_port

from .derived import differentiator

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr

_TABLE = Port(
    {
        "time": Variable(("row",), "float64", "s", "instant"),
        "distance": Variable(("row",), "float64", "1", "relative L2 distance of the velocities, by area"),
        "divergence": Variable(("row",), "float64", "1", "rms divergence over rms gradient"),
        "divergence_of_solver": Variable(("row",), "float64", "1", "the same of the solver's flow, at the same points"),
        "slip": Variable(("row",), "float64", "1", "largest speed on walls over the largest of all"),
    },
    "One row an instant.",
    extra=False,
)


class Agreement(Stage):
    """How far a flow is from the solver's on the same mesh or grid, and from keeping volume and walls.

    For a generated flow beside its own continuation by `cfd.continue-wake` or `cfd.continue-smoke`, this says for how
    long it is a solution. Nodes at which the solver's flow always rests are walls; a grid has none.
    """

    class Params(StageParams):
        """Which field."""

        velocity: str = param("velocity", "The velocity's name in both.")

    inputs: Mapping[str, Port] = {
        "fields": field_port("The flow."),
        "solver": field_port("The solver's flow on the same mesh or grid, at the same instants."),
    }
    outputs: Mapping[str, Port] = {
        "table": _TABLE,
        "picture": Port(description="Distance and divergence over time.", files=True),
    }
    resources = Resources(isolate=True)  # matplotlib is not for several threads
    affects = ("numpy", "scipy")

    @classmethod
    def input_ports(cls, params: Any) -> Mapping[str, Port]:
        """Ask for the velocity."""
        wanted = {params.velocity: Variable((...,), "float"), "time": Variable(("time",), "float", "s")}
        return {name: field_port(port.description, wanted) for name, port in cls.inputs.items()}

    def run(self, context: Context, params: Params, **inputs: Any) -> Mapping[str, xr.Dataset]:
        """Compare instant by instant."""
        import numpy as np
        from fieldloom.contracts.cells import weights
        from fieldloom.contracts.table import table
        from fieldloom.files import png_files

        from ..agreement import over_time
        from ..plots import plot_agreement

        flow, solver = inputs["fields"], inputs["solver"]
        _check_same(flow, solver, params.velocity)
        shape = flow[params.velocity].shape[1:]
        found, truth = (x[params.velocity].to_numpy().reshape(len(x["time"]), -1, shape[-1]) for x in (flow, solver))
        derivative, n = differentiator(flow, params.velocity), found.shape[1]

        def differentiate(u: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
            gradient = derivative(u.reshape(shape))  # (..., components, d)
            return gradient.reshape(n, *gradient.shape[-2:])[:, : gradient.shape[-1]]

        rows = over_time(found, truth, flow["time"].to_numpy(), weights(flow).get("node", np.ones(n)), differentiate)
        last = rows[-1]
        context.log.info("distance from the solver at t = %.4g s: %.3f", last["time"], last["distance"])
        picture = png_files(agreement=(plot_agreement(rows), "distance from the solver's flow, and divergence"))
        return {"table": table(rows, _TABLE, "A flow beside the solver's"), "picture": picture}


def _check_same(flow: xr.Dataset, solver: xr.Dataset, name: str) -> None:
    import numpy as np

    dims = flow[name].dims
    if dims[0] != "time" or dims[-1] != "component" or "cell" in dims:
        raise ValueError(f"{name!r} should lie on (time, node, component) or (time, y, x, component), got {dims}")
    if dims != solver[name].dims or flow[name].shape != solver[name].shape:
        raise ValueError(
            f"{name!r} is {dict(flow[name].sizes)} here and {dict(solver[name].sizes)} of the solver: both should "
            "have the same mesh or grid and the same instants"
        )
    axes = ("node_x", "node_y") if "node" in dims else ("x", "y")
    for axis in ("time", *axes):
        a, b = flow[axis].to_numpy(), solver[axis].to_numpy()
        if not np.allclose(a, b, rtol=1e-6, atol=1e-6 * float(np.ptp(b))):
            raise ValueError(f"{axis!r} is not the same in both; compare on one mesh or grid, at the same instants")
