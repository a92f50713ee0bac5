"""Euler's method along the straight path from noise to data.

Any process becomes the straight path by a change of scale and time: with ``g = alpha + sigma``,
``x_t / g = (1 - u) x + u noise`` at ``u = sigma / g``. For flow matching g = 1 and u = t.

References
----------
X. Liu, C. Gong, Q. Liu, "Flow straight and fast", ICLR 2023.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..process import Process
from .stepping import Model, OnStep, Times, evaluate, intervals, time_grid


@torch.no_grad()
def flow_euler(
    model: Model,
    process: Process,
    noise: Tensor,
    steps: int,
    *,
    times: Times | None = None,
    on_step: OnStep | None = None,
) -> Tensor:
    """First order. See `sample` for what all samplers share."""
    x = noise
    for t, s in intervals(time_grid(process, steps, times), on_step):
        velocity = process.velocity(x, evaluate(model, x, t), t)
        x = straight(process, x, velocity, t, s)
    return x


def straight(process: Process, x: Tensor, velocity: Tensor, t: Tensor, s: Tensor) -> Tensor:
    """Go from t to s with the velocity held: ``x + (s - t) velocity`` in scaled variables."""
    scale = (process.alpha(s) + process.sigma(s)) / (process.alpha(t) + process.sigma(t))
    return scale * x + (process.sigma(s) - scale * process.sigma(t)) * velocity
