"""Moments of a series of arrays, in one pass; weights of nodes and cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from fieldloom.contracts import kind_of
from fieldloom.contracts.mesh import points_of, simplices
from numpy.typing import NDArray

from .derived import measures

if TYPE_CHECKING:
    import xarray as xr

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


def domain_weights(data: xr.Dataset) -> dict[str, Array]:
    """Area or volume around each node, and of each cell; nothing for a grid or where there is neither."""
    if kind_of(data) == "grid":
        return {}
    points = points_of(data)
    try:
        corners, parents = simplices(data)
    except ValueError:  # points or lines: every node counts the same
        return {}
    if corners.shape[1] == 3 and np.ptp(points[:, 2]) > 0:
        edges = points[corners[:, 1:]] - points[corners[:, :1]]
        size = np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1) / 2
    else:
        size = measures(points, corners)
    d = corners.shape[1]
    nodes = np.bincount(corners.ravel(), np.repeat(size / d, d), len(points))
    return {"node": nodes, "cell": np.bincount(parents, size, data.sizes["cell"])}
