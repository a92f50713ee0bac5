"""A geometry-informed neural operator (GINO, Li et al., NeurIPS 2023): mesh to grid, FNO there, grid to mesh."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..autoencoders.graph import KernelTransfer
from ..domains import Domain, MeshDomain
from ..geometry import FEATURES
from ..networks.blocks import mlp
from ..networks.fno import FNO


class MeshOperator(nn.Module):
    """Map first frames (n_i, fields) on meshes to differences of all later frames (time, n_i, fields).

    It sees the walls through the same features as our autoencoder, and its velocities vanish on them alike.

    Parameters
    ----------
    fields, frames : int
        Channels, and frames to predict.
    shape : tuple of int
        The grid's (ny, nx).
    numbers : int
        Length of the vector of numbers.
    sticking : sequence of int
        Channels that vanish on walls.
    """

    stays: Tensor

    def __init__(
        self,
        fields: int,
        frames: int,
        shape: tuple[int, int],
        numbers: int,
        sticking: Sequence[int],
        width: int = 48,
        channels: int = 4,
    ) -> None:
        super().__init__()
        self.frames, self.shape, self.channels, self.fields = frames, shape, channels, fields
        self.lift = nn.Linear(fields + FEATURES, 6)
        self.gather = KernelTransfer(8, 32)
        self.operator = FNO(48 + FEATURES, frames * channels, width, modes=8, condition=max(numbers, 1))
        self.scatter = KernelTransfer(2, 32)
        self.head = mlp(2 * channels + FEATURES, 64, fields)
        stays = torch.zeros(fields)
        stays[list(sticking)] = 1.0
        self.register_buffer("stays", stays, persistent=False)

    def forward(self, first: Sequence[Tensor], domains: Sequence[Domain], numbers: Tensor) -> list[Tensor]:
        grids = torch.stack([self._onto_grid(f, d) for f, d in zip(first, domains, strict=True)])
        out = self.operator(grids, numbers if numbers.shape[1] else grids.new_zeros(len(grids), 1))
        series = out.unflatten(1, (self.frames, self.channels))
        return [self._onto_mesh(s, f, d) for s, f, d in zip(series, first, domains, strict=True)]

    def _onto_grid(self, first: Tensor, domain: Domain) -> Tensor:
        assert isinstance(domain, MeshDomain)
        graph = domain.graph
        lifted = self.lift(torch.cat([first, graph.node_features], dim=-1))[:, None]
        carried = self.gather(lifted, graph.into_grid)[:, 0]  # (ny * nx, 48)
        return torch.cat([carried.T.unflatten(1, self.shape), graph.grid_features])

    def _onto_mesh(self, series: Tensor, first: Tensor, domain: Domain) -> Tensor:
        assert isinstance(domain, MeshDomain)
        graph = domain.graph
        values = series.flatten(2).permute(2, 0, 1)  # (ny * nx, frames, channels)
        carried = self.scatter(values, graph.out_of_grid)  # (n, frames, 2 * channels)
        seen = graph.node_features[:, None].expand(-1, self.frames, -1)
        change = self.head(torch.cat([carried, seen], dim=-1)).transpose(0, 1)
        factor = 1 - self.stays * (1 - graph.no_slip[:, None])
        return first + change * factor
