"""Moments of a series of arrays, in one pass."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Moments:
    """Mean, variance and range of arrays of one shape, by Welford's update: stable, one array in memory.

    References
    ----------
    B.P. Welford, "Note on a method for calculating corrected sums of squares and products", Technometrics 4, 1962.
    """

    def __init__(self) -> None:
        self.count = 0
        self.mean: Array = np.zeros(())
        self.minimum: Array = np.zeros(())
        self.maximum: Array = np.zeros(())
        self._squares: Array = np.zeros(())

    def add(self, values: NDArray[Any]) -> None:
        """Take one more array into account."""
        new = values.astype(np.float64)
        if self.count == 0:
            self.mean, self._squares = np.zeros_like(new), np.zeros_like(new)
            self.minimum, self.maximum = new.copy(), new.copy()
        self.count += 1
        before = new - self.mean
        self.mean += before / self.count
        self._squares += before * (new - self.mean)
        np.minimum(self.minimum, new, out=self.minimum)
        np.maximum(self.maximum, new, out=self.maximum)

    @property
    def std(self) -> Array:
        """Standard deviation, of the population."""
        deviation: Array = np.sqrt(self._squares / max(self.count, 1))
        return deviation
