"""Solve systems."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

from fieldloom import Context, Port, Resources, Stage, StageParams, Variable, param
from fieldloom.contracts import grid_port

from .ports import MODEL, systems_port

if TYPE_CHECKING:
    import xarray as xr

    from ..result import SolveResult

Method = Literal["learned-multigrid", "multigrid", "dst", "amg", "identity", "model"]
SOLVES = Port(
    {
        "kind": Variable(("row",), "string", description="kind of system"),
        "status": Variable(("row",), "string", description="how it ended"),
        "iterations": Variable(("row",), "int64", description="iterations"),
        "residual": Variable(("row",), "float64", "1", "relative residual, computed anew"),
    },
    "How each solve went.",
    extra=False,
)


class Solve(Stage):
    """Solve each system by conjugate gradients with a direction model, or with one that was trained (`model`).

    A solve that does not reach its tolerance stops the run and says why, unless `partial` lets it pass.
    """

    class Params(StageParams):
        """How, and how exactly."""

        method: Method = param("learned-multigrid", "Direction model; `model` takes the one at the port.")
        rtol: float = param(1e-6, "Relative residual to reach.", ge=1e-14, lt=1.0)
        maxiter: int = param(1000, "Most iterations.", ge=1)
        history: int = param(2, "Directions that a new one is made A-orthogonal to, for networks.", ge=1, le=100)
        partial: bool = param(False, "Keep solutions that miss the tolerance.")

    inputs: Mapping[str, Port] = {
        "systems": systems_port(),
        "model": Port(description="A trained direction model.", attrs=MODEL.attrs, optional=True),
    }
    outputs: Mapping[str, Port] = {
        "solutions": grid_port("Solutions.", {"solution": Variable((...,), "float64", description="the solution x")}),
        "solves": SOLVES,
    }
    resources = Resources(isolate=True)
    affects = ("numpy", "scipy", "torch", "pyamg", "numba")

    @classmethod
    def input_ports(cls, params: Any) -> Mapping[str, Port]:
        """Ask for a model only where it is used."""
        return {name: port for name, port in cls.inputs.items() if name != "model" or params.method == "model"}

    def run(self, context: Context, params: Params, **inputs: Any) -> Mapping[str, xr.Dataset]:
        """Solve one after the other."""
        import numpy as np
        import xarray as xr
        from fieldloom.contracts.table import table

        data = inputs["systems"]
        results = dict(_solved(context, params, data, inputs.get("model")))
        x = np.stack([result.x for result in results.values()])
        axes = {axis: data[axis] for axis in data["mask"].dims if axis in data.coords and axis != "sample"}
        solutions = xr.Dataset({"solution": (data["mask"].dims, x, {"long_name": "solution"})}, axes)
        rows = [
            {
                "kind": kind,
                "status": r.status.name.lower().replace("_", " "),
                "iterations": r.iterations,
                "residual": r.relative_residual,
            }
            for (_, kind), r in results.items()
        ]
        return {"solutions": solutions, "solves": table(rows, SOLVES, "Solves")}


def _solved(
    context: Context, params: Solve.Params, data: xr.Dataset, model: xr.Dataset | None
) -> Iterator[tuple[tuple[int, str], SolveResult]]:
    from ..solving import solve
    from .reading import posed_systems
    from .weights import model_of

    for i, (kind, problem, b) in enumerate(posed_systems(data)):
        M = params.method if model is None else model_of(model, problem, context.threads)
        result = solve(
            problem, b, None, params.rtol, 0.0, params.maxiter, M, history=params.history, threads=context.threads
        )
        context.progress(i + 1, data.sizes["sample"], f"{kind}: {result.iterations} iterations")
        yield (i, kind), result if params.partial else result.check()
