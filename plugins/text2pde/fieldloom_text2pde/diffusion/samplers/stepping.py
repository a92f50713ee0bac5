"""What all samplers do: check the times, walk over them, ask the network."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from ..process import Process

Model = Callable[[Tensor, Tensor], Tensor]
"""``model(x_t, t) -> output``, t of shape (batch,)."""
OnStep = Callable[[int, int], object]
"""``on_step(i, steps)``, after step i, counted from 1."""
Times = Sequence[float] | Tensor


def time_grid(process: Process, steps: int, times: Times | None) -> Tensor:
    """The times to visit, float64 on the CPU, shape (steps + 1,), falling.

    Raises
    ------
    ValueError
    """
    if steps < 1:
        raise ValueError(f"sampling takes at least 1 step, got {steps}")
    grid = process.times(steps) if times is None else torch.as_tensor(times, dtype=torch.float64).cpu()
    if grid.shape != (steps + 1,):
        raise ValueError(f"{steps} steps visit {steps + 1} times, got times of shape {tuple(grid.shape)}")
    if not (grid[0] <= 1 and grid[-1] >= 0 and (grid.diff() < 0).all()):
        raise ValueError(f"times must fall strictly and lie in [0, 1], got {grid.tolist()}")
    return grid


def intervals(grid: Tensor, on_step: OnStep | None) -> Iterator[tuple[Tensor, Tensor]]:
    """Pairs (from, to) of neighbouring times; reports each step after the caller is done with it."""
    for i, pair in enumerate(pairwise(grid), 1):
        yield pair
        if on_step:
            on_step(i, len(grid) - 1)


def evaluate(model: Model, x: Tensor, t: Tensor) -> Tensor:
    """The network's output at one time for all samples, in the dtype of ``x``.

    Raises
    ------
    ValueError
        If the output has another shape than ``x``.
    """
    dtype = torch.promote_types(x.dtype, torch.float32)  # half precision cannot tell neighbouring times apart
    output = model(x, t.to(x.device, dtype).expand(len(x)))
    if output.shape != x.shape:
        raise ValueError(f"the model returned shape {tuple(output.shape)} for {tuple(x.shape)}; it must keep the shape")
    return output.to(x.dtype)
