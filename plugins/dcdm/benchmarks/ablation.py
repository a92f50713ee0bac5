"""What makes learned multigrid better: the cycle, the relaxation, or the dependence on what lies behind a face.

    OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive python plugins/dcdm/benchmarks/ablation.py

Trains each variant with the recipe of the shipped 2D sets, but 100 steps, and compares digits of the residual an
iteration on systems that training has not seen (12 a set, 128^2).
"""

from __future__ import annotations

from dataclasses import replace

import torch
from fieldloom_dcdm.parameters import textbook
from fieldloom_dcdm.training.multigrid import train
from measuring import machine, write
from train_parameters import RECIPES, digits


def main() -> None:
    torch.set_num_threads(1)
    started, figures = machine(), {}
    for name in ("mask_2d", "coefficient_2d"):
        recipe = replace(RECIPES[name], steps=100)
        figures[name] = {
            "textbook V(2, 2)": digits(textbook(), recipe),
            "learned V(2, 2)": digits(train(replace(recipe, gamma=1)), recipe),
            "textbook W(2, 2)": digits(textbook(gamma=2), recipe),
            "learned W(2, 2), bound 1": digits(train(replace(recipe, conditioned=False)), recipe),
            "learned W(2, 2)": digits(train(recipe), recipe),
            "learned W(1, 1)": digits(train(replace(recipe, sweeps=1)), recipe),
        }
    write("ablation", figures, [], started)


if __name__ == "__main__":
    main()
