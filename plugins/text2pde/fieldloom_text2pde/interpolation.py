"""The floor for autoencoders: what plain linear interpolation onto a grid and back would lose."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import LinearNDInterpolator, NearestNDInterpolator, RegularGridInterpolator

from .geometry import Box
from .trajectories import Sample

Array = NDArray[np.floating[Any]]


def interpolation_floor(sample: Sample, box: Box, shape: tuple[int, int]) -> Array:
    """Interpolate a trajectory onto ``shape`` (ny, nx) points that span the box, corners included, and back.

    Returns
    -------
    ndarray, shape (time, n, channels)
    """
    time, n, channels = sample.values.shape
    values = sample.values.transpose(1, 0, 2).reshape(n, -1)
    x, y = (np.linspace(box.low[k], box.high[k], shape[1 - k]) for k in (0, 1))
    grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    onto = LinearNDInterpolator(sample.points, values)(grid)
    outside = ~np.isfinite(onto[:, 0])  # in obstacles, or a hair beyond the mesh
    if outside.any():
        onto[outside] = NearestNDInterpolator(sample.points, values)(grid[outside])
    inside = np.clip(sample.points, box.low, box.high)[:, ::-1]
    back = RegularGridInterpolator((y, x), onto.reshape(*shape, -1))(inside)
    found: Array = back.reshape(n, time, channels).transpose(1, 0, 2).astype(sample.values.dtype)
    return found
