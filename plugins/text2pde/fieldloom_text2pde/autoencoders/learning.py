"""Training an autoencoder, and what it loses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..domains import Domain
from ..training import Schedule, Training, train
from .convolution import divergence_from_normal, draw
from .grid import GridAutoencoder
from .mesh import MeshAutoencoder

Autoencoder = MeshAutoencoder | GridAutoencoder


@dataclass(frozen=True, slots=True)
class ReconstructionLoss:
    """What an autoencoder minimises.

    Attributes
    ----------
    samples, frames : int
        Trajectories in a batch, and frames taken from each.
    divergence : float
        Weight of the Kullback-Leibler term.
    gradient : float
        Weight of the relative error of differences between neighbouring grid cells (grids only).
    spectral : float
        Weight of the relative error of Fourier amplitudes (grids only).
    absolute : float
        Weight of the relative L1 error beside the L2 error's 1.
    """

    samples: int = 4
    frames: int = 4
    divergence: float = 1e-6
    gradient: float = 0.0
    spectral: float = 0.0
    absolute: float = 0.0

    def __call__(
        self, model: Autoencoder, values: Sequence[Tensor], domains: Sequence[Domain], generator: torch.Generator
    ) -> Tensor:
        """Draw a batch of scaled trajectories (time, n_i, fields) and return its loss."""
        chosen = torch.randperm(len(values), generator=generator)[: self.samples].tolist()
        batch = [self._some_frames(values[i], model.config.block, generator) for i in chosen]
        places = [domains[i] for i in chosen]
        mean, log_variance = model.encode(batch, places)
        restored = model.decode(draw(mean, log_variance, generator), places)
        errors = [self._error(r, x, model) for r, x in zip(restored, batch, strict=True)]
        return torch.stack(errors).mean() + self.divergence * divergence_from_normal(mean, log_variance)

    def _some_frames(self, values: Tensor, block: int, generator: torch.Generator) -> Tensor:
        """Frames at random; whole blocks where the latents share frames."""
        blocks = torch.randperm(len(values) // block, generator=generator)[: max(1, self.frames // block)]
        return values[(blocks[:, None] * block + torch.arange(block)).flatten()]

    def _error(self, restored: Tensor, truth: Tensor, model: Autoencoder) -> Tensor:
        """Root mean square error relative to the trajectory's own size, and what else is asked for."""
        error = relative(restored - truth, truth)
        if self.absolute:
            error = error + self.absolute * (restored - truth).abs().mean() / truth.abs().mean()
        if (self.gradient or self.spectral) and isinstance(model, GridAutoencoder):
            a, b = (x.transpose(1, 2).unflatten(-1, model.config.shape) for x in (restored, truth))
            slopes = [(a.diff(dim=axis), b.diff(dim=axis)) for axis in (-1, -2)]
            error = error + self.gradient * sum(relative(x - y, y) for x, y in slopes) / 2
            if self.spectral:
                x, y = (torch.fft.rfft2(v, norm="ortho").abs() for v in (a, b))
                error = error + self.spectral * relative(x - y, y)
        return error


def relative(error: Tensor, truth: Tensor) -> Tensor:
    """Root mean square of ``error`` over that of ``truth``."""
    return (error.square().mean() / truth.square().mean().clamp_min(1e-12)).sqrt()


def train_autoencoder(
    model: Autoencoder,
    values: Sequence[Tensor],
    domains: Sequence[Domain],
    schedule: Schedule,
    loss: ReconstructionLoss,
    seed: int,
    after_step: Callable[[Training], None] | None = None,
    resume: dict[str, Tensor] | None = None,
) -> Training:
    """Train in place.

    Parameters
    ----------
    values : sequence of Tensor, shape (time, n_i, fields)
        Scaled trajectories.
    domains : sequence of Domain
    after_step : callable, optional
        For progress and checkpoints.
    resume : dict, optional
        An earlier training's state.
    """
    return train(model, lambda generator: loss(model, values, domains, generator), schedule, seed, after_step, resume)


@torch.no_grad()
def encode_all(model: Autoencoder, values: Sequence[Tensor], domains: Sequence[Domain], batch: int = 8) -> Tensor:
    """Means of the latents of whole trajectories (samples, time', latents, ny', nx'), computed once."""
    parts = [model.encode(values[i : i + batch], domains[i : i + batch])[0] for i in range(0, len(values), batch)]
    return torch.cat(parts)


@torch.no_grad()
def reconstructions(model: Autoencoder, values: Sequence[Tensor], domains: Sequence[Domain]) -> Iterator[Tensor]:
    """What remains of each scaled trajectory after encoding and decoding."""
    for x, domain in zip(values, domains, strict=True):
        yield model.decode(model.encode([x], [domain])[0], [domain])[0]
