"""Gmsh 4.1 writer, ascii with all digits. meshio's cannot write mixed meshes, and NumPy 2 broke its ascii."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from .meshes import Array, Mesh, blocks_of

#: VTK type: Gmsh type, dimension, order of VTK's nodes in Gmsh.
_CELLS: dict[int, tuple[int, int, list[int] | None]] = {
    1: (15, 0, None), 3: (1, 1, None), 5: (2, 2, None), 9: (3, 2, None), 10: (4, 3, None), 12: (5, 3, None),
    13: (6, 3, None), 14: (7, 3, None), 21: (8, 1, None), 22: (9, 2, None), 23: (16, 2, None), 28: (10, 2, None),
    24: (11, 3, [0, 1, 2, 3, 4, 5, 6, 7, 9, 8]),
}  # fmt: skip
#: VTK types this module writes.
CELLS = frozenset(_CELLS)


def write(path: Path, mesh: Mesh, time: float | None = None) -> None:
    """Write one mesh with its float fields (1, 3 or 9 components)."""
    path.write_text("\n".join(_lines(mesh, 0.0 if time is None else time)) + "\n", encoding="utf-8")


def _lines(mesh: Mesh, time: float) -> Iterator[str]:
    yield "$MeshFormat\n4.1 0 8\n$EndMeshFormat"
    yield from _nodes(mesh)
    yield from _elements(mesh)
    for section, fields in (("NodeData", mesh.point_data), ("ElementData", mesh.cell_data)):
        yield from _data(section, fields, time)


def _nodes(mesh: Mesh) -> Iterator[str]:
    n = len(mesh.points)
    dimension = max(_CELLS[int(kind)][1] for kind in np.unique(mesh.types))
    yield f"$Nodes\n1 {n} 1 {n}\n{dimension} 1 0 {n}"
    yield from (str(i) for i in range(1, n + 1))
    yield from (f"{x!r} {y!r} {z!r}" for x, y, z in mesh.points.tolist())
    yield "$EndNodes"


def _elements(mesh: Mesh) -> Iterator[str]:
    blocks, m = blocks_of(mesh), len(mesh.types)
    yield f"$Elements\n{len(blocks)} {m} 1 {m}"
    for kind, cells, run in blocks:
        number, dimension, order = _CELLS[kind]
        yield f"{dimension} 1 {number} {len(cells)}"
        nodes = (cells if order is None else cells[:, order]) + 1
        table = np.column_stack([np.arange(run.start, run.stop) + 1, nodes])
        yield from (" ".join(map(str, row)) for row in table.tolist())
    yield "$EndElements"


def _data(section: str, fields: Mapping[str, Array], time: float) -> Iterator[str]:
    for name, values in fields.items():
        rows = values.reshape(len(values), -1).astype(np.float64).tolist()
        yield f'${section}\n1\n"{name}"\n1\n{time!r}\n3\n0\n{len(rows[0])}\n{len(rows)}'
        yield from (f"{i} " + " ".join(map(repr, row)) for i, row in enumerate(rows, 1))
        yield f"$End{section}"
