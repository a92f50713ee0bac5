"""The paper's convolutional model: trained for at most two minutes of CPU, against conjugate gradients in 2D 64^2.

    OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive python plugins/dcdm/benchmarks/convolution.py

20 unseen obstacles of 5 kinds. Trained on the empty box as in the paper; and, as an ablation for the same shorter time
each, on obstacles without and with the mask as a second input. The seconds beside say where it loses.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch
from fieldloom_dcdm.directions.cnn import Cnn, CnnConfig
from fieldloom_dcdm.solving import set_up
from fieldloom_dcdm.training.cnn import CnnRecipe, train
from measuring import Row, machine, masks, mean, measure, write

LONG, SHORT = 90.0, 50.0
"""CPU seconds of optimiser steps."""
RECIPES = {
    "as in the paper": CnnRecipe(steps=10**6, seconds=LONG),
    "trained on obstacles": CnnRecipe(steps=10**6, seconds=SHORT, obstacles=5),
    "trained on obstacles, sees the mask": CnnRecipe(
        CnnConfig(sees_mask=True), steps=10**6, seconds=SHORT, obstacles=5
    ),
}
HISTORIES = (1, 2, 20)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--paper-only", action="store_true", help="leave out the ablation")
    only = parser.parse_args().paper_only
    torch.set_num_threads(1)
    started, rows, spent = machine(), [], {}
    systems = list(masks((64, 64), 20))
    networks = {}
    for label, recipe in list(RECIPES.items())[: 1 if only else None]:
        before = time.process_time()
        networks[label] = train(recipe)
        spent[label] = round(time.process_time() - before, 1)
    for name, problem, b in systems:
        for rtol in (1e-4, 1e-8):
            rows.append(measure(name, "cg", set_up(problem, None), b, rtol))
            rows.append(measure(name, "learned multigrid", set_up(problem), b, rtol))
            for label, network in networks.items():
                for k in HISTORIES if label == "as in the paper" else (2,):
                    system = set_up(problem, Cnn(problem, network))
                    rows.append(
                        measure(name, f"{label}, k = {k}", system, b, rtol, history=k, maxiter=1000, strict=False)
                    )
    write("convolution", {"training CPU s": spent, **figures(rows)}, rows, started)


def figures(rows: list[Row]) -> dict[str, object]:
    found: dict[str, object] = {}
    methods = list(dict.fromkeys(r.method for r in rows))
    for rtol in (1e-4, 1e-8):
        by = {(r.system, r.method): r for r in rows if r.rtol == rtol}
        names = sorted({r.system for r in rows})
        found[f"{rtol:g}"] = {
            method: {
                "missed": sum(by[n, method].residual > rtol for n in names),
                "mean iterations": round(float(np.mean([by[n, method].iterations for n in names])), 1),
                "CG's iterations over these": round(
                    mean(by[n, "cg"].iterations / by[n, method].iterations for n in names), 2
                ),
                "CPU s over CG's": round(mean(by[n, method].solve_cpu / by[n, "cg"].solve_cpu for n in names), 2),
            }
            for method in methods
        }
    return found


if __name__ == "__main__":
    main()
