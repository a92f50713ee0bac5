"""Datasets that keep the mesh or grid contract as pyvista's grids, without a copy where VTK allows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from fieldloom import contracts
from fieldloom.contracts import mesh as meshes

if TYPE_CHECKING:
    import pyvista as pv
    import xarray as xr

Values = np.ndarray[Any, Any]


def grid_of(dataset: xr.Dataset) -> pv.DataSet:
    """Make the grid of a mesh, a population or a uniform grid, without fields.

    Raises
    ------
    ValueError
        With everything that is wrong with it.
    """
    kind = contracts.kind_of(dataset)
    if problems := [*contracts.violations(dataset, kind or "field")]:
        raise ValueError("; ".join(problems))
    return _image(dataset) if kind == "grid" else _unstructured(dataset)


def _unstructured(dataset: xr.Dataset) -> pv.UnstructuredGrid:
    import pyvista as pv

    connectivity, offsets, types = (dataset[f"cell_{part}"].to_numpy() for part in ("connectivity", "offsets", "types"))
    cells = np.insert(connectivity, offsets[:-1], np.diff(offsets))
    return pv.UnstructuredGrid(cells, types, meshes.points_of(dataset))


def _image(dataset: xr.Dataset) -> pv.ImageData:
    """Cells around the grid's points, which are their centres; fields are cell data."""
    import pyvista as pv
    from fieldloom.contracts.grid import spacing

    axes = [axis for axis in "xyz" if axis in dataset.variables]
    steps = [spacing(dataset, axis) for axis in axes]
    origin = [float(dataset[axis][0]) - h / 2 for axis, h in zip(axes, steps, strict=True)]
    sizes = [dataset.sizes[axis] + 1 for axis in axes]
    rest = 3 - len(axes)
    return pv.ImageData(
        dimensions=(*sizes, *[1] * rest), spacing=(*steps, *[1.0] * rest), origin=(*origin, *[0.0] * rest)
    )


def field_at(dataset: xr.Dataset, name: str, frame: int = 0, sample: int = 0) -> Values:
    """Values of field ``name`` at one instant: (points,) or (points, components), in VTK's order.

    Raises
    ------
    ValueError
        If it lies neither on nodes, nor on cells, nor on a grid.
    """
    variable = dataset[name]
    here = {dim: i for dim, i in (("time", frame), ("sample", sample)) if dim in variable.dims}
    variable = variable.isel(here)
    place = [dim for dim in variable.dims if dim in ("node", "cell", "z", "y", "x")]
    if not place or len(variable.dims) > len(place) + 1 or list(variable.dims[: len(place)]) != place:
        raise ValueError(
            f"{name!r} has dims {tuple(map(str, dataset[name].dims))}; a field has (node|cell|[z,] y, x[, component]), "
            "with sample and time before them"
        )
    values = variable.to_numpy()
    return values.reshape(-1, *values.shape[len(place) :])
