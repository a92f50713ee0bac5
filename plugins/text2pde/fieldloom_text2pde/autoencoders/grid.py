"""Grid autoencoder: the same convolutions and the same interface, without a mesh before them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..domains import Domain, GridDomain
from ..geometry import Box
from .convolution import Decoder, Encoder

WALLS = 3
"""Channels of :attr:`~fieldloom_text2pde.domains.GridDomain.walls`."""


@dataclass(frozen=True, slots=True)
class GridAutoencoderConfig:
    """Sizes of a :class:`GridAutoencoder`.

    Attributes
    ----------
    fields : int
    low, high : tuple of float
        Corners of the grid's outline, metres.
    shape : tuple of int
        The data's (ny, nx).
    patch : int
        Cells of a side that become channels before the first convolution.
    widths : tuple of int
        Of the convolutions; each level halves the grid.
    latents, block : int
        Latent channels, and frames that share one latent frame.
    """

    fields: int
    low: tuple[float, float]
    high: tuple[float, float]
    shape: tuple[int, int]
    patch: int = 2
    widths: tuple[int, ...] = (48, 64)
    latents: int = 8
    block: int = 1

    @property
    def box(self) -> Box:
        """The grid's outline."""
        return Box(self.low, self.high)

    @property
    def latent_shape(self) -> tuple[int, int]:
        """The latents' (ny, nx)."""
        factor = self.patch * 2 ** (len(self.widths) - 1)
        return self.shape[0] // factor, self.shape[1] // factor

    def to_json(self) -> dict[str, Any]:
        """Plain values, for :meth:`from_json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> GridAutoencoderConfig:
        """Undo :meth:`to_json`."""
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})


class GridAutoencoder(nn.Module):
    """Encode (time, ny * nx, fields) to (time', latents, ny', nx') and back.

    Raises
    ------
    ValueError
        If the grid's sides are no multiples of what the convolutions divide them by.
    """

    def __init__(self, config: GridAutoencoderConfig) -> None:
        super().__init__()
        self.config = c = config
        factor = c.patch * 2 ** (len(c.widths) - 1)
        if c.shape[0] % factor or c.shape[1] % factor:
            raise ValueError(f"a grid of {c.shape[0]} x {c.shape[1]} cells does not divide by {factor}; resample it")
        self.encoder = Encoder((c.fields + WALLS) * c.patch**2, c.widths, c.latents, c.block)
        self.decoder = Decoder(c.fields * c.patch**2, c.widths, c.latents, WALLS, c.block)

    def domain(self) -> GridDomain:
        """The grid that it was made for."""
        return GridDomain(self.config.shape, self.config.box)

    def encode(self, fields: Sequence[Tensor], domains: Sequence[Domain]) -> tuple[Tensor, Tensor]:
        """Moments of the latents, each (batch, time', latents, ny', nx')."""
        frames = frames_of(torch.stack(list(fields)), self.config.shape)  # (batch, time, fields, ny, nx)
        walls = torch.stack([d.walls for d in domains]).to(frames)[:, None].expand(-1, frames.shape[1], -1, -1, -1)
        return self.encoder(nn.functional.pixel_unshuffle(torch.cat([frames, walls], dim=2), self.config.patch))

    def decode(self, latents: Tensor, domains: Sequence[Domain]) -> list[Tensor]:
        """Fields (time, ny * nx, fields) of each sample."""
        walls = torch.stack([d.walls for d in domains]).to(latents)
        frames = nn.functional.pixel_shuffle(self.decoder(latents, walls), self.config.patch)
        return list(points_of(frames))


def frames_of(values: Tensor, shape: tuple[int, int]) -> Tensor:
    """Turn points into pictures: (..., ny * nx, fields) to (..., fields, ny, nx)."""
    return values.transpose(-1, -2).unflatten(-1, shape)


def points_of(frames: Tensor) -> Tensor:
    """Turn pictures into points: (..., fields, ny, nx) to (..., ny * nx, fields)."""
    return frames.flatten(-2).transpose(-1, -2)
