"""Fields of a mesh at other places: points, the nodes of another mesh, the centres of a grid."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from fieldloom import contracts
from fieldloom.contracts import mesh as meshes
from numpy.typing import NDArray

from .locating import Interpolation, interpolation

if TYPE_CHECKING:
    import xarray as xr

Floats = NDArray[np.float64]

MAX_CELLS = 100_000_000
"""Of a grid: beyond, its coordinates alone take gigabytes."""


@dataclass(frozen=True)
class Resampler:
    """Takes fields from one mesh to fixed points; the search for the points is done once.

    Attributes
    ----------
    places : Interpolation
    parents : ndarray of int, shape (simplices,)
        The cell of each simplex.
    nearest : bool
        Points outside get the value at the nearest node (or its cell's), instead of NaN.
    """

    places: Interpolation
    parents: NDArray[np.int64]
    nearest: bool

    def node_values(self, values: NDArray[Any]) -> NDArray[Any]:
        """Interpolate node values (n,) or (n, c) linearly."""
        found: NDArray[Any] = self.places.matrix @ values.astype(np.float64)
        return self._marked(found)

    def cell_values(self, values: NDArray[Any]) -> NDArray[Any]:
        """Take the values of the cells (m,) or (m, c) that hold the points."""
        cell = self.parents[np.maximum(self.places.simplex, 0)]
        return self._marked(values[cell].astype(np.float64))

    def _marked(self, found: NDArray[Any]) -> NDArray[Any]:
        if not self.nearest:
            found[~self.places.inside] = np.nan
        return found


def dimension_of(points: Floats) -> int:
    """2 for a mesh on a plane z = constant, else 3."""
    return 2 if meshes.is_flat(points) else 3


def used_points(data: xr.Dataset) -> Floats:
    """Coordinates (k, 3) of the nodes that belong to a cell."""
    found: Floats = meshes.points_of(data)[np.unique(data["cell_connectivity"].to_numpy())]
    return found


def resampler(data: xr.Dataset, targets: Floats, *, nearest: bool = False) -> Resampler:
    """Locate targets (p, 3) in a mesh.

    Raises
    ------
    ValueError
        For a curved surface or lines in space, which have no inside to interpolate in.
    """
    if contracts.kind_of(data) == "population":
        raise ValueError("this is a population, whose meshes may overlap; resample one mesh, before mesh.gather")
    points, used = meshes.points_of(data), used_points(data)
    simplices, parents = meshes.simplices(data)
    d = dimension_of(used)
    if d == 2 and np.abs(targets[:, 2] - used[0, 2]).max() > 1e-6 * np.ptp(used, axis=0).max():
        raise ValueError(f"the mesh lies on the plane z = {used[0, 2]:.6g}; points elsewhere are not on it")
    if simplices.shape[1] != d + 1:
        raise ValueError(
            "a surface in space has no inside to interpolate in; resample a volume or plane mesh, "
            "or use mesh.voxelize to learn what the surface encloses"
        )
    places = interpolation(points[:, :d], simplices, np.ascontiguousarray(targets[:, :d]), nearest=nearest)
    return Resampler(places, parents, nearest)


def resampled(data: xr.Dataset, names: list[str], take: Resampler, frame: int) -> dict[str, NDArray[Any]]:
    """Values (p,) or (p, c) of fields at one instant."""
    found = {}
    for name in names:
        field = data[name].isel(time=frame) if "time" in data[name].dims else data[name]
        values = field.to_numpy()
        found[name] = take.node_values(values) if field.dims[0] == "node" else take.cell_values(values)
    return found


def grid_axes(points: Floats, spacing: float | None, size: int, bounds: Mapping[str, Any]) -> dict[str, Floats]:
    """Cell centres of a uniform grid over a mesh.

    Parameters
    ----------
    points : ndarray, shape (n, 3)
        The mesh's nodes; they bound the grid where ``bounds`` does not.
    spacing : float, optional
        Side of a cell, in the mesh's units.
    size : int
        Cells along the longest side, where ``spacing`` is not given.
    bounds : mapping
        Lower and upper end by axis.

    Returns
    -------
    dict of str to ndarray
        ``x``, ``y`` and, for a mesh in space, ``z``: at least two centres each, ``spacing`` apart, about the
        middle of the bounds.

    Raises
    ------
    ValueError
        If a bound is empty.
    """
    axes = "xy" if dimension_of(points) == 2 else "xyz"
    if extra := set(bounds) - set(axes):
        raise ValueError(f"the mesh lies on a plane z = constant; there is nothing to bound along {extra.pop()}")
    ends = {}
    for k, axis in enumerate(axes):
        low, high = bounds.get(axis) or (points[:, k].min(), points[:, k].max())
        if not high > low:
            raise ValueError(f"the grid has no extent along {axis}: from {low:.6g} to {high:.6g}")
        ends[axis] = (float(low), float(high))
    h = spacing or max(high - low for low, high in ends.values()) / size
    found = {}
    for axis, (low, high) in ends.items():
        n = max(2, round((high - low) / h))
        found[axis] = (low + high) / 2 + h * (np.arange(n) - (n - 1) / 2)
        if (count := math.prod(map(len, found.values()))) > MAX_CELLS:
            raise ValueError(f"the grid would have {count:,} cells or more; take fewer cells or a larger spacing")
    return found


def grid_points(axes: Mapping[str, Floats], plane: float = 0.0) -> Floats:
    """Centres (cells, 3) in the order of the grid's arrays: x runs fastest; ``plane`` is z where there is no axis."""
    y_x = np.meshgrid(*(axes[axis] for axis in reversed(list(axes))), indexing="ij")
    columns = [values.ravel() for values in reversed(y_x)]
    return np.stack([*columns, *[np.full_like(columns[0], plane)] * (3 - len(columns))], axis=1)
