"""DPM-Solver++(2M): the estimate of the data is extrapolated in the log signal-to-noise ratio.

References
----------
C. Lu et al., "DPM-Solver++: fast solver for guided sampling of diffusion probabilistic models", 2022.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..process import Process
from .stepping import Model, OnStep, Times, evaluate, intervals, time_grid


@torch.no_grad()
def dpm_solver(
    model: Model,
    process: Process,
    noise: Tensor,
    steps: int,
    *,
    times: Times | None = None,
    on_step: OnStep | None = None,
) -> Tensor:
    """Second order with one evaluation a step (algorithm 2). See `sample` for what all samplers share.

    Notes
    -----
    The first and the last step are of first order: there is nothing to extrapolate from, and towards t = 0
    the logarithm has no end. From a start without data (alpha = 0) so is the second, and the error falls like
    ``log(steps) / steps^2``: the logarithm's steps stay long there.
    """
    grid = time_grid(process, steps, times)
    x, before = noise, None
    for t, s in intervals(grid, on_step):
        clean = process.denoised(x, evaluate(model, x, t), t)
        guess = clean
        if before is not None and s > grid[-1]:
            earlier, past = before
            # h / (2 h_before); from a start without data h_before is infinite, and the step is of first order
            ahead = (process.log_snr(s) - process.log_snr(t)) / (process.log_snr(t) - process.log_snr(earlier)) / 2
            guess = clean + ahead * (clean - past)
        x, before = first_order(process, x, guess, t, s), (t, clean)
    return x


def first_order(process: Process, x: Tensor, clean: Tensor, t: Tensor, s: Tensor) -> Tensor:
    """Step from t to s with the estimate of the data held; without logarithms: alpha(t) or sigma(s) may be 0."""
    kept = process.sigma(s) / process.sigma(t)
    return kept * x + (process.alpha(s) - kept * process.alpha(t)) * clean
