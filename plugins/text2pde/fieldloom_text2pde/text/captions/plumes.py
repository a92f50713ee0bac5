"""Finds the plumes in a field of smoke: how many, where, how large, of what shape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

THRESHOLD = 0.5
"""A plume is where the smoke is denser than this share of the maximum."""
SPECK = 0.005
"""Connected smoke on less than this share of the box is no plume."""
SIZES = ((0.02, "small"), (0.06, "medium"), (np.inf, "large"))
"""Upper bounds of a plume's share of the box."""
ELONGATED = 1.6
"""Least ratio of the axes of what is called elongated."""
EDGES = (1 / 3, 2 / 3)
"""Where lower ends and upper begins, left ends and right begins."""

_ROWS, _COLUMNS = ("lower", "middle", "upper"), ("left", "centre", "right")
_EIGHT_NEIGHBOURS = np.ones((3, 3), dtype=int)


@dataclass(frozen=True, slots=True)
class Plume:
    """A connected region of dense smoke.

    Attributes
    ----------
    centre : tuple of float
        Centroid (x, y) in [0, 1] of the box, from its lower left corner.
    area : float
        Share of the box.
    aspect : float
        Longer axis over shorter one, at least 1.
    """

    centre: tuple[float, float]
    area: float
    aspect: float

    @property
    def place(self) -> str:
        """One of nine: "lower left", "middle right", ..., "centre" in the middle."""
        column, row = (int(np.searchsorted(EDGES, at, side="right")) for at in self.centre)
        return "centre" if row == column == 1 else f"{_ROWS[row]} {_COLUMNS[column]}"

    @property
    def size(self) -> str:
        """Small, medium or large."""
        return next(word for bound, word in SIZES if self.area < bound)

    @property
    def shape(self) -> str:
        """Round or elongated."""
        return "elongated" if self.aspect >= ELONGATED else "round"


@dataclass(frozen=True, slots=True)
class PlumeSummary:
    """The plumes of one field, largest first."""

    plumes: tuple[Plume, ...]

    @property
    def count(self) -> int:
        """How many."""
        return len(self.plumes)


def describe(density: NDArray[Any]) -> PlumeSummary:
    """Find the plumes in a field of smoke.

    Parameters
    ----------
    density : ndarray, shape (ny, nx)
        Smoke; row 0 is the bottom of the box.

    Returns
    -------
    PlumeSummary
        Without plumes, if the maximum is not positive.

    Raises
    ------
    ValueError
        If the field is not two-dimensional or not finite.
    """
    density = np.asarray(density, dtype=np.float64)
    if density.ndim != 2 or not density.size or not np.isfinite(density).all():
        raise ValueError(f"smoke must be finite numbers of shape (ny, nx), got shape {density.shape}: give one frame")
    if density.max() <= 0:
        return PlumeSummary(())
    labels, count = ndimage.label(density > THRESHOLD * density.max(), structure=_EIGHT_NEIGHBOURS)
    plumes = (_plume(labels == i) for i in range(1, count + 1))
    kept = [plume for plume in plumes if plume.area >= SPECK]
    return PlumeSummary(tuple(sorted(kept, key=lambda plume: (-plume.area, plume.centre))))


def _plume(region: NDArray[np.bool_]) -> Plume:
    rows, columns = np.nonzero(region)
    ny, nx = region.shape
    x, y = (columns + 0.5) / nx, (rows + 0.5) / ny
    return Plume((float(x.mean()), float(y.mean())), len(rows) / region.size, _aspect(rows, columns))


def _aspect(rows: NDArray[np.int_], columns: NDArray[np.int_]) -> float:
    """Ratio of the axes of the ellipse with the same second moments; a cell itself counts as a square."""
    moments = np.cov(np.stack([rows, columns]), bias=True) + np.eye(2) / 12
    low, high = np.linalg.eigvalsh(moments)
    return float(np.sqrt(high / low))
