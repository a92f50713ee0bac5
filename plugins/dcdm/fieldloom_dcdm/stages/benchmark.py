"""Compare direction models on the same systems."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from fieldloom import Context, Port, Resources, Stage, StageParams, Variable, param

from .ports import MODEL, PICTURES, systems_port

if TYPE_CHECKING:
    import xarray as xr

    from ..problem import Poisson
    from ..result import SolveResult
    from ..solving import System

Method = Literal["learned-multigrid", "multigrid", "dst", "smoothed-aggregation", "ruge-stuben", "identity", "models"]
SCORES = Port(
    {
        "method": Variable(("row",), "string", description="direction model"),
        "rtol": Variable(("row",), "float64", "1", "relative residual that was reached"),
        "iterations": Variable(("row",), "float64", "1", "iterations, geometric mean"),
        "most": Variable(("row",), "int64", description="most iterations on a system"),
        "missed": Variable(("row",), "int64", description="systems on which the tolerance was not reached"),
        "setup": Variable(("row",), "float64", "s", "CPU seconds of the set-up, geometric mean"),
        "solve": Variable(("row",), "float64", "s", "CPU seconds of the solve, geometric mean"),
        "against_first": Variable(("row",), "float64", "1", "CPU seconds over those of the first method"),
    },
    "Iterations and seconds of each method.",
    extra=False,
)


class Benchmark(Stage):
    """Solve all systems by all methods, check every residual, and draw how they converge.

    `models` are those at the port, trained by `dcdm.train`; the others come as they are: learned multigrid with the
    shipped parameters, textbook multigrid, fast Poisson (`dst`), PyAMG's two, and plain conjugate gradients
    (`identity`). PyAMG's set-up assembles the matrix; its iteration is ours, as for the others. Seconds are CPU
    seconds of the process, measured once, so that no two runs give the same artifact; `timings: false` leaves them out.
    """

    class Params(StageParams):
        """What to compare."""

        methods: list[Method] = param(
            ["learned-multigrid", "multigrid", "dst", "smoothed-aggregation", "identity"],
            "Methods, the first being the one that others are compared with.",
            min_length=1,
        )
        rtols: list[float] = param([1e-4, 1e-8], "Relative residuals to reach.", min_length=1)
        maxiter: int = param(5000, "Most iterations.", ge=1)
        history: int = param(2, "Directions that a new one is made A-orthogonal to, for networks.", ge=1, le=100)
        timings: bool = param(True, "Measure CPU seconds.")

    inputs: Mapping[str, Port] = {
        "systems": systems_port(),
        "models": Port(description="Trained direction models.", attrs=MODEL.attrs, many=True, optional=True),
    }
    outputs: Mapping[str, Port] = {"scores": SCORES, "pictures": PICTURES}
    resources = Resources(isolate=True)
    affects = ("numpy", "scipy", "torch", "pyamg", "numba")

    @classmethod
    def input_ports(cls, params: Any) -> Mapping[str, Port]:
        """Ask for models only where they are used."""
        return {name: port for name, port in cls.inputs.items() if name != "models" or "models" in params.methods}

    def run(self, context: Context, params: Params, **inputs: Any) -> Mapping[str, xr.Dataset]:
        """Solve everything by everything."""
        from fieldloom.contracts.table import table
        from fieldloom.files import png_files

        from . import plots
        from .reading import posed_systems

        makers = _makers(params, inputs.get("models"), context.threads)
        found: dict[tuple[str, float], list[SolveResult]] = {}
        histories: dict[str, dict[str, Any]] = {}
        data = inputs["systems"]
        _warm_up(makers, data, params)
        for i, (kind, problem, b) in enumerate(posed_systems(data)):
            for method, make in makers.items():
                for rtol, result in _solves(make, problem, b, params).items():
                    found.setdefault((method, rtol), []).append(result)
                histories.setdefault(kind, {}).setdefault(method, result.residuals[0])
            context.progress(i + 1, data.sizes["sample"], kind)
        rows = _rows(found, params.timings)
        drawn = plots.convergence(dict(list(histories.items())[:4]))
        return {"scores": table(rows, SCORES, "Direction models"), "pictures": png_files(convergence=drawn)}


def _makers(params: Benchmark.Params, models: Any, threads: int) -> dict[str, Callable[[Poisson], System]]:
    """Name every method and how to set it up for a problem."""
    from ..directions.amg import GridAmg
    from ..solving import set_up
    from .weights import model_of

    makers: dict[str, Callable[[Poisson], System]] = {}
    for method in params.methods:
        if method == "models":
            for label, data in models.items():
                name = f"{data.attrs['model']} ({label})" if label else f"trained {data.attrs['model']}"
                makers[name] = lambda p, data=data: set_up(p, model_of(data, p, threads), threads)  # type: ignore[misc]  # a default binds the loop's value
        elif method in ("smoothed-aggregation", "ruge-stuben"):
            makers[f"pyamg {method}"] = lambda p, kind=method: set_up(p, GridAmg(p, kind), threads)  # type: ignore[misc]  # as above
        else:
            makers[method] = lambda p, name=method: set_up(p, name, threads)  # type: ignore[misc]  # as above
    return makers


def _warm_up(makers: Mapping[str, Callable[[Poisson], System]], data: xr.Dataset, params: Benchmark.Params) -> None:
    """Let kernels be compiled before anything is measured."""
    from .reading import posed_systems

    _, problem, b = next(posed_systems(data))
    for make in makers.values():
        _solves(make, problem, b, params.model_copy(update={"rtols": [0.1]}))


def _solves(
    make: Callable[[Poisson], System], problem: Poisson, b: Any, params: Benchmark.Params
) -> dict[float, SolveResult]:
    """Set up once, solve to each tolerance; the last is the tightest."""
    import time
    from dataclasses import replace

    from ..solving import solve_system

    started = time.process_time()
    system = make(problem)
    system = replace(system, setup_cpu=time.process_time() - started)
    return {
        rtol: solve_system(system, b, rtol=rtol, maxiter=params.maxiter, history=params.history)
        for rtol in sorted(params.rtols, reverse=True)
    }


def _rows(found: Mapping[tuple[str, float], list[SolveResult]], timings: bool) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for (method, rtol), results in found.items():
        setup, solve = (
            _mean([getattr(r.timings, part) for r in results]) if timings else float("nan")
            for part in ("setup_cpu", "solve_cpu")
        )
        rows.append(
            {
                "method": method,
                "rtol": rtol,
                "iterations": _mean([max(r.iterations, 1) for r in results]),
                "most": max(r.iterations for r in results),
                "missed": sum(not r.converged for r in results),
                "setup": setup,
                "solve": solve,
            }
        )
    first = {row["rtol"]: row["setup"] + row["solve"] for row in reversed(rows) if row["method"] == rows[0]["method"]}
    return [{**row, "against_first": (row["setup"] + row["solve"]) / first[row["rtol"]]} for row in rows]


def _mean(values: list[float]) -> float:
    """Geometric mean."""
    import numpy as np

    return float(np.exp(np.mean(np.log(np.maximum(values, 1e-9)))))
