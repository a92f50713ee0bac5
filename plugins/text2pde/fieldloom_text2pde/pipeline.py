"""From trajectories to a trained generator, step by step: what stages and benchmarks share. Needs no fieldloom."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .autoencoders.grid import GridAutoencoder, GridAutoencoderConfig, frames_of
from .autoencoders.learning import Autoencoder, encode_all
from .autoencoders.mesh import MeshAutoencoder, MeshAutoencoderConfig
from .domains import Domain
from .generator.learning import Dropping, Examples, channel_scale, train_field_mean, train_mean, train_residual
from .generator.model import Generator
from .generator.setting import Setting
from .generator.two_part import Conditions
from .geometry import geometry_of, still_sides
from .rules import mirrored as numbers_in_mirror
from .scaling import field_scaling, number_scaling
from .training import Schedule, Training
from .trajectories import Sample, Trajectories

Monitor = Callable[[str, Training], None]
"""Called after every step with the part's name and its training."""
_ALL_WALLS = (True, True, True, True)


def learn_setting(train: Trajectories, rules: str = "table") -> Setting:
    """Measure what a model has to know of its training set."""
    columns = train.columns()
    numbers = number_scaling(columns, train.units)
    constants = {n: float(v[0]) for n, v in columns.items() if n not in numbers.names}
    walls = _ALL_WALLS
    if train.grid is None and train.vectors:
        sample = train.samples[0]
        walls = still_sides(sample.points, sample.values[..., list(train.vectors[0])], train.box)
    scaling = field_scaling([s.values for s in train.samples], train.vectors)
    return Setting(train.channels, tuple(train.times.tolist()), walls, scaling, numbers, constants, rules)


def sticking_channels(train: Trajectories) -> tuple[int, ...]:
    """Components of vectors that vanish on the obstacles in the first trajectories."""
    vectors = [c for v in train.vectors for c in v]
    kept = set(vectors)
    for sample in train.samples[:3]:
        segments = geometry_of(sample.points, sample.triangles, _ALL_WALLS, train.box).segments
        if not len(segments):
            return ()
        on = (np.abs(sample.points[:, None] - segments.reshape(1, -1, 2)).max(-1) < 1e-9).any(axis=1)
        size = np.abs(sample.values).max(axis=(0, 1))
        kept &= {c for c in vectors if np.abs(sample.values[:, on, c]).max() <= 1e-6 * size[c]}
    return tuple(c for c in vectors if c in kept)


def build_autoencoder(train: Trajectories, seed: int, **sizes: Any) -> Autoencoder:
    """Build the autoencoder for a training set; ``sizes`` are further attributes of its configuration."""
    fields = sum(c.count for c in train.channels)
    torch.manual_seed(seed)
    if train.grid is not None:
        return GridAutoencoder(GridAutoencoderConfig(fields, train.box.low, train.box.high, train.grid, **sizes))
    config = MeshAutoencoderConfig(fields, sticking_channels(train), train.box.low, train.box.high, **sizes)
    return MeshAutoencoder(config)


def domains_of(autoencoder: Autoencoder, setting: Setting, trajectories: Trajectories) -> list[Domain]:
    """Tie every sample to the latent grid."""
    if isinstance(autoencoder, GridAutoencoder):
        return [autoencoder.domain()] * len(trajectories)
    box = autoencoder.config.box
    return [
        autoencoder.domain(s.points, geometry_of(s.points, s.triangles, setting.walls, box))
        for s in trajectories.samples
    ]


def tensors_of(trajectories: Trajectories, device: torch.device | str = "cpu") -> list[Tensor]:
    """Values (time, n, channels) of every sample, physical units."""
    return [torch.from_numpy(s.values).to(device) for s in trajectories.samples]


def mirrored(trajectories: Trajectories, rules: str) -> Trajectories:
    """The samples, and their images in a mirror: twice as many. Smoke is mirrored along x, channels across the flow.

    Raises
    ------
    ValueError
        If the rules cannot tell what becomes of the numbers in a mirror.
    """
    t, axis = trajectories, 0 if trajectories.grid else 1
    sign = np.ones(sum(c.count for c in t.channels), np.float32)
    for channels in t.vectors:
        sign[channels[axis]] = -1.0
    low, high = t.box.low[axis], t.box.high[axis]

    def image(sample: Sample) -> Sample:
        numbers = numbers_in_mirror(rules, sample.numbers, low, high)
        if t.grid:
            values = sample.values.reshape(len(sample.values), *t.grid, -1)[:, :, ::-1].reshape(sample.values.shape)
            return Sample(np.ascontiguousarray(values * sign), sample.points, sample.triangles, numbers)
        points = sample.points.copy()
        points[:, 1] = low + high - points[:, 1]
        return Sample(sample.values * sign, points, sample.triangles[:, [0, 2, 1]], numbers)

    samples = (*t.samples, *(image(s) for s in t.samples))
    return Trajectories(samples, t.channels, t.times, t.units, t.grid, t.box)


@dataclass(frozen=True)
class Prompts:
    """Captions of the training samples, embedded as they are drawn.

    Attributes
    ----------
    embed : callable
        From prompts to pooled embeddings (batch, width), tokens (batch, length, width) and mask.
    texts : sequence of sequence of str
        Captions of each sample.
    """

    embed: Callable[[Sequence[str]], tuple[Tensor, Tensor, Tensor]]
    texts: Sequence[Sequence[str]]

    def __call__(self, index: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """One caption for each sample number: pooled (batch, width), tokens (batch, length, width), mask."""
        picks = torch.randint(2**31, (len(index),), generator=generator).tolist()
        chosen = [self.texts[i][p % len(self.texts[i])] for i, p in zip(index.tolist(), picks, strict=True)]
        return self.embed(chosen)


@dataclass(frozen=True)
class Latents:
    """A training set as a generator sees it, computed once.

    Attributes
    ----------
    values : Tensor, shape (samples, frames, latents, ny, nx)
        Standardised.
    first : Tensor, shape (samples, latents, ny, nx)
        Of the first frames.
    walls : Tensor, shape (samples, walls, ny, nx)
    numbers : Tensor, shape (samples, numbers)
        Standardised.
    """

    values: Tensor
    first: Tensor
    walls: Tensor
    numbers: Tensor

    def to(self, device: torch.device | str) -> Latents:
        """Move to a device."""
        return Latents(*(x.to(device) for x in (self.values, self.first, self.walls, self.numbers)))

    def given(self, *, framed: bool, text: int = 0) -> Conditions:
        """Conditions of all samples, every number known."""
        n = len(self.values)
        frame = self.first if framed else None
        pooled = self.values.new_zeros(n, text)
        return Conditions(self.walls, self.numbers, torch.ones_like(self.numbers), pooled, frame)


@torch.no_grad()
def cache_latents(
    model: Generator, trajectories: Trajectories, domains: Sequence[Domain], *, measure: bool = False
) -> Latents:
    """Encode a training set.

    Parameters
    ----------
    measure : bool
        Set the generator's shift and scale so that these latents have mean 0 and deviation 1 in every channel.
    """
    values = tensors_of(trajectories, model.latent_scale.device)
    latents = encode_all(model.autoencoder, [model.setting.scaling.apply(v) for v in values], domains)
    if measure:
        model.latent_shift.copy_(latents.mean(dim=(0, 1, 3, 4))[:, None, None])
        model.latent_scale.copy_(channel_scale(latents))
    latents = (latents - model.latent_shift) / model.latent_scale
    first = latents[:, 0]
    if model.autoencoder.config.block > 1:
        first = torch.cat([model.encode_frame([v[0]], [d]) for v, d in zip(values, domains, strict=True)])
    walls = torch.cat([model.latent_walls([d]) for d in domains])
    numbers = model.setting.numbers.table(trajectories.columns()).to(latents)
    return Latents(latents, first, walls, numbers)


@dataclass(frozen=True, slots=True)
class Budget:
    """Length of the trainings.

    Attributes
    ----------
    mean, residual, opening : Schedule
    batch : int
    """

    mean: Schedule
    residual: Schedule
    opening: Schedule | None
    batch: int = 16


def train_generator(
    model: Generator,
    train: Trajectories,
    domains: Sequence[Domain],
    latents: Latents,
    budget: Budget,
    seed: int,
    prompts: Prompts | None = None,
    dropping: Dropping = Dropping(),  # noqa: B008  # frozen
    monitor: Monitor | None = None,
    saved: Mapping[str, dict[str, Tensor]] | None = None,
) -> None:
    """Train all parts in place.

    Parameters
    ----------
    monitor : callable, optional
        For progress and checkpoints.
    saved : mapping of str to dict, optional
        State of the part at which an earlier call was interrupted; parts before it are in the model already.
    """
    parts = _parts(model, train, domains, latents, budget, seed, prompts, dropping)
    names, state = list(parts), dict(saved or {})
    for name in names[names.index(next(iter(state), names[0])) :]:
        parts[name](after_step=monitor and partial(monitor, name), resume=state.get(name))


def _parts(
    model: Generator,
    train: Trajectories,
    domains: Sequence[Domain],
    latents: Latents,
    budget: Budget,
    seed: int,
    prompts: Prompts | None,
    dropping: Dropping,
) -> dict[str, Callable[..., object]]:
    """The trainings by name, in order; each takes ``after_step`` and ``resume``."""
    whole = Examples(latents.values, latents.given(framed=True, text=model.text_width), prompts)
    start = Examples(latents.first[:, None], latents.given(framed=False, text=model.text_width), prompts)
    size, continuation, opening = budget.batch, model.continuation, model.opening

    def field_mean(**options: Any) -> None:
        assert model.field_mean is not None
        scaled = [model.setting.scaling.apply(v) for v in tensors_of(train, latents.values.device)]
        frames = torch.stack([frames_of(v, model.autoencoder.config.shape) for v in scaled])
        walls = domains[0].walls.to(frames)
        train_field_mean(model.field_mean, frames, walls, latents.numbers, budget.mean, size, seed, **options)

    def residual(**options: Any) -> None:
        means = field_mean_latents(model, train, domains, latents)  # only now is the mean trained
        train_residual(continuation, whole, budget.residual, size, seed + 1, dropping, means, **options)

    parts: dict[str, Callable[..., object]] = {}
    if model.field_mean is not None:
        parts["mean"] = field_mean
    elif continuation.mean is not None:
        parts["mean"] = partial(train_mean, continuation, whole, budget.mean, size, seed, dropping)
    parts["residual"] = residual
    if budget.opening is not None:
        parts["opening"] = partial(train_mean, opening, start, budget.opening, size, seed + 2, dropping)
        parts["opening-residual"] = partial(train_residual, opening, start, budget.opening, size, seed + 3, dropping)
    return parts


@torch.no_grad()
def field_mean_latents(
    model: Generator, train: Trajectories, domains: Sequence[Domain], latents: Latents, batch: int = 32
) -> Tensor | None:
    """Latents of the means of all samples, where these live in physical space; None otherwise."""
    if model.field_mean is None:
        return None
    given, values = latents.given(framed=True), tensors_of(train, latents.values.device)
    found = []
    for i in range(0, len(values), batch):
        index = torch.arange(i, min(i + batch, len(values)))
        first = torch.stack([values[k][0] for k in index.tolist()])
        found.append(model.expected(domains[0], given.rows(index), first)[0])
    return torch.cat(found)
