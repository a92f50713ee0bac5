"""Heun's method along the straight path from noise to data, see `flow_euler`.

References
----------
T. Karras et al., "Elucidating the design space of diffusion-based generative models", NeurIPS 2022, algorithm 1.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..process import Process
from .flow_euler import straight
from .stepping import Model, OnStep, Times, evaluate, intervals, time_grid


@torch.no_grad()
def flow_heun(
    model: Model,
    process: Process,
    noise: Tensor,
    steps: int,
    *,
    times: Times | None = None,
    on_step: OnStep | None = None,
) -> Tensor:
    """Second order, two evaluations a step. See `sample` for what all samplers share.

    A step that ends in t = 0 is Euler's, as in algorithm 1: networks are not trained there.
    """
    x = noise
    for t, s in intervals(time_grid(process, steps, times), on_step):
        velocity = process.velocity(x, evaluate(model, x, t), t)
        ahead = straight(process, x, velocity, t, s)
        if s > 0:
            velocity = (velocity + process.velocity(ahead, evaluate(model, ahead, s), s)) / 2
            ahead = straight(process, x, velocity, t, s)
        x = ahead
    return x
