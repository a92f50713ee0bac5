"""Between mesh files and Datasets that keep the mesh contract."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from fieldloom.contracts import MESH
from fieldloom.contracts.mesh import CONVENTIONS, field_names, mesh_variables, points_of

from .formats.meshes import Mesh, same_topology

if TYPE_CHECKING:
    import xarray as xr

_FORBIDDEN = re.compile(r"[/\0]")
_VARIABLES = {"mesh", "time", "sample_time", "sample_node_offsets", "sample_cell_offsets", *MESH}
_DIMENSIONS = {"node", "cell", "conn", "cell_edge", "face_corner", "sample", "sample_edge", "component"}
_OWN = frozenset(_VARIABLES | _DIMENSIONS)


def variable_names(mesh: Mesh) -> dict[tuple[str, str], str]:
    """Name of the variable for each (place, field): a field on cells that is also on nodes gets ``_cell``."""
    names: dict[tuple[str, str], str] = {}
    for place, fields in (("node", mesh.point_data), ("cell", mesh.cell_data)):
        for field in fields:
            name = _FORBIDDEN.sub("_", field).lstrip(".") or "field"
            while name in _OWN or name in names.values():
                name = f"{name}_{place}"
            names[place, field] = name
    return names


def dataset_of(mesh: Mesh, time: float | None, units: Mapping[str, str], keep: Sequence[str] | None) -> xr.Dataset:
    """Make the Dataset of a mesh at one instant.

    Parameters
    ----------
    mesh : Mesh
    time : float or None
        None makes fields without a time.
    units : mapping of str to str
        By variable; ``x`` is the coordinates', ``time`` the time's.
    keep : sequence of str, optional
        Fields that are wanted; all unless given.

    Raises
    ------
    ValueError
        If a wanted field is not there.
    """
    import xarray as xr

    names = variable_names(mesh)
    if strange := sorted(set(units) - {*names.values(), "x", "time"}):
        there = ", ".join(sorted(names.values())) or "no fields"
        raise ValueError(f"units are given for {strange[0]!r}, which is not there; there are x, time and {there}")
    if missing := sorted(set(keep or ()) - set(names.values())):
        there = ", ".join(sorted(names.values())) or "no fields"
        raise ValueError(f"the file has no field {missing[0]!r}; it has {there}")
    variables = mesh_variables(mesh.points, mesh.connectivity, mesh.offsets, mesh.types, units.get("x", ""))
    for (place, field), name in names.items():
        if keep is None or name in keep:
            values = (mesh.point_data if place == "node" else mesh.cell_data)[field]
            variables[name] = _field(values, place, time, units.get(name, ""), field)
    coordinates = {f"node_{axis}": variables.pop(f"node_{axis}") for axis in "xyz"}
    if time is not None:
        about = {"axis": "T"} | ({"units": units["time"]} if units.get("time") else {})
        coordinates["time"] = ("time", np.array([time], np.float64), about)
    return xr.Dataset(variables, coordinates, {"Conventions": CONVENTIONS})


def _field(values: np.ndarray[Any, Any], place: str, time: float | None, unit: str, label: str) -> tuple[Any, ...]:
    dims: tuple[str, ...] = (place,)
    if values.ndim > 1:
        width = int(np.prod(values.shape[1:]))
        values = values.reshape(len(values), width)
        dims = (place, "component" if width == 3 else f"component_{width}")
    if time is not None:
        dims, values = ("time", *dims), values[None]
    return dims, values, {"long_name": label, "mesh": "mesh", "location": place} | ({"units": unit} if unit else {})


def series_of(
    steps: Iterable[tuple[float | None, Mesh]], units: Mapping[str, str], keep: Sequence[str] | None, dt: float | None
) -> Iterator[xr.Dataset]:
    """Datasets of the instants of one mesh: one without time for a single mesh that has none.

    Parameters
    ----------
    dt : float, optional
        Time between instants that carry no time; their number counts otherwise.

    Raises
    ------
    ValueError
        If the mesh changes over time, or fields come and go.
    """
    steps = iter(steps)
    first = next(steps, None)
    second = next(steps, None)
    if first is None:
        raise ValueError("there is no mesh in it")
    if second is None and first[0] is None:
        yield dataset_of(first[1], None, units, keep)
        return
    start = variable_names(first[1])
    for i, (time, mesh) in enumerate(_chain(first, second, steps)):
        if not same_topology(mesh, first[1]):
            raise ValueError(
                f"the mesh of instant {i} ({_sizes(mesh)}) differs from the first ({_sizes(first[1])}): a series "
                "has one mesh; read the files as samples (collect: samples)"
            )
        if (names := variable_names(mesh)) != start:
            raise ValueError(f"instant {i} has the fields {sorted(names.values())}, the first {sorted(start.values())}")
        block = dataset_of(mesh, float(i) * (dt or 1.0) if time is None else time, units, keep)
        if time is None and dt is None:  # not seconds, whatever the unit would be
            block["time"].attrs = {"axis": "T", "units": "1", "long_name": "number of instant", "counted": 1}
        yield block


def _sizes(mesh: Mesh) -> str:
    return f"{len(mesh.points)} nodes, {len(mesh.types)} cells"


def _chain(first: Any, second: Any, rest: Iterator[Any]) -> Iterator[Any]:
    yield first
    if second is not None:
        yield second
    yield from rest


def mesh_of(dataset: xr.Dataset, frame: int | None, names: Sequence[str] | None = None) -> Mesh:
    """The mesh of a Dataset with its fields at one instant, for a file; see `meshes_of`."""
    return next(iter(meshes_of(dataset, [frame], names)))


def meshes_of(dataset: xr.Dataset, frames: Iterable[int | None], names: Sequence[str] | None = None) -> Iterator[Mesh]:
    """The mesh of a Dataset with its fields at some instants, for files; all share points and cells.

    Vectors with two components get a third, zero, as ParaView expects.
    """
    bare = Mesh(
        points_of(dataset),
        dataset["cell_connectivity"].to_numpy().astype(np.int64),
        dataset["cell_offsets"].to_numpy().astype(np.int64),
        dataset["cell_types"].to_numpy().astype(np.uint8),
    )
    wanted = field_names(dataset) if names is None else names
    for frame in frames:
        data: dict[str, dict[str, np.ndarray[Any, Any]]] = {"node": {}, "cell": {}}
        for name in wanted:
            place, values = _values(dataset[name], frame)
            data[place][name] = values
        yield replace(bare, point_data=data["node"], cell_data=data["cell"])


def _values(field: xr.DataArray, frame: int | None) -> tuple[str, np.ndarray[Any, Any]]:
    """Place and values (n,) or (n, c) of a field at one instant, as files hold them."""
    field = field.isel(time=frame) if frame is not None and "time" in field.dims else field
    if not field.dims or field.dims[0] not in ("node", "cell"):
        raise ValueError(f"{field.name!r} has dims {field.dims}; a field of a mesh lies on node or cell")
    values = field.to_numpy()
    if values.ndim == 2 and values.shape[1] == 2:
        values = np.pad(values, ((0, 0), (0, 1)))
    values = values.astype(np.uint8) if values.dtype.kind == "b" else values
    return str(field.dims[0]), np.ascontiguousarray(values)


def skeleton_of(dataset: xr.Dataset) -> xr.Dataset:
    """The mesh of a Dataset without its fields."""
    kept = {"mesh", *MESH}
    return dataset.drop_vars([str(name) for name in dataset.variables if name not in kept]).assign_attrs(
        {"Conventions": CONVENTIONS}
    )
