"""Iterations of learned multigrid against the textbook and a scan of omega on the same kernels.

    OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive python plugins/dcdm/benchmarks/iterations.py

Obstacles in 2D 256^2 and 3D 64^3 (30 masks each), coefficients that jump by 100 and 1000 in 2D 512^2 and 3D 64^3
(21 each), growth from 32^3 to 128^3. The scan takes V(2, 2) and W(2, 2) with omega from 0.9 to 1.4; its best is one
setting for all systems of a set ("tuned once"), or the best for each system ("tuned for each").
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from fieldloom_dcdm.directions.multigrid import Multigrid
from fieldloom_dcdm.parameters import textbook
from fieldloom_dcdm.solving import set_up
from measuring import Row, coefficients, machine, masks, mean, measure, write

OMEGAS = (0.9, 1.0, 1.1, 1.2, 1.3, 1.4)
SCAN = {f"{'VW'[g - 1]}(2, 2) omega {w:g}": textbook(2, w, g) for g in (1, 2) for w in OMEGAS}
TEXTBOOK = "V(2, 2) omega 1"
TOLERANCES = (1e-4, 1e-8)


def run(label: str, systems) -> list[Row]:
    rows = []
    for name, problem, b in systems:
        models = {method: Multigrid(problem, parameters) for method, parameters in SCAN.items()}
        for method, model in {"learned": "learned-multigrid", **models}.items():
            system = set_up(problem, model)
            rows += [measure(f"{label}/{name}", method, system, b, rtol) for rtol in TOLERANCES]
    print(label, len(rows), flush=True)
    return rows


def compared(rows: list[Row]) -> dict[str, object]:
    """Ratios of iterations, all systems and tolerances together, and by kind."""
    counts = {(r.system, r.rtol, r.method): r.iterations for r in rows}
    cases = sorted({(r.system, r.rtol) for r in rows})
    means = {method: mean(counts[*case, method] for case in cases) for method in SCAN}
    tuned = {cycle: min((m for m in SCAN if m.startswith(cycle)), key=means.__getitem__) for cycle in "VW"}
    once = min(tuned.values(), key=means.__getitem__)
    ours = {case: counts[*case, "learned"] for case in cases}
    by_kind = defaultdict(list)
    for case in cases:
        by_kind[case[0].split("/")[1].split("-")[0]].append(case)
    return {
        "over textbook": mean(ours[c] / counts[*c, TEXTBOOK] for c in cases),
        "most iterations more than textbook": max(ours[c] - counts[*c, TEXTBOOK] for c in cases),
        "tuned V": tuned["V"],
        "over tuned V": mean(ours[c] / counts[*c, tuned["V"]] for c in cases),
        "tuned once": once,
        "over tuned once": mean(ours[c] / counts[*c, once] for c in cases),
        "over tuned for each": mean(ours[c] / min(counts[*c, m] for m in SCAN) for c in cases),
        "CPU s over tuned once": mean(cpu(rows, c, "learned") / cpu(rows, c, once) for c in cases),
        "by kind, over textbook and over tuned once": {
            kind: [
                round(mean(ours[c] / counts[*c, TEXTBOOK] for c in chosen), 3),
                round(mean(ours[c] / counts[*c, once] for c in chosen), 3),
            ]
            for kind, chosen in by_kind.items()
        },
        "mean iterations at 1e-4 and 1e-8: learned, textbook, tuned once": [
            [
                round(float(np.mean([counts[*c, m] for c in cases if c[1] == rtol])), 2)
                for m in ("learned", TEXTBOOK, once)
            ]
            for rtol in TOLERANCES
        ],
    }


def cpu(rows: list[Row], case, method: str) -> float:
    return next(r.solve_cpu for r in rows if (r.system, r.rtol, r.method) == (*case, method))


def growth() -> tuple[dict[str, float], list[Row]]:
    """Iterations at 32^3 and 128^3 on the same kinds of masks."""
    rows = []
    for cells in (32, 128):
        for name, problem, b in masks((cells,) * 3, 10):
            rows.append(measure(f"growth-{cells}/{name}", "learned", set_up(problem), b, 1e-8))
    small, large = ([r.iterations for r in rows if f"-{n}/" in r.system] for n in (32, 128))
    return {"32^3 to 128^3": mean(large) / mean(small), "32^3": mean(small), "128^3": mean(large)}, rows


def main() -> None:
    started = machine()
    sets = {
        "obstacles 2D 256^2": masks((256, 256), 30),
        "obstacles 3D 64^3": masks((64, 64, 64), 30),
        "coefficient 2D 512^2": coefficients((512, 512), 21),
        "coefficient 3D 64^3": coefficients((64, 64, 64), 21),
    }
    rows, figures = [], {}
    for label, systems in sets.items():
        found = run(label, systems)
        figures[label] = compared(found)
        rows += found
    figures["growth of iterations"], more = growth()
    write("iterations", figures, rows + more, started)


if __name__ == "__main__":
    main()
