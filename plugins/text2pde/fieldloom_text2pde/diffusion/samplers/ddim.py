"""Denoising diffusion implicit models: the estimate of the noise is held over a step.

References
----------
J. Song, C. Meng, S. Ermon, "Denoising diffusion implicit models", ICLR 2021.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from ..process import Process
from .stepping import Model, OnStep, Times, evaluate, intervals, time_grid


@torch.no_grad()
def ddim(
    model: Model,
    process: Process,
    noise: Tensor,
    steps: int,
    *,
    times: Times | None = None,
    on_step: OnStep | None = None,
    eta: float = 0.0,
    generator: Generator | None = None,
) -> Tensor:
    """First order; with fresh noise if asked for. See `sample` for what all samplers share.

    Parameters
    ----------
    eta : float
        In [0, 1]. 0 is deterministic, 1 is ancestral sampling (Ho et al. 2020), eq. 16.
    generator : Generator, optional
        Source of the fresh noise, needed for ``eta > 0``.
    """
    if not 0 <= eta <= 1:
        raise ValueError(f"eta must lie in [0, 1], got {eta}")
    if eta and generator is None:
        raise ValueError("eta > 0 adds fresh noise: give the generator that draws it")
    x = noise
    for t, s in intervals(time_grid(process, steps, times), on_step):
        output = evaluate(model, x, t)
        clean, eps = process.denoised(x, output, t), process.noise_in(x, output, t)
        fresh = eta * ancestral_deviation(process, t, s)
        # eq. 12: of the noise at s, a part is fresh
        x = process.alpha(s) * clean + (process.sigma(s) ** 2 - fresh**2).sqrt() * eps
        if generator is not None and fresh > 0:
            x = x + fresh * torch.randn(x.shape, generator=generator, device=generator.device, dtype=x.dtype).to(x)
    return x


def ancestral_deviation(process: Process, t: Tensor, s: Tensor) -> Tensor:
    """Standard deviation of x_s given x_t and x, s < t: eq. 16, written for any alpha and sigma."""
    ratio = process.alpha(t) * process.sigma(s) / (process.alpha(s) * process.sigma(t))
    return process.sigma(s) * (1 - ratio**2).sqrt()
