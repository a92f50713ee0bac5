"""Between the mesh contract (VTK's flat arrays in a Dataset) and pyvista, without a copy where VTK allows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pyvista as pv
    import xarray as xr


def grid_of(dataset: xr.Dataset) -> pv.UnstructuredGrid:
    """Make the unstructured grid of a mesh Dataset, without fields.

    Parameters
    ----------
    dataset : xarray.Dataset
        ``node_x/y/z`` (n,), ``cell_connectivity`` (k,), ``cell_offsets`` (m + 1,), ``cell_types`` (m,).

    Raises
    ------
    ValueError
        If the mesh has no cells, or an index points outside its nodes.
    """
    import pyvista as pv

    points = np.stack([dataset[name].to_numpy() for name in ("node_x", "node_y", "node_z")], axis=1)
    connectivity = dataset["cell_connectivity"].to_numpy()
    offsets = dataset["cell_offsets"].to_numpy()
    types = dataset["cell_types"].to_numpy()
    if not len(types):
        raise ValueError("the mesh has no cells")
    if connectivity.min() < 0 or connectivity.max() >= len(points):
        raise ValueError(f"cell_connectivity points to node {connectivity.max()}, but the mesh has {len(points)} nodes")
    if len(offsets) != len(types) + 1 or offsets[0] != 0 or offsets[-1] != len(connectivity):
        raise ValueError(
            "cell_offsets should start at 0, have one entry more than there are cells, and end at the "
            f"length of cell_connectivity ({len(connectivity)})"
        )
    counts = np.diff(offsets)
    cells = np.insert(connectivity, offsets[:-1], counts)
    return pv.UnstructuredGrid(cells, types, points)


def field_at(dataset: xr.Dataset, name: str, frame: int) -> np.ndarray[Any, Any]:
    """Values of field ``name`` at one instant, on nodes or cells: (n,) or (n, components).

    Raises
    ------
    ValueError
        If it lies neither on nodes nor on cells.
    """
    variable = dataset[name]
    if "time" in variable.dims:
        variable = variable.isel(time=frame)
    if not variable.dims or variable.dims[0] not in ("node", "cell"):
        raise ValueError(
            f"{name!r} has dims {tuple(map(str, dataset[name].dims))}; "
            "a field has (node|cell[, component]), with time before them"
        )
    return variable.to_numpy()


def fields_of(dataset: xr.Dataset) -> list[str]:
    """Names of the variables that are fields on nodes or cells."""
    return [str(name) for name, variable in dataset.data_vars.items() if _is_field(str(name), variable)]


def _is_field(name: str, variable: xr.DataArray) -> bool:
    dims = [dim for dim in variable.dims if dim != "time"]
    on_mesh = bool(dims) and dims[0] in ("node", "cell") and len(dims) <= 2
    is_topology = name == "cell_types" or "face_corner" in dims
    return on_mesh and not is_topology and variable.dtype.kind in "fiub"
