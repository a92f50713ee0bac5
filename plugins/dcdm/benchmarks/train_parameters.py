"""Train the parameter sets that ship with the room: 2D and 3D, obstacles and coefficients that jump.

    python plugins/dcdm/benchmarks/train_parameters.py [--only mask_2d] [--steps 300]

Writes fieldloom_dcdm/parameters/<kind>_<d>d.json with recipe and scores on systems that training has not seen.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from fieldloom_dcdm.directions.multigrid import Multigrid
from fieldloom_dcdm.parameters import MultigridParameters, textbook, to_json
from fieldloom_dcdm.solving import set_up, solve_system
from fieldloom_dcdm.training.multigrid import Recipe, random_system, train

FOLDER = Path(__file__).parents[1] / "fieldloom_dcdm" / "parameters"
RECIPES = {
    "mask_2d": Recipe(2, "mask", size=64, steps=400, seed=1),
    "mask_3d": Recipe(3, "mask", size=32, steps=300, seed=1),
    "coefficient_2d": Recipe(2, "coefficient", size=64, steps=400, seed=1),
    "coefficient_3d": Recipe(3, "coefficient", size=32, steps=300, seed=1),
}
UNSEEN = 10_000
"""Seed of the systems that are scored."""


def digits(parameters: MultigridParameters, recipe: Recipe, systems: int = 12) -> float:
    """Mean digits of the residual an iteration, on grids of twice the training size."""
    rng, rates = np.random.default_rng(UNSEEN), []
    for _ in range(systems):
        problem, b = random_system(rng, replace(recipe, size=2 * recipe.size))
        result = solve_system(set_up(problem, Multigrid(problem, parameters)), b, rtol=1e-8)
        rates.append(-np.log10(result.relative_residual) / result.iterations)
    return round(float(np.mean(rates)), 3)


def scores(parameters: MultigridParameters, recipe: Recipe) -> dict[str, float]:
    return {
        "digits an iteration": digits(parameters, recipe),
        "textbook V(2, 2)": digits(textbook(), recipe),
        "textbook W(2, 2)": digits(textbook(gamma=2), recipe),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=sorted(RECIPES), action="append")
    parser.add_argument("--steps", type=int)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for name in arguments.only or RECIPES:
        recipe = replace(RECIPES[name], steps=arguments.steps or RECIPES[name].steps)
        started = time.process_time()
        parameters = train(recipe)
        found = {"training CPU s": round(time.process_time() - started, 1), **scores(parameters, recipe)}
        (FOLDER / f"{name}.json").write_text(to_json(replace(parameters, scores=found)) + "\n", "utf-8")
        print(name, found, flush=True)


if __name__ == "__main__":
    main()
