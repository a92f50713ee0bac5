"""Uniform grids: spacing, and what is wrong with one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from .mesh import time_violations

if TYPE_CHECKING:
    import xarray as xr

_ORDER = ("sample", "time", "z", "y", "x")
UNIFORM = 1e-5
"""Largest deviation of a step from the mean step, relative to it."""


def spacing(data: xr.Dataset, axis: str) -> float:
    """Distance of two grid points along ``axis`` (``"x"``), in the coordinate's units."""
    coordinate = data[axis].to_numpy()
    return float((coordinate[-1] - coordinate[0]) / (len(coordinate) - 1))


def violations(data: xr.Dataset) -> Iterator[str]:
    """Say what makes ``data`` no uniform grid."""
    for axis in ("x", "y", "z"):
        if axis in data.variables:
            yield from _axis_violations(data, axis)
    for name, variable in data.data_vars.items():
        dims = [str(dim).removesuffix("_face") for dim in variable.dims]
        order = [dim for dim in _ORDER if dim in dims]
        if {"x", "y"} & set(dims) and (dims[: len(order)] != order or len(dims) > len(order) + 1):
            yield (
                f"field {name!r} has dims {tuple(map(str, variable.dims))}; the order is "
                "([sample,] [time,] [z,] y, x[, component]): transpose it"
            )
    yield from time_violations(data)


def _axis_violations(data: xr.Dataset, axis: str) -> Iterator[str]:
    values = data[axis].to_numpy().astype(np.float64)
    if len(values) < 2:
        yield f"coordinate {axis!r} has {len(values)} entries; a grid has at least 2 along each axis"
        return
    steps = np.diff(values)
    if not np.isfinite(values).all() or (steps <= 0).any():
        yield f"coordinate {axis!r} should increase; it does not after entry {int((~(steps > 0)).argmax())}"
    elif np.abs(steps - steps.mean()).max() > UNIFORM * steps.mean():
        yield (
            f"coordinate {axis!r} is not uniform: its steps go from {steps.min():.6g} to {steps.max():.6g}; "
            "resample it, or keep it as a mesh"
        )
    face = f"{axis}_face"
    if face in data.sizes and data.sizes[face] != len(values) + 1:
        yield f"dimension {face!r} is {data.sizes[face]} long; {len(values)} cells have {len(values) + 1} faces"
