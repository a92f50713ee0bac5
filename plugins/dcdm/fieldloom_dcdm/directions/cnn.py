"""The convolutional direction model of the DCDM paper."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ..errors import WrongDimension
from ..kernels.numba_grid import unpad
from ..problem import Poisson
from .base import DirectionModel


@dataclass(frozen=True, slots=True)
class CnnConfig:
    """Sizes of the network; the defaults are the paper's for grids of 64 cells.

    Parameters
    ----------
    dimension : {2, 3}
    channels : int
    fine_blocks, coarse_blocks, up_blocks : int
        Residual blocks on the grid, on the half grid, and on the grid again.
    sees_mask : bool
        Whether the mask is a second input; the paper's network does not see it.
    """

    dimension: int = 2
    channels: int = 16
    fine_blocks: int = 2
    coarse_blocks: int = 3
    up_blocks: int = 2
    sees_mask: bool = False


class ResidualBlock(nn.Module):
    """Two convolutions of width 3 with ReLU, added to their input."""

    def __init__(self, dimension: int, channels: int) -> None:
        super().__init__()
        self.first = _convolution(dimension, channels, channels)
        self.second = _convolution(dimension, channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        inner = functional.relu(self.first(x))  # (batch, channels, *grid)
        result: Tensor = x + functional.relu(self.second(inner))  # (batch, channels, *grid)
        return result


def _convolution(dimension: int, inputs: int, outputs: int) -> nn.Module:
    kind = nn.Conv2d if dimension == 2 else nn.Conv3d
    return kind(inputs, outputs, 3, padding=1)


def _blocks(number: int, config: CnnConfig) -> nn.Sequential:
    return nn.Sequential(*(ResidualBlock(config.dimension, config.channels) for _ in range(number)))


class DirectionNetwork(nn.Module):
    """A U of one level: grid, half grid, grid; a last linear layer in each cell.

    References
    ----------
    Kaneda et al., "A Deep Conjugate Direction Method for Iteratively Solving Linear Systems", ICML 2023, figure 2.
    """

    def __init__(self, config: CnnConfig) -> None:
        super().__init__()
        self.config = config
        self.first = _convolution(config.dimension, 1 + config.sees_mask, config.channels)
        self.fine = _blocks(config.fine_blocks, config)
        self.coarse = _blocks(config.coarse_blocks, config)
        self.up = _blocks(config.up_blocks, config)
        self.last = (nn.Conv2d if config.dimension == 2 else nn.Conv3d)(config.channels, 1, 1)

    def forward(self, r: Tensor, mask: Tensor) -> Tensor:
        """Map residuals of norm 1 to directions; both arguments and the result have shape (batch, *grid)."""
        pool = functional.avg_pool2d if self.config.dimension == 2 else functional.avg_pool3d
        inputs = torch.stack([r, mask], 1) if self.config.sees_mask else r[:, None]  # (batch, 1 or 2, *grid)
        scale = float(np.sqrt(np.prod(r.shape[1:])))  # inputs of size one, whatever the grid
        fine = self.fine(self.first(scale * inputs if not self.config.sees_mask else _scaled(inputs, scale)))
        coarse = self.coarse(pool(fine, 2, ceil_mode=True))  # (batch, channels, *half grid)
        above = functional.interpolate(coarse, size=fine.shape[2:])  # (batch, channels, *grid)
        result: Tensor = self.last(self.up(fine + above))[:, 0] * mask  # (batch, *grid)
        return result


def _scaled(inputs: Tensor, scale: float) -> Tensor:
    """Scale the residual, not the mask."""
    return torch.cat([scale * inputs[:, :1], inputs[:, 1:]], 1)


class Cnn(DirectionModel):
    """A trained :class:`DirectionNetwork`, evaluated on r / ||r||.

    Parameters
    ----------
    problem : Poisson
    network : DirectionNetwork
    threads : int

    Raises
    ------
    WrongDimension
        If the network is for grids of another dimension.
    """

    name: ClassVar[str] = "cnn"
    linear: ClassVar[bool] = False
    symmetric: ClassVar[bool] = False
    positive_definite: ClassVar[bool] = False

    def __init__(self, problem: Poisson, network: DirectionNetwork, threads: int = 1) -> None:
        if network.config.dimension != problem.ndim:
            raise WrongDimension(
                f"the network is for {network.config.dimension}D grids, and the problem is {problem.ndim}D"
            )
        self._network = network.eval()
        self._threads = threads
        self._mask = torch.from_numpy(problem.mask.astype(np.float32))[None]
        self._out = np.zeros([n + 2 for n in problem.shape], np.float32)

    @torch.no_grad()
    def __call__(self, r: NDArray[Any]) -> NDArray[np.float32]:
        size = float(np.linalg.norm(r))
        if size == 0.0:
            return np.zeros(r.shape, np.float32)
        before = torch.get_num_threads()
        torch.set_num_threads(self._threads)
        unit = torch.from_numpy((unpad(r) / size).astype(np.float32))[None]
        unpad(self._out)[...] = self._network(unit, self._mask)[0].numpy()
        torch.set_num_threads(before)
        return self._out
