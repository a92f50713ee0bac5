"""Noise schedules of the variance-preserving process: ``log alpha^2`` at t = 0, 1/1000, ..., 1, linear in between.

References
----------
R. Rombach et al., "High-resolution image synthesis with latent diffusion models", CVPR 2022: scaled-linear.
A. Nichol, P. Dhariwal, "Improved denoising diffusion probabilistic models", ICML 2021: cosine.
"""

from __future__ import annotations

from functools import cache
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Schedule = Literal["scaled-linear", "cosine"]
STEPS = 1000
LARGEST_BETA = 0.999
"""Of the cosine schedule, whose last step would otherwise leave nothing of the data (Nichol & Dhariwal 2021)."""


@cache
def log_alpha_bar(schedule: Schedule) -> Tensor:
    """``sum log(1 - beta)`` over the steps so far, starting with 0, float64, shape (STEPS + 1,), falling."""
    betas = scaled_linear_betas() if schedule == "scaled-linear" else cosine_betas()
    return torch.from_numpy(np.concatenate([[0.0], np.cumsum(np.log1p(-betas))]))


def scaled_linear_betas() -> NDArray[np.float64]:
    """Square roots rise linearly."""
    return np.linspace(0.00085**0.5, 0.012**0.5, STEPS) ** 2


def cosine_betas() -> NDArray[np.float64]:
    """``alpha^2`` falls like a squared cosine; eq. 17 with s = 0.008."""
    angle = (np.linspace(0, 1, STEPS + 1) + 0.008) / 1.008 * np.pi / 2
    return np.minimum(1 - (np.cos(angle[1:]) / np.cos(angle[:-1])) ** 2, LARGEST_BETA)


def interpolated(table: Tensor, t: Tensor) -> Tensor:
    """Values at times in [0, 1] of a table over equal intervals, linearly."""
    table, place = table.to(t.device), t * (len(table) - 1)
    low = place.detach().floor().long().clamp(0, len(table) - 2)
    return torch.lerp(table[low], table[low + 1], place - low)


def place_of(table: Tensor, value: Tensor) -> Tensor:
    """Times in [0, 1] at which a falling table has the values; the nearer end for values beyond it."""
    table = table.to(value.device)
    high = torch.searchsorted(-table, -value).clamp(1, len(table) - 1)
    fraction = (value - table[high - 1]) / (table[high] - table[high - 1])
    return (high - 1 + fraction.clamp(0, 1)) / (len(table) - 1)
