"""Grids of 128^3: learned multigrid against PyAMG, fast Poisson, plain and textbook methods; CPU seconds, one thread.

    OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive python plugins/dcdm/benchmarks/large_grids.py [--masks 20] [--cells 128]

Ratios are geometric means over the masks of (their seconds / ours); PyAMG's "best" is the faster of smoothed
aggregation and Ruge-Stüben on each mask. PyAMG's set-up does not include the assembly of the matrix, and its outer
iteration is ours. Plain conjugate gradients are measured on the first five masks.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
from fieldloom_dcdm.assembly import csr
from fieldloom_dcdm.directions.amg import GridAmg
from fieldloom_dcdm.directions.multigrid import Multigrid
from fieldloom_dcdm.parameters import textbook
from fieldloom_dcdm.problem import Poisson
from fieldloom_dcdm.solving import System, set_up
from measuring import Row, machine, masks, mean, measure, write

TOLERANCES = (1e-4, 1e-8)
PLAIN = 5


def systems(problem: Poisson, plain: bool) -> Iterator[tuple[str, Callable[[], System]]]:
    """Name each method, and how to set it up."""
    yield "learned", lambda: set_up(problem)
    yield "textbook V(2, 2)", lambda: set_up(problem, Multigrid(problem, textbook()))
    yield "textbook W(2, 2)", lambda: set_up(problem, Multigrid(problem, textbook(gamma=2)))
    yield "dst", lambda: set_up(problem, "dst")
    if plain:
        yield "cg", lambda: set_up(problem, None)
    matrix = csr(problem)
    for kind in ("smoothed-aggregation", "ruge-stuben"):
        yield f"pyamg {kind}", lambda kind=kind: set_up(problem, GridAmg(problem, kind, matrix))


def timed(make: Callable[[], System]) -> System:
    """Count the making of the model as set-up."""
    wall, cpu = time.perf_counter(), time.process_time()
    system = make()
    return replace(system, setup=time.perf_counter() - wall, setup_cpu=time.process_time() - cpu)


def run(cells: int, number: int) -> list[Row]:
    rows = []
    for i, (name, problem, b) in enumerate(masks((cells,) * 3, number)):
        for method, make in systems(problem, i < PLAIN):
            system = timed(make)
            rows += [measure(name, method, system, b, rtol) for rtol in TOLERANCES]
        print(
            i + 1, name, [(r.method, r.iterations, round(r.solve_cpu, 2)) for r in rows if r.system == name], flush=True
        )
    return rows


def figures(rows: list[Row]) -> dict[str, object]:
    found: dict[str, object] = {}
    for rtol in TOLERANCES:
        by = {(r.system, r.method): r for r in rows if r.rtol == rtol}
        ours = {name: row for (name, method), row in by.items() if method == "learned"}
        amgs = ("pyamg smoothed-aggregation", "pyamg ruge-stuben")

        def best(name, total, by=by, amgs=amgs):
            return min((by[name, m].setup_cpu if total else 0.0) + by[name, m].solve_cpu for m in amgs)

        def against(method, field="solve_cpu", by=by, ours=ours):
            return mean(
                getattr(by[n, method], field) / getattr(row, field) for n, row in ours.items() if (n, method) in by
            )

        found[f"{rtol:g}"] = {
            "ours: set-up + solve, CPU s": [
                round(float(np.mean([getattr(r, f) for r in ours.values()])), 3) for f in ("setup_cpu", "solve_cpu")
            ],
            "ours: iterations": round(float(np.mean([r.iterations for r in ours.values()])), 2),
            "best PyAMG, set-up included": mean(best(n, True) / (r.setup_cpu + r.solve_cpu) for n, r in ours.items()),
            "best PyAMG, solve only": mean(best(n, False) / r.solve_cpu for n, r in ours.items()),
            "dst": against("dst"),
            "cg": against("cg"),
            "textbook V(2, 2)": against("textbook V(2, 2)"),
            "textbook W(2, 2)": against("textbook W(2, 2)"),
            "iterations over textbook V(2, 2)": 1.0 / against("textbook V(2, 2)", "iterations"),
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--masks", type=int, default=20)
    parser.add_argument("--cells", type=int, default=128)
    arguments = parser.parse_args()
    started = machine()
    run(16, 1)  # compile
    rows = run(arguments.cells, arguments.masks)
    write(f"large_grids_{arguments.cells}", figures(rows), rows, started)


if __name__ == "__main__":
    main()
