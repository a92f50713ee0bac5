"""Classifier-free guidance: exaggerate what the condition changes.

References
----------
J. Ho, T. Salimans, "Classifier-free diffusion guidance", 2022.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

Condition = Tensor | Mapping[str, "Condition"]
"""A tensor, or tensors by name (nested as you like), with samples along the first axis; one row serves all samples."""


def guided(
    model: Callable[[Tensor, Tensor, Condition], Tensor], conditions: tuple[Condition, Condition], scale: float
) -> Callable[[Tensor, Tensor], Tensor]:
    """Model for a sampler that returns ``without + scale (with - without)``.

    Parameters
    ----------
    model : callable
        ``model(x_t, t, condition) -> output``.
    conditions : tuple
        The condition, and the one that says nothing: what training put in its place now and then.
        Same names, same shapes except for the number of samples.
    scale : float
        1 is the model under its condition, evaluated once; any other takes one evaluation of twice the batch.
        It is 1 + w of Ho & Salimans, eq. 6.
    """
    condition, nothing = conditions
    if scale == 1:
        return lambda x, t: model(x, t, rows(condition, len(x)))

    def evaluate(x: Tensor, t: Tensor) -> Tensor:
        both = joined(rows(condition, len(x)), rows(nothing, len(x)))
        under, without = model(torch.cat([x, x]), torch.cat([t, t]), both).chunk(2)
        return without + scale * (under - without)

    return evaluate


def rows(condition: Condition, n: int) -> Condition:
    """Repeat conditions that are given once for all ``n`` samples.

    Raises
    ------
    ValueError
        If there are neither one nor ``n``.
    """
    if isinstance(condition, Mapping):
        return {name: rows(part, n) for name, part in condition.items()}
    if condition.ndim == 0 or len(condition) not in (1, n):
        raise ValueError(
            f"a condition has shape {tuple(condition.shape)} for {n} samples; its first axis must be 1 or {n}"
        )
    return condition.expand(n, *condition.shape[1:])


def joined(condition: Condition, nothing: Condition, name: str = "") -> Condition:
    """Both conditions, one after the other along the first axis.

    Raises
    ------
    ValueError
        If names or shapes differ.
    """
    if isinstance(condition, Mapping) and isinstance(nothing, Mapping) and condition.keys() == nothing.keys():
        return {key: joined(condition[key], nothing[key], f"{name}.{key}") for key in condition}
    if isinstance(condition, Tensor) and isinstance(nothing, Tensor) and condition.shape == nothing.shape:
        return torch.cat([condition, nothing])
    got, expected = described(nothing), described(condition)
    raise ValueError(f"the empty condition{name} does not match: {got}, where the condition has {expected}")


def described(condition: Condition) -> str:
    """Names or shape, for errors."""
    return f"names {sorted(condition)}" if isinstance(condition, Mapping) else f"shape {tuple(condition.shape)}"
