"""The numerics: plain functions of arrays, usable and testable without fieldloom."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float64]]


def moving_average(values: Array, width: int) -> Array:
    """Average each value with its neighbours; at the ends over those that there are.

    Parameters
    ----------
    values : ndarray, shape (n,)
    width : int
        Odd number of values in the window.

    Returns
    -------
    ndarray, shape (n,)
    """
    window = np.ones(width)
    total = np.convolve(values, window, mode="full")
    count = np.convolve(np.ones(len(values)), window, mode="full")
    half = width // 2
    return (total / count)[half : half + len(values)]
