"""Wavefront OBJ, geometry only. Own reader and writer: VTK's and meshio's keep 32-bit or drop mixed faces."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from .meshes import Mesh

_TYPE_OF_SIZE = {1: 1, 2: 3, 3: 5, 4: 9}


def read(path: Path) -> Iterator[tuple[None, Mesh]]:
    """Read points, faces, lines; texture coordinates, normals, groups and materials are not mesh."""
    points: list[list[float]] = []
    cells: list[list[int]] = []
    with path.open(encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(_joined(file), 1):
            words = line.split("#", 1)[0].split()
            try:
                if words[:1] == ["v"]:
                    points.append([float(word) for word in words[1:4]])
                elif words[:1] in (["f"], ["l"]):
                    cells.append([_node(word, len(points)) for word in words[1:]])
            except ValueError as exc:
                raise ValueError(f"line {number}: {exc}") from None
    yield None, mesh_of_polygons(points, cells)


def _joined(lines: Iterator[str]) -> Iterator[str]:
    pending = ""
    for line in lines:
        pending += line.rstrip("\n")
        if pending.endswith("\\"):
            pending = pending[:-1]
            continue
        yield pending
        pending = ""


def _node(word: str, count: int) -> int:
    index = int(word.split("/", 1)[0])
    return index + count if index < 0 else index - 1


def mesh_of_polygons(points: list[list[float]], cells: list[list[int]]) -> Mesh:
    """Mesh of faces given as lists of node numbers: triangles, quads, polygons; two nodes make a line."""
    sizes = np.array([len(cell) for cell in cells], dtype=np.int64)
    if any(len(point) != 3 for point in points):
        raise ValueError("a point has fewer than three coordinates")
    return Mesh(
        np.array(points, dtype=np.float64).reshape(-1, 3),
        np.array([node for cell in cells for node in cell], dtype=np.int64),
        np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        types_of_sizes(sizes),
    )


def types_of_sizes(sizes: np.ndarray) -> np.ndarray:
    """VTK types of faces by their number of nodes; more than four make a polygon."""
    known = np.array([0, 1, 3, 5, 9], dtype=np.uint8)
    return np.where(sizes <= 4, known[np.minimum(sizes, 4)], 7).astype(np.uint8)


def write(path: Path, mesh: Mesh) -> None:
    """Write points with all digits, and faces."""
    points = "".join(f"v {x!r} {y!r} {z!r}\n" for x, y, z in mesh.points.tolist())
    cells = np.split(mesh.connectivity + 1, mesh.offsets[1:-1])
    faces = "".join("f " + " ".join(map(str, cell.tolist())) + "\n" for cell in cells)
    path.write_text(points + faces, encoding="ascii")
