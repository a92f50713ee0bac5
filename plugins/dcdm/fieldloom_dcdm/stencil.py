"""A = -div(c grad) by finite volumes on arrays of any library that slices like NumPy (NumPy, torch).

Here a field has the shape of the grid, without a rim, and may have leading batch axes; ``faces[k]`` has one entry
more along axis k. A face of conductance w lets w (x_i - x_j) flow; beyond a side of the box x is zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np


def along(axis: int, part: slice) -> tuple[Any, ...]:
    """Index that takes ``part`` of an axis counted from the end (negative)."""
    return (Ellipsis, part, *(slice(None),) * (-1 - axis))


def differences(x: Any, axis: int, xp: ModuleType = np) -> Any:
    """Return x_i - x_{i-1} on every face along ``axis``, with x zero beyond the sides."""
    first, last = x[along(axis, slice(0, 1))], x[along(axis, slice(-1, None))]
    inner = x[along(axis, slice(1, None))] - x[along(axis, slice(0, -1))]
    return xp.concatenate([first, inner, -last], axis)


def divergence(flux: Any, axis: int) -> Any:
    """Return what flows out of each cell through its two faces along ``axis``."""
    return flux[along(axis, slice(1, None))] - flux[along(axis, slice(0, -1))]


def apply(faces: Sequence[Any], x: Any, xp: ModuleType = np) -> Any:
    """Return A x.

    Parameters
    ----------
    faces : sequence of array
        Conductances, (..., n_k + 1 along axis k, ...), for each of the last axes of x.
    x : array
        Shape (..., *grid).
    xp : module
        ``numpy`` or ``torch``.
    """
    result = None
    for k, w in enumerate(faces):
        axis = k - len(faces)
        part = -divergence(w * differences(x, axis, xp), axis)
        result = part if result is None else result + part
    return result


def diagonal(faces: Sequence[Any]) -> Any:
    """Return the diagonal of A: the sum of the conductances around each cell."""
    result = None
    for k, w in enumerate(faces):
        axis = k - len(faces)
        part = w[along(axis, slice(1, None))] + w[along(axis, slice(0, -1))]
        result = part if result is None else result + part
    return result
