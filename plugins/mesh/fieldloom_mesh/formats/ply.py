"""PLY, ascii and binary: faces with scalar fields on points and faces. VTK's reader keeps 32 bits and drops fields."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from .meshes import Array, Mesh
from .obj import types_of_sizes

_TYPES = {
    "char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4", "float": "f4",
    "double": "f8", "int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4",
    "float32": "f4", "float64": "f8",
}  # fmt: skip
_NAMES = {
    "i1": "char",
    "u1": "uchar",
    "i2": "short",
    "u2": "ushort",
    "i4": "int",
    "u4": "uint",
    "f4": "float",
    "f8": "double",
}
_LISTS = ("vertex_indices", "vertex_index")

Property = tuple[str, str, str]  # name, type, type of the count ("" for a scalar)


def read(path: Path) -> Iterator[tuple[None, Mesh]]:
    """Read vertices and faces; other elements are skipped."""
    with path.open("rb") as file:
        order, elements = _header(file)
        tables = {name: _table(file, order, count, props) for name, count, props in elements}
    if "vertex" not in tables or "face" not in tables:
        raise ValueError("it has no vertices or no faces (a point cloud is not a mesh)")
    vertex, face = tables["vertex"], tables["face"]
    key = next((name for name in _LISTS if name in face), None)
    if key is None or not {"x", "y", "z"} <= set(vertex):
        raise ValueError("its vertices lack x, y, z, or its faces lack vertex_indices")
    sizes, nodes = face.pop(key)
    points = np.stack([vertex.pop(axis) for axis in "xyz"], axis=1).astype(np.float64)
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    data = [{k: v for k, v in table.items() if not isinstance(v, tuple)} for table in (vertex, face)]
    yield None, Mesh(points, nodes.astype(np.int64), offsets, types_of_sizes(sizes), *data)


def _header(file: BinaryIO) -> tuple[str, list[tuple[str, int, list[Property]]]]:
    order = ""
    elements: list[tuple[str, int, list[Property]]] = []
    while (line := file.readline(4096)).strip() != b"end_header":
        words = line.decode("ascii", "replace").split()
        if not line:
            raise ValueError("its header has no end_header")
        if words[:1] == ["format"]:
            order = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}[words[1]] or "ascii"
        elif words[:1] == ["element"]:
            elements.append((words[1], int(words[2]), []))
        elif words[:1] == ["property"] and words[1] == "list":
            elements[-1][2].append((words[4], _TYPES[words[3]], _TYPES[words[2]]))
        elif words[:1] == ["property"]:
            elements[-1][2].append((words[2], _TYPES[words[1]], ""))
    if not order:
        raise ValueError("its header names no format")
    return order, elements


def _table(file: BinaryIO, order: str, count: int, props: list[Property]) -> dict[str, Any]:
    """Columns of one element; a list property is a pair (sizes, values)."""
    if order == "ascii":
        return _ascii(file, count, props)
    if all(not size for _, _, size in props):
        return _columns(_exactly(file, np.dtype([(n, order + t) for n, t, _ in props]), count))
    return _uniform(file, order, count, props) or _ragged(file, order, count, props)


def _exactly(file: BinaryIO, dtype: np.dtype[Any], count: int) -> Array:
    left = _left(file)
    if count * dtype.itemsize > left:
        raise ValueError(f"it announces {count * dtype.itemsize} bytes more than the {left} that are there")
    return np.frombuffer(file.read(count * dtype.itemsize), dtype=dtype)


def _left(file: BinaryIO) -> int:
    here = file.tell()
    end = file.seek(0, 2)
    file.seek(here)
    return end - here


def _columns(rows: Array) -> dict[str, Any]:
    return {name: rows[name].astype(rows.dtype[name].newbyteorder("=")) for name in rows.dtype.names or ()}


def _uniform(file: BinaryIO, order: str, count: int, props: list[Property]) -> dict[str, Any] | None:
    """Fast path: one list, of equal length in every row."""
    lists = [prop for prop in props if prop[2]]
    start = file.tell()
    if len(lists) > 1 or not count or props[0] is not lists[0]:
        return None
    size = int(_exactly(file, np.dtype(order + lists[0][2]), 1)[0])
    file.seek(start)
    fields = [("", order + t, (size,)) if s else (n, order + t) for n, t, s in props]
    dtype = np.dtype([("#", order + lists[0][2]), ("list", *fields[0][1:]), *fields[1:]])
    if count * dtype.itemsize > _left(file):
        return None
    rows = np.frombuffer(file.read(count * dtype.itemsize), dtype=dtype)
    if (rows["#"] != size).any():
        file.seek(start)
        return None
    columns = {name: rows[name].astype(rows.dtype[name].newbyteorder("=")) for name, _, s in props if not s}
    return {lists[0][0]: (np.full(count, size), rows["list"].ravel()), **columns}


def _ragged(file: BinaryIO, order: str, count: int, props: list[Property]) -> dict[str, Any]:
    rows = []
    for _ in range(count):
        row = []
        for _, kind, size in props:
            n = int(_exactly(file, np.dtype(order + size), 1)[0]) if size else 1
            row.append(_exactly(file, np.dtype(order + kind), n))
        rows.append(row)
    return _transposed(rows, props)


def _ascii(file: BinaryIO, count: int, props: list[Property]) -> dict[str, Any]:
    rows = []
    for _ in range(count):
        words, at, row = file.readline().split(), 0, []
        for name, kind, size in props:
            n = int(words[at]) if size and at < len(words) else 1
            at += bool(size)
            row.append(np.array(words[at : at + n], dtype=kind))
            at += n
            if len(row[-1]) != n:
                raise ValueError(f"a line is too short for its property {name!r}")
        rows.append(row)
    return _transposed(rows, props)


def _transposed(rows: list[list[Array]], props: list[Property]) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for i, (name, kind, size) in enumerate(props):
        column = [row[i] for row in rows]
        values = np.concatenate(column).astype(kind) if column else np.zeros(0, kind)
        table[name] = (np.array([len(part) for part in column], dtype=np.int64), values) if size else values
    return table


def write(path: Path, mesh: Mesh) -> None:
    """Write binary little endian, points in double, each scalar field as a property."""
    sizes = np.diff(mesh.offsets)
    with path.open("wb") as file:
        file.write(_head(mesh).encode("ascii"))
        columns = [
            ("x", mesh.points[:, 0]),
            ("y", mesh.points[:, 1]),
            ("z", mesh.points[:, 2]),
            *mesh.point_data.items(),
        ]
        file.write(_rows(columns).tobytes())
        fields = _rows(list(mesh.cell_data.items()), len(sizes))
        nodes = np.split(mesh.connectivity.astype("<i4"), mesh.offsets[1:-1])
        for i, cell in enumerate(nodes):
            file.write(np.array(len(cell), "<i4").tobytes() + cell.tobytes() + fields[i].tobytes())


def _rows(columns: list[tuple[str, Array]], count: int = 0) -> Array:
    if not columns:
        return np.zeros(count, dtype="V0")
    rows = np.zeros(len(columns[0][1]), dtype=[(str(i), v.dtype.newbyteorder("<")) for i, (_, v) in enumerate(columns)])
    for i, (_, values) in enumerate(columns):
        rows[str(i)] = values
    return rows


def _head(mesh: Mesh) -> str:
    def lines(fields: Any) -> str:
        return "".join(f"property {_NAMES[v.dtype.str[1:]]} {name}\n" for name, v in fields.items())

    return (
        "ply\nformat binary_little_endian 1.0\n"
        f"element vertex {len(mesh.points)}\nproperty double x\nproperty double y\nproperty double z\n"
        f"{lines(mesh.point_data)}element face {len(mesh.types)}\nproperty list int int vertex_indices\n"
        f"{lines(mesh.cell_data)}end_header\n"
    )
