"""OFF, geometry only: counts, points, faces."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from .meshes import Mesh
from .obj import mesh_of_polygons


def read(path: Path) -> Iterator[tuple[None, Mesh]]:
    """Read ``OFF``; colours behind a face are not mesh."""
    lines = [line.split("#", 1)[0].split() for line in path.read_text("utf-8", "replace").splitlines()]
    lines = [words for words in lines if words]
    if not lines or lines[0][0] != "OFF":
        raise ValueError("an .off file begins with 'OFF'")
    head = lines[0][1:] or lines[1]
    body = lines[1:] if lines[0][1:] else lines[2:]
    n, m = int(head[0]), int(head[1])
    if len(body) < n + m:
        raise ValueError(f"it announces {n} points and {m} faces, but has {len(body)} lines for them")
    points = [[float(word) for word in words[:3]] for words in body[:n]]
    yield None, mesh_of_polygons(points, [_face(words) for words in body[n : n + m]])


def _face(words: list[str]) -> list[int]:
    size = int(words[0])
    if len(words) < size + 1:
        raise ValueError(f"a face announces {size} nodes, but lists {len(words) - 1}")
    return [int(word) for word in words[1 : size + 1]]


def write(path: Path, mesh: Mesh) -> None:
    """Write points with all digits, and faces."""
    points = "".join(f"{x!r} {y!r} {z!r}\n" for x, y, z in mesh.points.tolist())
    cells = np.split(mesh.connectivity, mesh.offsets[1:-1])
    faces = "".join(f"{len(cell)} " + " ".join(map(str, cell.tolist())) + "\n" for cell in cells)
    path.write_text(f"OFF\n{len(mesh.points)} {len(mesh.types)} 0\n{points}{faces}", encoding="ascii")
