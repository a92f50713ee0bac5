"""Graph kernels between any mesh and a uniform grid, without a compiled extension.

Each grid point looks at its K nearest nodes and each node at its K nearest grid points: fixed-width neighbour lists
from a k-d tree, made once a mesh. What passes is ``sum_k kernel(edge_k) * f(neighbour_k)`` (Li et al. 2020, Graph
Kernel Networks), the kernel a small network of the edge's geometry. Geometry does not change over time: the kernel is
evaluated once and used for all frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor, nn

from ..geometry import FEATURES, Geometry
from ..networks.blocks import mlp

EDGE_FEATURES = 4 + 2 * FEATURES


@dataclass(frozen=True, slots=True)
class Edges:
    """Neighbour lists of one set of targets.

    Attributes
    ----------
    index : Tensor of int64, shape (targets, k)
        Numbers of the sources.
    features : Tensor, shape (targets, k, EDGE_FEATURES)
        Offset in grid steps, its length and square, and the geometry features of both ends.
    """

    index: Tensor
    features: Tensor

    def to(self, device: torch.device | str) -> Edges:
        """Move to a device."""
        return Edges(self.index.to(device), self.features.to(device))


def edges_between(
    sources: NDArray[np.float64],
    targets: NDArray[np.float64],
    source_features: NDArray[np.float64],
    target_features: NDArray[np.float64],
    step: NDArray[np.float64],
    k: int,
) -> Edges:
    """List the ``k`` nearest sources of each target.

    Parameters
    ----------
    sources : ndarray, shape (n, 2)
    targets : ndarray, shape (m, 2)
    source_features, target_features : ndarray, shape (n or m, FEATURES)
    step : ndarray, shape (2,)
        The grid's step, in which offsets are measured.
    """
    _, index = cKDTree(sources / step).query(targets / step, k=min(k, len(sources)))
    index = index.reshape(len(targets), -1)
    offset = (sources[index] - targets[:, None]) / step  # (m, k, 2)
    square = (offset**2).sum(-1, keepdims=True)
    repeated = np.broadcast_to(target_features[:, None], (*index.shape, FEATURES))
    features = np.concatenate([offset, np.sqrt(square), square, source_features[index], repeated], axis=-1)
    return Edges(torch.from_numpy(index.astype(np.int64)), torch.from_numpy(features.astype(np.float32)))


@dataclass(frozen=True, slots=True)
class MeshGraph:
    """Everything that the autoencoder needs to know of one mesh.

    Attributes
    ----------
    into_grid : Edges
        Nodes to grid points.
    out_of_grid : Edges
        Grid points to nodes.
    node_features : Tensor, shape (n, FEATURES)
    grid_features : Tensor, shape (FEATURES, ny, nx)
    no_slip : Tensor, shape (n,)
        Factor of the velocity: 0 on walls, 1 away from them.
    """

    into_grid: Edges
    out_of_grid: Edges
    node_features: Tensor
    grid_features: Tensor
    no_slip: Tensor

    def to(self, device: torch.device | str) -> MeshGraph:
        """Move to a device."""
        moved = (self.node_features.to(device), self.grid_features.to(device), self.no_slip.to(device))
        return MeshGraph(self.into_grid.to(device), self.out_of_grid.to(device), *moved)


def mesh_graph(
    points: NDArray[np.float64], geometry: Geometry, shape: tuple[int, int], *, k_in: int, k_out: int, layer: float
) -> MeshGraph:
    """Connect a mesh to the grid.

    Parameters
    ----------
    points : ndarray, shape (n, 2)
        Nodes, or any points at which fields are wanted.
    geometry : Geometry
    shape : tuple of int
        The grid's (ny, nx).
    k_in, k_out : int
        Nodes that a grid point looks at, and grid points that a node looks at.
    layer : float
        Distance over which the no-slip factor rises to 0.76, metres.
    """
    grid = geometry.box.centres(*shape)
    step = geometry.box.size / np.array([shape[1], shape[0]])
    at_nodes, at_grid = geometry.features(points), geometry.features(grid)
    return MeshGraph(
        edges_between(points, grid, at_nodes, at_grid, step, k_in),
        edges_between(grid, points, at_grid, at_nodes, step, k_out),
        torch.from_numpy(at_nodes.astype(np.float32)),
        torch.from_numpy(at_grid.T.reshape(FEATURES, *shape).astype(np.float32)),
        torch.from_numpy(np.tanh(geometry.wall_distance(points) / layer).astype(np.float32)),
    )


class KernelTransfer(nn.Module):
    """Carry features along edges, once for each head: ``out_ih = sum_k softmax_k(a_h(e_ik)) (1 + b_h(e_ik)) f_k``.

    The softmax makes the weights a partition of unity, so that constants pass and the start is an interpolation; the
    factor lets heads see gradients.
    """

    def __init__(self, heads: int, hidden: int) -> None:
        super().__init__()
        self.kernel = mlp(EDGE_FEATURES, hidden, 2 * heads)
        self.sharpness = nn.Parameter(torch.linspace(0.5, 4.0, heads))

    def weights(self, edges: Edges) -> Tensor:
        """Weights of the edges, shape (targets, heads, k)."""
        score, factor = self.kernel(edges.features).chunk(2, dim=-1)
        score = score - self.sharpness * edges.features[..., 3:4]
        return (score.softmax(dim=1) * (1 + factor)).transpose(1, 2)

    def forward(self, values: Tensor, edges: Edges) -> Tensor:
        return carry(values, self.weights(edges), edges.index)  # (targets, time, heads * channels)


def carry(values: Tensor, weights: Tensor, index: Tensor) -> Tensor:
    """Add up what each target's neighbours have, times their weights, without ever gathering it.

    Parameters
    ----------
    values : Tensor, shape (sources, time, channels)
    weights : Tensor, shape (targets, heads, k)
    index : Tensor of int64, shape (targets, k)
        Numbers of the sources.

    Returns
    -------
    Tensor, shape (targets, time, heads * channels)
    """
    heads = [_weighted_sums(values, w, index) for w in weights.unbind(dim=1)]
    return torch.stack(heads, dim=2).flatten(2)


def carry_mixed(values: Tensor, weights: Tensor, index: Tensor, matrix: Tensor) -> Tensor:
    """Multiply what :func:`carry` returns by a matrix, faster where there are fewer sources than targets.

    The matrix is applied to the sources, each head's part of it, and the heads are added up with the neighbours.

    Parameters
    ----------
    matrix : Tensor, shape (outputs, heads * channels)

    Returns
    -------
    Tensor, shape (targets, time, outputs)
    """
    heads, sources, channels = weights.shape[1], len(values), values.shape[2]
    parts = matrix.view(-1, heads, channels).permute(1, 2, 0)  # (heads, channels, outputs)
    mixed = values.flatten(0, 1) @ parts  # (heads, sources * time, outputs)
    shifted = index[:, None] + sources * torch.arange(heads, device=index.device)[:, None]  # (targets, heads, k)
    return _weighted_sums(mixed.view(heads * sources, *values.shape[1:2], -1), weights.flatten(1), shifted.flatten(1))


def _weighted_sums(values: Tensor, weights: Tensor, index: Tensor) -> Tensor:
    """``sum_k weights_ik values[index_ik]``, shape (targets, time, channels)."""
    table = values.flatten(1).contiguous()  # rows that are not contiguous take ten times as long
    weights = weights.to(table).contiguous()
    sums = nn.functional.embedding_bag(index, table, mode="sum", per_sample_weights=weights)
    return sums.view(len(index), *values.shape[1:])
