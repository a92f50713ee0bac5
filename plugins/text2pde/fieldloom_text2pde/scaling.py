"""Units of a network: fields and numbers are shifted and scaled by what the training set showed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class FieldScaling:
    """Shift and scale of every channel.

    Attributes
    ----------
    shift, scale : tuple of float
        One a channel, in the field's units. The components of a vector share one scale and are not shifted: directions
        stay, and zero stays zero, which walls need.
    """

    shift: tuple[float, ...]
    scale: tuple[float, ...]

    def apply(self, values: Tensor) -> Tensor:
        """To the network's units, channels last."""
        return (values - values.new_tensor(self.shift)) / values.new_tensor(self.scale)

    def undo(self, values: Tensor) -> Tensor:
        """Back to physical units."""
        return values * values.new_tensor(self.scale) + values.new_tensor(self.shift)


def field_scaling(samples: Sequence[Array], vectors: Sequence[tuple[int, ...]]) -> FieldScaling:
    """Measure a training set.

    Parameters
    ----------
    samples : sequence of ndarray, shape (time, n, channels)
    vectors : sequence of tuple of int
        Channels that are components of one vector.
    """
    flat = np.concatenate([s.reshape(-1, s.shape[-1]) for s in samples]).astype(np.float64)
    shift, scale = flat.mean(axis=0), flat.std(axis=0)
    for channels in vectors:
        shift[list(channels)] = 0.0
        scale[list(channels)] = np.sqrt((flat[:, list(channels)] ** 2).mean())
    return FieldScaling(tuple(shift.tolist()), tuple(np.maximum(scale, 1e-12).tolist()))


@dataclass(frozen=True, slots=True)
class NumberScaling:
    """Physical numbers that condition a generator.

    Attributes
    ----------
    names, units : tuple of str
    mean, scale : tuple of float
    low, high : tuple of float
        Range of the training set.
    """

    names: tuple[str, ...]
    units: tuple[str, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]

    def standardise(self, given: Mapping[str, float]) -> tuple[Tensor, Tensor]:
        """Numbers and flags (numbers,) of what is given; the rest is unknown.

        Raises
        ------
        ValueError
            For a name that the model does not know.
        """
        if unknown := sorted(set(given) - set(self.names)):
            raise ValueError(f"the model knows no number {unknown[0]!r}; it knows {', '.join(self.names) or 'none'}")
        values, known = torch.zeros(len(self.names)), torch.zeros(len(self.names))
        for i, name in enumerate(self.names):
            if name in given:
                values[i], known[i] = (given[name] - self.mean[i]) / self.scale[i], 1.0
        return values, known

    def table(self, columns: Mapping[str, Array]) -> Tensor:
        """Standardise columns (samples,) of all numbers, shape (samples, numbers)."""
        found = [(columns[n] - m) / s for n, m, s in zip(self.names, self.mean, self.scale, strict=True)]
        return torch.from_numpy(np.stack(found, axis=1).astype(np.float32)) if found else torch.zeros(0, 0)

    def check(self, given: Mapping[str, float], named: Iterable[str] | None = None) -> None:
        """Refuse numbers outside the training range.

        Parameters
        ----------
        named : iterable of str, optional
            Those that were given in so many words; the others are said to follow from them.

        Raises
        ------
        ValueError
            Naming the number, its value and the range.
        """
        for i, name in enumerate(self.names):
            low, high = self.low[i], self.high[i]
            slack = 0.005 * (high - low)
            if name in given and not low - slack <= given[name] <= high + slack:
                follows = "" if named is None or name in named else ", which follows from the others,"
                raise ValueError(
                    f"{name} = {given[name]:.4g} {self.units[i]}{follows} is outside of what the model has seen, "
                    f"{low:.4g} to {high:.4g}; stay inside, or set `extrapolate: true` and mistrust the result"
                )


def number_scaling(columns: Mapping[str, Array], units: Mapping[str, str]) -> NumberScaling:
    """Measure the numbers (samples,) of a training set; those that do not vary are left out."""
    kept = {n: np.asarray(v, np.float64) for n, v in columns.items() if np.ptp(v) > 1e-9 * np.abs(v).max()}

    def each(function: Any) -> tuple[float, ...]:
        return tuple(float(function(v)) for v in kept.values())

    names = tuple(kept)
    return NumberScaling(
        names, tuple(units.get(n, "1") for n in names), each(np.mean), each(np.std), each(np.min), each(np.max)
    )
