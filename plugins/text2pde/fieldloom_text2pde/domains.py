"""Where fields live: a mesh tied to a latent grid, or a grid; one description for all networks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .autoencoders.graph import MeshGraph
from .geometry import Box, Geometry


@dataclass(frozen=True, slots=True)
class MeshDomain:
    """A mesh, or any set of points, in the box of a model.

    Attributes
    ----------
    points : ndarray, shape (n, 2)
        Metres.
    geometry : Geometry
    graph : MeshGraph
        Its ties to the grid.
    """

    points: NDArray[np.float64]
    geometry: Geometry
    graph: MeshGraph

    @property
    def walls(self) -> Tensor:
        """What the grid knows of the walls, shape (FEATURES, ny, nx)."""
        return self.graph.grid_features


@dataclass(frozen=True, slots=True)
class GridDomain:
    """A uniform grid that fills the box of a model, with walls on all sides.

    Attributes
    ----------
    shape : tuple of int
        Cells (ny, nx).
    box : Box
    """

    shape: tuple[int, int]
    box: Box

    @property
    def walls(self) -> Tensor:
        """Position along y and x from -1 to 1, distance to the nearest side from 0 to 1, shape (3, ny, nx)."""
        y, x = torch.meshgrid(*(2 * (torch.arange(n) + 0.5) / n - 1 for n in self.shape), indexing="ij")
        return torch.stack([y, x, 1 - torch.maximum(y.abs(), x.abs())])


Domain = MeshDomain | GridDomain
