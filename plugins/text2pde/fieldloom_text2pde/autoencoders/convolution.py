"""The convolutional autoencoder on a uniform grid, of meshes and grids: space frame by frame, then time in blocks."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from ..networks.blocks import Down, Residual, Up, groups


class Encoder(nn.Module):
    """Map frames (batch, time, inputs, ny, nx) to moments of latents (batch, time / block, latents, ny', nx').

    Parameters
    ----------
    inputs : int
        Channels of a frame.
    widths : tuple of int
        Channels at each resolution, the finest first; each level halves the grid.
    latents : int
        Latent channels.
    block : int
        Frames that share one latent frame; the number of frames must be a multiple.
    """

    def __init__(self, inputs: int, widths: tuple[int, ...], latents: int, block: int = 1) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(inputs, widths[0], 1), Residual(widths[0], widths[0])]
        for a, b in pairwise(widths):
            layers += [Down(a, b), Residual(b, b)]
        self.space = nn.Sequential(*layers)
        wide = widths[-1] * block
        mixed = wide if block == 1 else 2 * widths[-1]
        self.time = nn.Sequential(Residual(wide, mixed), Residual(mixed, mixed)) if block > 1 else nn.Identity()
        self.moments = nn.Sequential(nn.GroupNorm(groups(mixed), mixed), nn.SiLU(), nn.Conv2d(mixed, 2 * latents, 1))
        self.block = block

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        batch, time = frames.shape[:2]
        h = self.space(frames.flatten(0, 1))  # (batch * time, width, ny', nx')
        h = h.reshape(batch * time // self.block, -1, *h.shape[-2:])
        h = self.moments(self.time(h))
        mean, log_variance = h.view(batch, time // self.block, *h.shape[1:]).chunk(2, dim=2)
        return mean, log_variance.clamp(-12.0, 4.0)


class Decoder(nn.Module):
    """Map latents back to feature frames (batch, time, outputs, ny, nx); the domain's walls are seen at every level."""

    def __init__(self, outputs: int, widths: tuple[int, ...], latents: int, walls: int, block: int = 1) -> None:
        super().__init__()
        last = widths[-1]
        mixed = last if block == 1 else 2 * last
        self.enter = nn.Conv2d(latents, mixed, 3, padding=1)
        layers = [Residual(mixed, mixed), Residual(mixed, last * block)] if block > 1 else []
        self.time = nn.Sequential(*layers)
        sizes = widths[::-1]
        self.ups = nn.ModuleList(Up(a, b) for a, b in pairwise(sizes))
        self.walls = nn.ModuleList(nn.Conv2d(walls, size, 1) for size in sizes)
        self.blocks = nn.ModuleList(Residual(size, size) for size in sizes)
        first = widths[0]
        self.leave = nn.Sequential(nn.GroupNorm(groups(first), first), nn.SiLU(), nn.Conv2d(first, outputs, 1))
        self.block = block

    def forward(self, latents: Tensor, walls: Tensor) -> Tensor:
        batch, time = latents.shape[:2]
        h = self.time(self.enter(latents.flatten(0, 1)))
        h = h.reshape(batch * time * self.block, -1, *h.shape[-2:])
        for i, (block, seen) in enumerate(zip(self.blocks, self.walls, strict=True)):
            if i:
                h = self.ups[i - 1](h)
            coarse = nn.functional.adaptive_avg_pool2d(walls, h.shape[-2:])
            h = block(h + seen(coarse).repeat_interleave(time * self.block, dim=0))
        h = self.leave(h)
        return h.view(batch, time * self.block, *h.shape[1:])


def divergence_from_normal(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Kullback-Leibler divergence of the latents from a standard normal, summed over a sample, mean over samples."""
    terms = mean**2 + log_variance.exp() - 1 - log_variance
    return 0.5 * terms.flatten(1).sum(dim=1).mean()


def draw(mean: Tensor, log_variance: Tensor, generator: torch.Generator) -> Tensor:
    """Sample latents (Kingma & Welling 2014, equation 10)."""
    noise = torch.randn(mean.shape, generator=generator).to(mean)
    return mean + noise * (0.5 * log_variance).exp()
