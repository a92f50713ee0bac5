"""The multigrid cycle in torch: to train its parameters, and for GPUs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from ..hierarchy import coarsen, coarsening, dense
from ..kernels import torch_grid
from ..kernels.torch_grid import Level
from ..parameters import MultigridParameters, Values, textbook
from .base import DirectionModel
from .multigrid import overcorrection_of

NULL_SPACE = {torch.float32: 1e-6, torch.float64: 1e-12}
"""Eigenvalues of the coarsest matrix below this part of the largest are zero: constants of closed regions."""


class TorchMultigrid(DirectionModel):
    """The twin of :class:`.Multigrid` on tensors: batched, differentiable, on any device.

    Parameters
    ----------
    faces : sequence of Tensor
        Conductances (batch or 1, ..., n_k + 1 along axis k, ...), in the precision of the cycle.
    levels : sequence of Values
        Parameters of each level; coarser ones repeat the last.
    gamma : {1, 2}
        V- or W-cycle.
    spacing : sequence of float, optional
        Edge lengths of a cell, which decide along which axes cells are joined.
    """

    name: ClassVar[str] = "torch-multigrid"

    def __init__(
        self, faces: Sequence[Tensor], levels: Sequence[Values], gamma: int, spacing: Sequence[float] | None = None
    ) -> None:
        self.gamma = gamma
        self._levels, coarsest = build(faces, levels, spacing or (1.0,) * len(faces))
        self._inverse = torch.linalg.pinv(dense(coarsest, torch), rtol=NULL_SPACE[faces[0].dtype], hermitian=True)

    @classmethod
    def of(
        cls, faces: Sequence[Tensor], parameters: MultigridParameters | None = None, spacing: Sequence[float] = ()
    ) -> TorchMultigrid:
        """Make the cycle with given parameters, the textbook's if None."""
        values = parameters or textbook()
        values.check(len(faces))
        return cls(faces, values.levels, values.gamma, spacing or None)

    def __call__(self, r: Tensor) -> Tensor:
        """Return M r for r of shape (batch, *grid), in the precision of r."""
        dtype = self._inverse.dtype
        axes = tuple(range(1, r.ndim))
        size = torch.linalg.vector_norm(r, dim=axes, keepdim=True).clamp(min=torch.finfo(r.dtype).tiny)
        return self._cycle(0, None, (r / size).to(dtype)).to(r.dtype) * size

    def _cycle(self, number: int, x: Tensor | None, b: Tensor) -> Tensor:
        if number == len(self._levels):
            return (self._inverse @ b.flatten(1)[..., None])[..., 0].reshape(b.shape)
        level = self._levels[number]
        x = torch_grid.smooth(level, x, b, reverse=False)
        coarse_b = torch_grid.restrict_residual(level, x, b)
        coarse_x = None
        for _ in range(1 if number + 1 == len(self._levels) else self.gamma):
            coarse_x = self._cycle(number + 1, coarse_x, coarse_b)
        assert coarse_x is not None
        return torch_grid.smooth(level, torch_grid.prolong_add(level, coarse_x, x), b, reverse=True)


def build(
    faces: Sequence[Tensor], values: Sequence[Values], spacing: Sequence[float]
) -> tuple[list[Level], Sequence[Tensor]]:
    """Pool from the finest grid to the coarsest, as :func:`.multigrid.build`."""
    shape = [n - (k == 0) for k, n in enumerate(faces[0].shape[-len(faces) :])]
    levels = []
    for number, halved in enumerate(coarsening(shape, spacing)):
        level = values[min(number, len(values) - 1)]
        levels.append(torch_grid.make_level(faces, halved, level.omega))
        faces = coarsen(faces, halved, overcorrection_of(level), torch)
    return levels, faces


def faces_of(arrays: Sequence[np.ndarray[Any, Any]], dtype: torch.dtype = torch.float32) -> tuple[Tensor, ...]:
    """Make tensors (1, ...) of one system's conductances."""
    return tuple(torch.from_numpy(np.ascontiguousarray(w)).to(dtype)[None] for w in arrays)
