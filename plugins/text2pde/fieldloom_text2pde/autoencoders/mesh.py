"""Mesh autoencoder: fields on any mesh to latents on a uniform grid, and back to any points.

After the encoder of Zhou et al. (2025), section 3.1, with what experiments on wakes asked for: features of the walls at
both ends of every edge and at every level of the decoder, velocities that vanish on walls by construction, neighbour
lists of fixed width in place of balls, kernels evaluated once a mesh rather than once a frame.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..domains import Domain, MeshDomain
from ..geometry import FEATURES, Box, Geometry
from ..networks.blocks import mlp
from .convolution import Decoder, Encoder
from .graph import KernelTransfer, carry_mixed, mesh_graph

AT_ONCE = 16
"""Frames of an ensemble that are decoded together: more would leave the caches, in new memory each time."""


@dataclass(frozen=True, slots=True)
class MeshAutoencoderConfig:
    """Sizes of a :class:`MeshAutoencoder`.

    Attributes
    ----------
    fields : int
        Channels on the nodes.
    velocity : tuple of int
        Channels that vanish on walls.
    low, high : tuple of float
        Corners of the box that the latent grid fills, metres.
    shape : tuple of int
        The grid's (ny, nx) that kernels reach, before the convolutions halve it.
    lifted, heads_in, heads_out, hidden : int
        Channels that each head of the kernel carries into the grid, heads in and out, width of the kernel networks.
    channels : int
        Channels that nodes take out of the grid, a head.
    widths : tuple of int
        Of the convolutions.
    latents, block : int
        Latent channels, and frames that share one latent frame.
    k_in, k_out : int
        Neighbours.
    layer : float
        Distance from a wall at which a velocity may reach 0.76 of its free value, metres.
    """

    fields: int
    velocity: tuple[int, ...]
    low: tuple[float, float]
    high: tuple[float, float]
    shape: tuple[int, int] = (12, 48)
    lifted: int = 6
    heads_in: int = 8
    heads_out: int = 2
    hidden: int = 32
    channels: int = 32
    widths: tuple[int, ...] = (40, 56)
    latents: int = 8
    block: int = 1
    k_in: int = 16
    k_out: int = 9
    layer: float = 0.01

    @property
    def box(self) -> Box:
        """The box that the latent grid fills."""
        return Box(self.low, self.high)

    @property
    def latent_shape(self) -> tuple[int, int]:
        """The latents' (ny, nx)."""
        half = 2 ** (len(self.widths) - 1)
        return -(-self.shape[0] // half), -(-self.shape[1] // half)

    def to_json(self) -> dict[str, Any]:
        """Plain values, for :meth:`from_json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> MeshAutoencoderConfig:
        """Undo :meth:`to_json`."""
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})


class MeshAutoencoder(nn.Module):
    """Encode (time, n, fields) on any mesh to (time', latents, ny', nx'), and decode at any points.

    Fields are scaled by the caller.
    """

    def __init__(self, config: MeshAutoencoderConfig) -> None:
        super().__init__()
        self.config = c = config
        self.lift = nn.Linear(c.fields + FEATURES, c.lifted)
        self.gather = KernelTransfer(c.heads_in, c.hidden)
        self.encoder = Encoder(c.heads_in * c.lifted + FEATURES, c.widths, c.latents, c.block)
        self.decoder = Decoder(c.channels, c.widths, c.latents, FEATURES, c.block)
        self.scatter = KernelTransfer(c.heads_out, c.hidden)
        wide = c.heads_out * c.channels
        self.linear = nn.Linear(wide, c.fields)
        self.head = mlp(wide + FEATURES, 2 * c.channels, c.fields)
        stays = torch.zeros(c.fields)
        stays[list(c.velocity)] = 1.0
        self.register_buffer("stays", stays, persistent=False)

    stays: Tensor

    def domain(self, points: NDArray[np.float64], geometry: Geometry) -> MeshDomain:
        """Tie points to the grid.

        Parameters
        ----------
        points : ndarray, shape (n, 2)
            Nodes of a mesh, or any points at which fields are wanted, metres.
        """
        c = self.config
        graph = mesh_graph(points, geometry, c.shape, k_in=c.k_in, k_out=c.k_out, layer=c.layer)
        return MeshDomain(points, geometry, graph.to(self.stays.device))

    def encode(self, fields: Sequence[Tensor], domains: Sequence[Domain]) -> tuple[Tensor, Tensor]:
        """Moments of the latents, each (batch, time', latents, ny', nx').

        Parameters
        ----------
        fields : sequence of Tensor, shape (time, n_i, fields)
            One for each mesh; meshes may all differ.
        """
        return self.encoder(torch.stack([self._onto_grid(f, d) for f, d in zip(fields, domains, strict=True)]))

    def _onto_grid(self, fields: Tensor, domain: Domain) -> Tensor:
        assert isinstance(domain, MeshDomain)
        graph, time = domain.graph, len(fields)
        seen = graph.node_features[:, None].expand(-1, time, -1)
        lifted = self.lift(torch.cat([fields.transpose(0, 1), seen], dim=-1))  # (n, time, lifted)
        carried = self.gather(lifted, graph.into_grid)  # (ny * nx, time, heads * lifted)
        frames = carried.permute(1, 2, 0).unflatten(2, self.config.shape)
        return torch.cat([frames, graph.grid_features.expand(time, -1, -1, -1)], dim=1)

    def decode(self, latents: Tensor, domains: Sequence[Domain]) -> list[Tensor]:
        """Fields (time, n_i, fields) at the points of each domain.

        Parameters
        ----------
        latents : Tensor, shape (batch, time', latents, ny', nx')
        """
        if all(d is domains[0] for d in domains):  # an ensemble
            return list(self._ensemble(latents.flatten(0, 1), domains[0]).unflatten(0, (len(latents), -1)))
        frames = self.decoder(latents, torch.stack([d.walls for d in domains]))
        return [self._points_of(d)(f) for f, d in zip(frames, domains, strict=True)]

    def _ensemble(self, latents: Tensor, domain: Domain) -> Tensor:
        """Fields (frames, n, fields) of latents (frames', latents, ny', nx'), in pieces that stay in the caches."""
        points, walls = self._points_of(domain), domain.walls[None]
        pieces = latents.split(max(1, AT_ONCE // self.config.block))
        return torch.cat([points(self.decoder(piece[None], walls)[0]) for piece in pieces])

    def _points_of(self, domain: Domain) -> Callable[[Tensor], Tensor]:
        """What takes frames (time, channels, ny, nx) to the points of a domain (time, n, fields).

        Kernels are evaluated once, here.
        """
        assert isinstance(domain, MeshDomain)
        graph, index = domain.graph, domain.graph.out_of_grid.index
        weights, (first, _, last) = self.scatter.weights(graph.out_of_grid), self.head
        wide = self.linear.in_features
        carried, seen = first.weight[:, :wide], first.weight[:, wide:]
        walls = nn.functional.linear(graph.node_features, seen, first.bias)[:, None]  # the same in all frames
        factor = 1 - self.stays * (1 - graph.no_slip[:, None])  # (n, fields)

        def points(frames: Tensor) -> Tensor:
            values = frames.flatten(2).permute(2, 0, 1).contiguous()  # (ny * nx, time, channels)
            hidden = nn.functional.silu(carry_mixed(values, weights, index, carried).add_(walls))  # (n, time, hidden)
            straight = carry_mixed(values, weights, index, self.linear.weight).add_(self.linear.bias)
            return (straight + last(hidden)).transpose(0, 1) * factor

        return points
