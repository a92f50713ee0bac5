"""A generator of latents in two parts: a network for their mean, and flow matching or diffusion for what is left.

The paper has the second part alone, on the latents themselves. A simulation that starts from a given frame is nearly
determined by it: a mean learned by regression is most of the answer, and what remains is small and centred (as in
Mardani et al. 2025, CorrDiff), so that few steps suffice. The two parts are named so in the weights: ``mean`` and
``residual``.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..diffusion.process import Process
from ..diffusion.samplers import sample
from ..networks.blocks import Fourier, mlp
from .backbones import Backbone, BackboneConfig


@dataclass(frozen=True, slots=True)
class Conditions:
    """What is known of each sample of a batch. Unknown numbers are 0 and so are their flags.

    Attributes
    ----------
    walls : Tensor, shape (batch, walls, ny, nx)
        What the latent grid knows of the walls.
    numbers, known : Tensor, shape (batch, numbers)
        Physical numbers in standard deviations from their mean, and which are given.
    pooled : Tensor, shape (batch, text)
        The prompt's embedding; zero where there is none.
    frame : Tensor, shape (batch, channels, ny, nx), optional
        The first frame's latents.
    tokens, mask : Tensor, shape (batch, length, text) and (batch, length), optional
        The prompt's tokens, for the transformer.
    """

    walls: Tensor
    numbers: Tensor
    known: Tensor
    pooled: Tensor
    frame: Tensor | None = None
    tokens: Tensor | None = None
    mask: Tensor | None = None

    @property
    def maps(self) -> Tensor:
        """Walls and first frame, (batch, maps, ny, nx)."""
        return self.walls if self.frame is None else torch.cat([self.walls, self.frame], dim=1)

    def rows(self, index: Tensor) -> Conditions:
        """Conditions of some samples, or of the same ones several times."""

        def pick(x: Tensor | None) -> Tensor | None:
            return None if x is None else x[index]

        return Conditions(
            self.walls[index],
            self.numbers[index],
            self.known[index],
            self.pooled[index],
            pick(self.frame),
            pick(self.tokens),
            pick(self.mask),
        )


@dataclass(frozen=True, slots=True)
class Sizes:
    """Shapes that a :class:`TwoPart` works with.

    Attributes
    ----------
    frames, channels, ny, nx : int
        Of the latents.
    walls, numbers, text : int
        Channels of the walls, count of numbers, width of the prompt's embedding.
    framed : bool
        Whether a first frame is given.
    """

    frames: int
    channels: int
    ny: int
    nx: int
    walls: int
    numbers: int
    text: int
    framed: bool

    @property
    def series(self) -> tuple[int, int, int]:
        """(time, ny, nx)."""
        return self.frames, self.ny, self.nx


class TwoPart(nn.Module):
    """Mean and residual of latents (batch, frames, channels, ny, nx) under conditions.

    Parameters
    ----------
    sizes : Sizes
    mean, residual : BackboneConfig
        Networks of the parts; without ``mean`` the second part is everything, as in the paper.
    process : Process
        How the residual turns into noise.
    condition : int
        Length of the condition vector.
    """

    spread: Tensor
    inflation: Tensor

    def __init__(
        self, sizes: Sizes, mean: BackboneConfig | None, residual: BackboneConfig, process: Process, condition: int = 64
    ) -> None:
        super().__init__()
        self.sizes, self.process = sizes, process
        maps = sizes.walls + (sizes.channels if sizes.framed else 0)
        known = 2 * sizes.numbers + sizes.text
        text = sizes.text if "dit" in (residual.kind, mean.kind if mean else "") else 0
        self.embed = mlp(max(known, 1), condition, condition)
        self.embed_residual = mlp(max(known, 1), condition, condition)
        self.embed_time = nn.Sequential(Fourier(32), mlp(32, condition, condition))
        self.mean = mean and Backbone(mean, 0, maps, sizes.channels, sizes.series, condition, text)
        self.residual = Backbone(residual, 2 * sizes.channels, maps, sizes.channels, sizes.series, condition, text)
        self.register_buffer("spread", torch.ones(sizes.frames, sizes.channels, 1, 1))
        self.register_buffer("inflation", torch.ones(()))

    def expected(self, given: Conditions) -> Tensor:
        """The mean (batch, frames, channels, ny, nx); the first frame, repeated, plus what the network makes of it."""
        start = self._start(given)
        if self.mean is None:
            return torch.zeros_like(start)
        change: Tensor = self.mean(None, given.maps, self.embed(_vector(given)), given.tokens, given.mask)
        return start + change

    def _start(self, given: Conditions) -> Tensor:
        s = self.sizes
        if given.frame is None:
            return given.walls.new_zeros(len(given.walls), s.frames, s.channels, s.ny, s.nx)
        return given.frame[:, None].expand(-1, s.frames, -1, -1, -1)

    def predict(self, x_t: Tensor, t: Tensor, mean: Tensor, given: Conditions) -> Tensor:
        """What the process asks of the network at time ``t`` (batch,), for scaled residuals ``x_t``."""
        vector = self.embed_residual(_vector(given)) + self.embed_time(t.to(x_t))
        series = torch.cat([x_t, mean], dim=2)
        out: Tensor = self.residual(series, given.maps, vector, given.tokens, given.mask)
        return out

    def residual_loss(self, latents: Tensor, mean: Tensor, given: Conditions, generator: torch.Generator) -> Tensor:
        """Mean square of what the network misses, for a batch of latents."""
        x = (latents - mean) / self.spread
        noise = torch.randn(x.shape, generator=generator).to(x)
        t = self.process.draw_times(len(x), generator).to(x)
        out = self.predict(self.process.corrupt(x, noise, t), t, mean, given)
        return (out - self.process.target(x, noise, t)).square().mean()

    @torch.no_grad()
    def draw(
        self, mean: Tensor, given: Conditions, noise: Tensor, *, sampler: str, steps: int, guidance: float = 1.0
    ) -> Tensor:
        """Sample latents around a mean.

        Parameters
        ----------
        mean, noise : Tensor, shape (batch, frames, channels, ny, nx)
        guidance : float
            Classifier-free guidance (Ho & Salimans 2022) against the conditions without numbers and prompt.
        """

        def model(x_t: Tensor, t: Tensor) -> Tensor:
            out = self.predict(x_t, t, mean, given)
            if guidance == 1.0:
                return out
            without = self.predict(x_t, t, mean, _without(given))
            return without + guidance * (out - without)

        x = sample(sampler, model, self.process, noise, steps)
        return mean + self.inflation * self.spread * x


def _vector(given: Conditions) -> Tensor:
    return torch.cat([given.numbers * given.known, given.known, given.pooled], dim=1)


def _without(given: Conditions) -> Conditions:
    """The same walls and first frame, and nothing else."""
    none = torch.zeros_like
    mask = None
    if given.mask is not None:  # attention needs one token that counts
        mask = none(given.mask)
        mask[:, 0] = True
    tokens = None if given.tokens is None else none(given.tokens)
    return Conditions(
        given.walls, none(given.numbers), none(given.known), none(given.pooled), given.frame, tokens, mask
    )
