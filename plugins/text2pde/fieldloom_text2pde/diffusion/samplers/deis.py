"""tAB-DEIS: the estimate of the noise is a polynomial in time through past estimates, integrated exactly.

References
----------
Q. Zhang, Y. Chen, "Fast sampling of diffusion models with exponential integrator", ICLR 2023.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import Tensor

from ..process import Process
from .stepping import Model, OnStep, Times, evaluate, intervals, time_grid

QUADRATURE_POINTS = 32
"""Exact to round-off where t is smooth in sigma / alpha; the knots of a table leave errors of 1e-5 of a weight."""


@torch.no_grad()
def deis(
    model: Model,
    process: Process,
    noise: Tensor,
    steps: int,
    *,
    times: Times | None = None,
    on_step: OnStep | None = None,
    order: int = 3,
) -> Tensor:
    """One evaluation a step. See `sample` for what all samplers share.

    Parameters
    ----------
    order : {1, 2, 3}
        Estimates that the polynomial goes through; 1 is `ddim`. The first steps have fewer.

    Notes
    -----
    The first step is of first order and leaves an error of second order, which third order shows beyond some 50 equal
    steps, at errors below 1e-4; times whose first steps are short avoid it.
    """
    if order not in (1, 2, 3):
        raise ValueError(f"the order of DEIS must be 1, 2 or 3, got {order}")
    x, past = noise, list[tuple[Tensor, Tensor]]()
    for t, s in intervals(time_grid(process, steps, times), on_step):
        output = evaluate(model, x, t)
        eps = process.noise_in(x, output, t)
        past = [(t, eps), *past][:order]
        # eq. 14, as DDIM and what the differences to past noises add: finite where alpha(t) = 0
        x = process.alpha(s) * process.denoised(x, output, t) + process.sigma(s) * eps
        nodes = torch.stack([time for time, _ in past])
        for j, (_, earlier) in enumerate(past[1:], 1):
            x = x + weight(process, nodes, j, s) * (earlier - eps)
    return x


def weight(process: Process, nodes: Tensor, j: int, s: Tensor) -> Tensor:
    """Weight of the j-th past noise in the step from ``nodes[0]`` to ``s``: eq. 15.

    ``alpha(s)`` times the integral of the j-th Lagrange polynomial over ``rho = sigma / alpha``.
    """
    t = nodes[0]
    start, end = process.sigma(t) / process.alpha(t), process.sigma(s) / process.alpha(s)
    points, weights = gauss_legendre()
    rho = start + (end - start) * points
    values = lagrange(nodes, j, process.time_of_log_snr(-2 * rho.log()))
    return process.alpha(s) * (end - start) * (weights * values).sum()


def lagrange(nodes: Tensor, j: int, t: Tensor) -> Tensor:
    """Polynomial that is 1 at ``nodes[j]`` and 0 at the others."""
    others = torch.cat([nodes[:j], nodes[j + 1 :]])
    return ((t[:, None] - others) / (nodes[j] - others)).prod(dim=1)


@cache
def gauss_legendre() -> tuple[Tensor, Tensor]:
    """Points and weights on [0, 1], float64."""
    points, weights = np.polynomial.legendre.leggauss(QUADRATURE_POINTS)
    return torch.from_numpy((points + 1) / 2), torch.from_numpy(weights / 2)
