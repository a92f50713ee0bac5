"""VTKHDF 2.0 unstructured grids, static and temporal, with h5py; ParaView and vtkHDFReader read them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from .meshes import Array, Mesh, same_topology


def write(path: Path, steps: Iterable[tuple[float | None, Mesh]]) -> None:
    """Write steps one after the other; equal points and cells are stored once.

    Notes
    -----
    One step without a time makes a static file. Every step is one part; ``Steps/*Offsets`` say where it begins.
    """
    import h5py

    with h5py.File(path, "w", track_order=True) as file:
        root = file.create_group("VTKHDF", track_order=True)
        root.attrs["Version"] = np.array([2, 0], dtype=np.int64)
        root.attrs.create("Type", np.bytes_("UnstructuredGrid"), dtype="S16")
        times: list[float | None] = []
        tables: dict[str, list[int]] = {}
        before = None
        for time, mesh in steps:
            _add_step(root, tables, mesh, before is not None and same_topology(before, mesh))
            before, times = mesh, [*times, time]
        if len(times) > 1 or times[0] is not None:
            _write_times(root, tables, [float(i) if time is None else time for i, time in enumerate(times)])


def _add_step(root: Any, tables: dict[str, list[int]], mesh: Mesh, same: bool) -> None:
    if not same:
        tables["PartOffsets"] = [*tables.get("PartOffsets", []), _length(root, "NumberOfPoints")]
        for name, before in (
            ("PointOffsets", "Points"),
            ("ConnectivityIdOffsets", "Connectivity"),
            ("CellOffsets", "Types"),
        ):
            tables[name] = [*tables.get(name, []), _length(root, before)]
        _append_topology(root, mesh)
    else:
        for name in ("PartOffsets", "PointOffsets", "ConnectivityIdOffsets", "CellOffsets"):
            tables[name] = [*tables[name], tables[name][-1]]
    for group, fields in (("PointData", mesh.point_data), ("CellData", mesh.cell_data)):
        for name, values in fields.items():
            key = f"{group}Offsets/{name}"
            tables[key] = [*tables.get(key, []), _length(root, f"{group}/{name}")]
            _append(root, f"{group}/{name}", values)


def _append_topology(root: Any, mesh: Mesh) -> None:
    for name, count in (("Points", mesh.points), ("Cells", mesh.types), ("ConnectivityIds", mesh.connectivity)):
        _append(root, f"NumberOf{name}", np.array([len(count)], dtype=np.int64))
    _append(root, "Points", mesh.points)
    _append(root, "Connectivity", mesh.connectivity)
    _append(root, "Offsets", mesh.offsets)
    _append(root, "Types", mesh.types)


def _length(root: Any, name: str) -> int:
    return len(root[name]) if name in root else 0


def _append(root: Any, name: str, values: Array) -> None:
    if name not in root:
        root.create_dataset(name, data=values, maxshape=(None, *values.shape[1:]), chunks=_chunks(values))
        return
    dataset = root[name]
    start = len(dataset)
    dataset.resize(start + len(values), axis=0)
    dataset[start:] = values


def _chunks(values: Array) -> tuple[int, ...]:
    row = max(values[:1].nbytes, 1)
    return (int(np.clip(2**20 // row, 1, max(len(values), 1))), *values.shape[1:])


def _write_times(root: Any, tables: dict[str, list[int]], times: list[float]) -> None:
    steps = root.create_group("Steps")
    steps.attrs["NSteps"] = np.int64(len(times))
    steps["Values"] = np.array(times, dtype=np.float64)
    steps["NumberOfParts"] = np.ones(len(times), dtype=np.int64)
    for name, values in tables.items():
        column = name in ("ConnectivityIdOffsets", "CellOffsets")
        steps[name] = np.array(values, dtype=np.int64).reshape((-1, 1) if column else (-1,))
