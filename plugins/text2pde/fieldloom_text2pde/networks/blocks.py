"""Building blocks shared by the networks: residual convolutions that listen to a condition, and resampling."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


def groups(channels: int, most: int = 8) -> int:
    """Number of groups for :class:`torch.nn.GroupNorm`: the largest divisor of ``channels`` up to ``most``."""
    return max(g for g in range(1, most + 1) if channels % g == 0)


class Residual(nn.Module):
    """Two 3 x 3 convolutions with a skip; a condition scales and shifts between them (FiLM, Perez et al. 2018).

    The last convolution starts at zero, so that the block starts as the identity (or its skip convolution).
    """

    def __init__(self, inputs: int, outputs: int, condition: int = 0, dropout: float = 0.0) -> None:
        super().__init__()
        self.first = nn.Sequential(
            nn.GroupNorm(groups(inputs), inputs), nn.SiLU(), nn.Conv2d(inputs, outputs, 3, padding=1)
        )
        self.norm = nn.GroupNorm(groups(outputs), outputs)
        self.second = nn.Sequential(nn.SiLU(), nn.Dropout(dropout), nn.Conv2d(outputs, outputs, 3, padding=1))
        self.skip = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()
        self.film = nn.Linear(condition, 2 * outputs) if condition else None
        zero_(self.second[-1])
        if self.film is not None:
            zero_(self.film)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        h = self.norm(self.first(x))  # (batch, outputs, y, x)
        if self.film is not None:
            scale, shift = self.film(condition)[..., None, None].chunk(2, dim=1)
            h = h * (1 + scale) + shift
        skip: Tensor = self.skip(x)
        return skip + self.second(h)  # (batch, outputs, y, x)


class Attention(nn.Module):
    """Self-attention over the points of a small grid; starts as the identity."""

    def __init__(self, channels: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(groups(channels), channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)
        zero_(self.out)

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, ny, nx = x.shape
        qkv = self.qkv(self.norm(x)).view(batch, 3, self.heads, channels // self.heads, ny * nx)
        q, k, v = qkv.transpose(-1, -2).unbind(1)  # (batch, heads, points, width)
        h = nn.functional.scaled_dot_product_attention(q, k, v)
        return x + self.out(h.transpose(-1, -2).reshape(batch, channels, ny, nx))


class Down(nn.Module):
    """Halve a grid by a strided convolution."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        h: Tensor = self.convolution(x)
        return h


class Up(nn.Module):
    """Double a grid: a convolution makes four values of each, which are shuffled into place."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, 4 * outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.pixel_shuffle(self.convolution(x), 2)


class Fourier(nn.Module):
    """Sines and cosines of a number at fixed frequencies (Vaswani et al. 2017), shape (batch,) to (batch, width)."""

    frequencies: Tensor

    def __init__(self, width: int, longest: float = 1.0, shortest: float = 1e-3) -> None:
        super().__init__()
        exponents = torch.linspace(math.log(1 / longest), math.log(1 / shortest), width // 2)
        self.register_buffer("frequencies", exponents.exp(), persistent=False)

    def forward(self, t: Tensor) -> Tensor:
        angles = t[:, None] * self.frequencies.to(t.dtype)
        return torch.cat([angles.sin(), angles.cos()], dim=1)


def mlp(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    """Two layers with a SiLU between them."""
    return nn.Sequential(nn.Linear(inputs, hidden), nn.SiLU(), nn.Linear(hidden, outputs))


def zero_(layer: nn.Module) -> None:
    """Set a layer's weights to zero."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)


def parameter_count(module: nn.Module) -> int:
    """Number of trained numbers."""
    return sum(p.numel() for p in module.parameters())
