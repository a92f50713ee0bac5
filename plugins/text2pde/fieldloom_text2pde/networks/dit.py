"""Diffusion transformer over space-time patches (Peebles & Xie 2023; cross-attention as in Zhou et al. 2025, 3.3).

Every block: self-attention and a perceptron, each scaled, shifted and gated by the condition vector, the gates starting
at zero (adaLN-zero); between them cross-attention to the prompt's tokens. Unlike the paper's code, filling among those
tokens is masked in attention, not only in their mean.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .blocks import mlp, zero_


class DiT(nn.Module):
    """Map series (batch, time, inputs, ny, nx) to (batch, time, outputs, ny, nx).

    Parameters
    ----------
    inputs, outputs : int
        Channels of a frame.
    size : tuple of int
        The series' (time, ny, nx).
    patch : tuple of int
        Values that make a token, along time, y and x; sizes that are no multiples are filled.
    width, depth, heads : int
    condition : int
        Length of the condition vector.
    text : int
        Width of the prompt's tokens; 0 for none.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        size: tuple[int, int, int],
        patch: tuple[int, int, int] = (2, 2, 2),
        width: int = 128,
        depth: int = 4,
        heads: int = 4,
        condition: int = 64,
        text: int = 0,
    ) -> None:
        super().__init__()
        self.outputs, self.size, self.patch = outputs, size, patch
        self.counts = tuple(-(-n // p) for n, p in zip(size, patch, strict=True))
        volume = patch[0] * patch[1] * patch[2]
        self.enter = nn.Linear(inputs * volume, width)
        places = self.counts[0] * self.counts[1] * self.counts[2]
        self.place = nn.Parameter(0.02 * torch.randn(places, width))
        self.blocks = nn.ModuleList(Block(width, heads, condition, text) for _ in range(depth))
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.modulation = nn.Linear(condition, 2 * width)
        self.leave = nn.Linear(width, outputs * volume)
        zero_(self.modulation)
        zero_(self.leave)

    def forward(self, x: Tensor, condition: Tensor, text: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        h = self.enter(self._patches(x)) + self.place  # (batch, tokens, width)
        for block in self.blocks:
            h = block(h, condition, text, mask)
        scale, shift = self.modulation(nn.functional.silu(condition))[:, None].chunk(2, dim=-1)
        return self._series(self.leave(self.norm(h) * (1 + scale) + shift))  # (batch, time, outputs, ny, nx)

    def _patches(self, x: Tensor) -> Tensor:
        """Tokens (batch, tokens, inputs * volume) of a series."""
        fill = [m * p - n for n, m, p in zip(self.size, self.counts, self.patch, strict=True)]
        x = nn.functional.pad(x.transpose(1, 2), (0, fill[2], 0, fill[1], 0, fill[0]))  # (batch, inputs, t, y, x)
        for axis, p in zip((2, 4, 6), self.patch, strict=True):
            x = x.unflatten(axis, (-1, p))  # (batch, inputs, t, pt, y, py, x, px)
        return x.permute(0, 2, 4, 6, 1, 3, 5, 7).flatten(4).flatten(1, 3)

    def _series(self, tokens: Tensor) -> Tensor:
        """Undo :meth:`_patches`."""
        t, y, x = self.counts
        h = tokens.view(len(tokens), t, y, x, self.outputs, *self.patch)
        h = h.permute(0, 1, 5, 4, 2, 6, 3, 7).reshape(
            len(tokens), t * self.patch[0], self.outputs, y * self.patch[1], x * self.patch[2]
        )
        return h[:, : self.size[0], :, : self.size[1], : self.size[2]]


class Block(nn.Module):
    """One layer of :class:`DiT`."""

    def __init__(self, width: int, heads: int, condition: int, text: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.qkv = nn.Linear(width, 3 * width)
        self.mix = nn.Linear(width, width)
        self.perceptron = mlp(width, 4 * width, width)
        self.modulation = nn.Linear(condition, 6 * width)
        zero_(self.modulation)
        if text:
            self.text_norm = nn.LayerNorm(width)
            self.query, self.key_value = nn.Linear(width, width), nn.Linear(text, 2 * width)
            self.text_mix = nn.Linear(width, width)
            zero_(self.text_mix)

    def forward(self, h: Tensor, condition: Tensor, text: Tensor | None, mask: Tensor | None) -> Tensor:
        parts = self.modulation(nn.functional.silu(condition))[:, None].chunk(6, dim=-1)
        scale, shift, gate, scale2, shift2, gate2 = parts
        q, k, v = self.qkv(self.norm(h) * (1 + scale) + shift).chunk(3, dim=-1)
        h = h + gate * self.mix(self._attend(q, k, v, None))
        if text is not None:
            k, v = self.key_value(text).chunk(2, dim=-1)
            h = h + self.text_mix(self._attend(self.query(self.text_norm(h)), k, v, mask))
        h = h + gate2 * self.perceptron(self.norm(h) * (1 + scale2) + shift2)
        return h  # (batch, tokens, width)

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        """Attention by heads; ``mask`` (batch, length) is True on tokens that count."""
        q, k, v = (x.unflatten(-1, (self.heads, -1)).transpose(1, 2) for x in (q, k, v))
        seen = None if mask is None else mask[:, None, None, :]
        out = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=seen)
        return out.transpose(1, 2).flatten(2)
