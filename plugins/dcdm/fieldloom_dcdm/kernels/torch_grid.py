"""Levels of a multigrid cycle in torch: differentiable, batched, on any device. The twin of :mod:`.numba_grid`.

Fields have shape (batch, *grid) and no rim; nothing is written in place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .. import stencil


@dataclass(frozen=True, slots=True, eq=False)
class Level:
    """One grid of the hierarchy; see :class:`.numba_grid.Level`.

    Parameters
    ----------
    faces : tuple of Tensor
        Conductances (batch or 1, ..., n_k + 1 along axis k, ...).
    inverse : Tensor
        Inverse of the diagonal.
    colours : (Tensor, Tensor)
        1 on the cells of the first colour (even sum of indices) and of the second, 0 elsewhere.
    halved : tuple of {0, 1}
    omega : sequence of (first, second)
        Floats or 0-dim tensors.
    """

    faces: tuple[Tensor, ...]
    inverse: Tensor
    colours: tuple[Tensor, Tensor]
    halved: tuple[int, ...]
    omega: Sequence[tuple[Any, Any]]


def make_level(faces: Sequence[Tensor], halved: Sequence[int], omega: Sequence[tuple[Any, Any]]) -> Level:
    """Prepare one level."""
    total = stencil.diagonal(faces)
    inverse = torch.where(total > 0, 1.0 / total.clamp(min=torch.finfo(total.dtype).tiny), 0.0)
    first = _even(tuple(total.shape[-len(faces) :]), total)
    return Level(tuple(faces), inverse, (first, 1.0 - first), tuple(halved), omega)


def _even(shape: tuple[int, ...], like: Tensor) -> Tensor:
    indices = torch.meshgrid(*(torch.arange(n, device=like.device) for n in shape), indexing="ij")
    return (sum(indices) % 2 == 0).to(like.dtype)


def apply(faces: Sequence[Tensor], x: Tensor) -> Tensor:
    """Return A x."""
    result: Tensor = stencil.apply(faces, x, torch)
    return result


def smooth(level: Level, x: Tensor | None, b: Tensor, *, reverse: bool) -> Tensor:
    """Red-black over-relaxation, as :func:`.numba_grid.smooth`."""
    steps = [(colour, pair[colour]) for pair in level.omega for colour in (0, 1)]
    for colour, omega in reversed(steps) if reverse else steps:
        residual = b if x is None else b - apply(level.faces, x)
        change = level.colours[colour] * (omega * level.inverse * residual)
        x = change if x is None else x + change
    assert x is not None
    return x


def restrict_residual(level: Level, x: Tensor, b: Tensor) -> Tensor:
    """Sum b - A x over each coarse cell."""
    residual = b - apply(level.faces, x)
    for k, joined in enumerate(level.halved):
        if joined:
            residual = _pair_sums(residual, k - len(level.halved))
    return residual


def _pair_sums(field: Tensor, axis: int) -> Tensor:
    if field.shape[axis] % 2:
        end = torch.zeros_like(field[stencil.along(axis, slice(-1, None))])
        field = torch.cat([field, end], axis)
    return field[stencil.along(axis, slice(0, None, 2))] + field[stencil.along(axis, slice(1, None, 2))]


def prolong_add(level: Level, coarse: Tensor, x: Tensor) -> Tensor:
    """Add each coarse cell's value to the cells of x in it."""
    for k, joined in enumerate(level.halved):
        axis = k - len(level.halved)
        if joined:
            coarse = coarse.repeat_interleave(2, axis)[stencil.along(axis, slice(0, x.shape[axis]))]
    return x + coarse
