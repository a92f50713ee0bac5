"""Training the parts of a generator on cached latents, one after the other, and setting the size of its spread."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..training import Schedule, Training, train
from .field_mean import FieldMean
from .two_part import Conditions, TwoPart

After = Callable[[Training], None]


@dataclass(frozen=True, slots=True)
class Dropping:
    """How often a condition is hidden in training, so that a model works without it and can be guided.

    Attributes
    ----------
    numbers : float
        Probability that each number is hidden by itself.
    all_numbers : float
        Probability that all are.
    prompt : float
        Probability that the prompt is.
    """

    numbers: float = 0.2
    all_numbers: float = 0.2
    prompt: float = 0.3

    def __call__(self, given: Conditions, generator: torch.Generator) -> Conditions:
        """Hide conditions at random."""
        n = len(given.walls)

        def keep(probability: float, *shape: int) -> Tensor:
            return (torch.rand(n, *shape, generator=generator) >= probability).to(given.known)

        known = given.known * keep(self.numbers, given.known.shape[1]) * keep(self.all_numbers, 1)
        pooled = given.pooled * keep(self.prompt, 1)
        return replace(given, known=known, pooled=pooled)


@dataclass(frozen=True)
class Examples:
    """Cached training data of one :class:`TwoPart`.

    Attributes
    ----------
    latents : Tensor, shape (samples, frames, channels, ny, nx)
    given : Conditions
        Of all samples; prompts are drawn by ``prompts``.
    prompts : callable, optional
        From sample numbers (batch,) and a generator to embeddings (batch, text), tokens and mask of one caption each.
    """

    latents: Tensor
    given: Conditions
    prompts: Callable[[Tensor, torch.Generator], tuple[Tensor, Tensor, Tensor]] | None = None

    def batch(self, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Conditions]:
        """Sample numbers, latents and conditions, without replacement."""
        index = torch.randperm(len(self.latents), generator=generator)[:size]
        given = self.given.rows(index)
        if self.prompts is not None:
            pooled, tokens, mask = self.prompts(index, generator)
            given = replace(given, pooled=pooled, tokens=tokens, mask=mask)
        return index, self.latents[index], given


def train_mean(
    part: TwoPart,
    examples: Examples,
    schedule: Schedule,
    batch: int,
    seed: int,
    dropping: Dropping,
    after_step: After | None = None,
    resume: dict[str, Tensor] | None = None,
) -> Training:
    """Regress the latents: mean square error in units of each channel's spread over the training set."""
    scale = channel_scale(examples.latents)

    def loss(generator: torch.Generator) -> Tensor:
        _, latents, given = examples.batch(batch, generator)
        error = (part.expected(dropping(given, generator)) - latents) / scale
        return error.square().mean()

    return train(part, loss, schedule, seed, after_step, resume)


def train_residual(
    part: TwoPart,
    examples: Examples,
    schedule: Schedule,
    batch: int,
    seed: int,
    dropping: Dropping,
    means: Tensor | None = None,
    after_step: After | None = None,
    resume: dict[str, Tensor] | None = None,
) -> Training:
    """Learn the distribution of what the mean misses.

    Parameters
    ----------
    means : Tensor, shape (samples, frames, channels, ny, nx), optional
        The means of all samples, where they come from elsewhere; those of the first part otherwise.
    """
    if part.mean is not None:
        part.mean.requires_grad_(False)
        part.embed.requires_grad_(False)

    def mean_of(index: Tensor, given: Conditions) -> Tensor:
        if means is not None:
            return means[index]
        with torch.no_grad():
            return part.expected(given)

    with torch.no_grad():
        everything = torch.arange(len(examples.latents))
        pieces = [mean_of(i, examples.given.rows(i)) for i in everything.split(64)]
        residual = examples.latents - torch.cat(pieces)
        part.spread.copy_(residual.square().mean(dim=(0, 3, 4), keepdim=False)[..., None, None].sqrt().clamp_min(1e-3))

    def loss(generator: torch.Generator) -> Tensor:
        index, latents, given = examples.batch(batch, generator)
        given = dropping(given, generator)
        return part.residual_loss(latents, mean_of(index, given), given, generator)

    return train(part, loss, schedule, seed, after_step, resume)


def train_field_mean(
    network: FieldMean,
    frames: Tensor,
    walls: Tensor,
    numbers: Tensor,
    schedule: Schedule,
    batch: int,
    seed: int,
    after_step: After | None = None,
    resume: dict[str, Tensor] | None = None,
) -> Training:
    """Regress trajectories from their first frames: the error of each relative to its own size, as it is judged.

    Parameters
    ----------
    frames : Tensor, shape (samples, time, fields, ny, nx)
        Scaled.
    walls : Tensor, shape (walls, ny, nx)
    numbers : Tensor, shape (samples, numbers)
    """

    def loss(generator: torch.Generator) -> Tensor:
        index = torch.randperm(len(frames), generator=generator)[:batch]
        truth = frames[index]
        out = network(truth[:, 0], walls.expand(len(index), -1, -1, -1), numbers[index])
        return _relative(out - truth, truth)

    return train(network, loss, schedule, seed, after_step, resume)


def _relative(error: Tensor, truth: Tensor) -> Tensor:
    """Mean over the batch of each sample's root mean square error over its root mean square."""
    return (error.square().flatten(1).sum(dim=1) / truth.square().flatten(1).sum(dim=1).clamp_min(1e-12)).sqrt().mean()


def channel_scale(latents: Tensor) -> Tensor:
    """Root mean square of the deviation of each channel from its mean, shape (channels, 1, 1)."""
    return latents.std(dim=(0, 1, 3, 4))[:, None, None].clamp_min(1e-6)
