"""What is known exactly of samplers: ideal networks of Gaussian data and their paths, and a toy network."""

from dataclasses import dataclass

import torch
from fieldloom_text2pde.diffusion import FlowMatching, Process, VariancePreserving

EXACT, CLOSE = 1e-12, 2e-6
"""Relative tolerance in float64, and where diffusers computes in float32."""

PROCESSES = [
    FlowMatching(),
    FlowMatching(shift=3.0, logit_normal=False),
    VariancePreserving("epsilon"),
    VariancePreserving("v"),
    VariancePreserving("x"),
    VariancePreserving("epsilon", "cosine"),
    VariancePreserving("v", "cosine"),
    VariancePreserving("v", zero_terminal_snr=True),
    VariancePreserving("x", "cosine", zero_terminal_snr=True),
]
MEAN, SPREAD = 1.3, 0.4
"""Of the Gaussian data, whose ideal network and whose paths from noise are known."""


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=seeded(seed), dtype=dtype)


@dataclass(frozen=True)
class LogLinear(Process):
    """Variance preserving with a log signal-to-noise ratio linear in t: no kinks, and DEIS in t is DEIS in log rho."""

    steepness: float = 12.0

    def log_snr(self, t):
        return 8.0 - self.steepness * t.double()

    def alpha(self, t):
        return torch.sigmoid(self.log_snr(t)).sqrt()

    def sigma(self, t):
        return torch.sigmoid(-self.log_snr(t)).sqrt()

    def time_of_log_snr(self, log_snr):
        return (8.0 - log_snr) / self.steepness

    def target_weights(self, t):
        return torch.zeros_like(t), torch.ones_like(t)

    def times(self, steps):
        return torch.linspace(1, 0, steps + 1, dtype=torch.float64)

    def draw_times(self, n, generator):
        return torch.rand(n, generator=generator)


def ideal(process):
    """The network that minimises the training loss on Gaussian data: conditional means."""

    def model(x, t):
        alpha, sigma = (f(t).reshape(-1, *[1] * (x.ndim - 1)) for f in (process.alpha, process.sigma))
        gap = (x - alpha * MEAN) / (alpha**2 * SPREAD**2 + sigma**2)
        return process.target(MEAN + alpha * SPREAD**2 * gap, sigma * gap, t)

    return model


def exact(process, start, t, s):
    """Where the probability-flow path through ``start`` at time t is at time s: as many deviations from the mean."""
    (a, b), (c, d) = ((process.alpha(u), process.sigma(u)) for u in (t, s))
    return c * MEAN + ((c * SPREAD) ** 2 + d**2).sqrt() * (start - a * MEAN) / ((a * SPREAD) ** 2 + b**2).sqrt()


def toy(x, t):
    """A nonlinear network of no meaning, on (batch, 6)."""
    mix = normal(6, 6, seed=5).to(x.dtype)
    return torch.tanh(x @ mix + t[:, None].to(x.dtype)) + 0.3 * x.roll(1, 1)


def worst(value, reference):
    return ((value - reference).abs().max() / reference.abs().max()).item()
