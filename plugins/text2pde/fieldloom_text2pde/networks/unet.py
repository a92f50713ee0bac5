"""Convolutional U-Net with a condition vector (Ronneberger et al. 2015; FiLM as in Dhariwal & Nichol 2021).

Time steps of a trajectory are channels: on small budgets this beats a transformer over space-time tokens.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from .blocks import Attention, Down, Residual, Up, groups, zero_


class UNet(nn.Module):
    """Map (batch, inputs, ny, nx) to (batch, outputs, ny, nx); sides of any size.

    Parameters
    ----------
    inputs, outputs : int
        Channels.
    widths : tuple of int
        Channels at each resolution, the finest first; each level halves the grid.
    blocks : int
        Residual blocks a level.
    condition : int
        Length of the condition vector; 0 for none.
    attention : bool
        Self-attention at the coarsest level.
    dropout : float
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        widths: tuple[int, ...] = (64, 128),
        blocks: int = 2,
        condition: int = 0,
        attention: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()

        def level(before: int, width: int) -> nn.ModuleList:
            sizes = [before, *[width] * (blocks - 1)]
            return nn.ModuleList(Residual(size, width, condition, dropout) for size in sizes)

        pairs = list(pairwise(widths))
        self.enter = nn.Conv2d(inputs, widths[0], 3, padding=1)
        self.fine = nn.ModuleList(level(a, a) for a, _ in pairs)
        self.downs = nn.ModuleList(Down(a, b) for a, b in pairs)
        self.middle = level(widths[-1], widths[-1])
        self.attention = Attention(widths[-1]) if attention else nn.Identity()
        self.last = Residual(widths[-1], widths[-1], condition, dropout)
        self.ups = nn.ModuleList(Up(b, a) for a, b in reversed(pairs))
        self.coarse = nn.ModuleList(level(2 * a, a) for a, _ in reversed(pairs))
        self.leave = nn.Sequential(
            nn.GroupNorm(groups(widths[0]), widths[0]), nn.SiLU(), nn.Conv2d(widths[0], outputs, 3, padding=1)
        )
        zero_(self.leave[-1])

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        ny, nx = x.shape[-2:]
        whole = 2 ** len(self.downs)
        h = self.enter(nn.functional.pad(x, (0, -nx % whole, 0, -ny % whole), mode="replicate"))
        kept = []
        for blocks, down in zip(self.fine, self.downs, strict=True):
            h = _through(blocks, h, condition)
            kept.append(h)
            h = down(h)
        h = self.last(self.attention(_through(self.middle, h, condition)), condition)  # (batch, widths[-1], coarse)
        for blocks, up in zip(self.coarse, self.ups, strict=True):
            h = _through(blocks, torch.cat([up(h), kept.pop()], dim=1), condition)
        out: Tensor = self.leave(h)
        return out[..., :ny, :nx]  # (batch, outputs, ny, nx)


def _through(blocks: nn.Module, h: Tensor, condition: Tensor | None) -> Tensor:
    for block in blocks.children():
        h = block(h, condition)
    return h


class PatchedUNet(nn.Module):
    """A U-Net on patches of ``patch`` x ``patch`` cells: a quarter of the work at its finest level, for ``patch`` 2.

    Sides must be multiples of ``patch``. Arguments as those of :class:`UNet`.
    """

    def __init__(
        self, inputs: int, outputs: int, patch: int, widths: tuple[int, ...], blocks: int, condition: int
    ) -> None:
        super().__init__()
        self.patch = patch
        self.network = UNet(inputs * patch**2, outputs * patch**2, widths, blocks, condition)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        h = self.network(nn.functional.pixel_unshuffle(x, self.patch), condition)
        return nn.functional.pixel_shuffle(h, self.patch)
