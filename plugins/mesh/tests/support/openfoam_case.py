"""Write a small OpenFOAM case from a structured hexahedral grid, from the documented file format alone (ASCII).

The layout (user guide, "mesh description"): ``points``; ``faces``, internal ones first, sorted by owner, then neighbour
(upper-triangular order); ``owner`` of each face; ``neighbour`` of each internal face; ``boundary``. A face's normal
points out of its owner, which is the cell with the smaller number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Field = Callable[[Array, float], Array]
#: Outward faces of a VTK hexahedron.
_FACES = [(0, 4, 7, 3), (1, 2, 6, 5), (0, 1, 5, 4), (3, 7, 6, 2), (0, 3, 2, 1), (4, 5, 6, 7)]


def hex_grid(shape: tuple[int, int, int], size: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> tuple[Array, Array]:
    """Points (n, 3) and VTK hexahedra (m, 8) of a box; x runs fastest, as in blockMesh."""
    nx, ny, nz = shape
    axes = [np.linspace(0.0, length, count + 1) for length, count in zip(size, shape, strict=True)]
    z, y, x = np.meshgrid(axes[2], axes[1], axes[0], indexing="ij")
    points = np.stack([x.ravel(), y.ravel(), z.ravel()], axis=1)
    k, j, i = (index.ravel() for index in np.meshgrid(range(nz), range(ny), range(nx), indexing="ij"))
    base = i + (nx + 1) * (j + (ny + 1) * k)
    up, right = (nx + 1) * (ny + 1), nx + 1
    floor = np.stack([base, base + 1, base + right + 1, base + right], axis=1)
    return points, np.concatenate([floor, floor + up], axis=1)


def write_case(
    case: Path, points: Array, cells: Array, times: Iterable[float], fields: Mapping[str, Field], processors: int = 0
) -> None:
    """Write mesh, controlDict and fields; a field is a function of cell centres (m, 3) and time.

    ``processors`` > 0 writes the decomposed layout: consecutive cells to each ``processor<i>``.
    """
    times = list(times)
    _write(case / "system/controlDict", "dictionary", _control(times), "controlDict")
    if not processors:
        _write_domain(case, points, cells, times, fields)
    for rank, part in enumerate(np.array_split(np.arange(len(cells)), processors) if processors else []):
        used, local = np.unique(cells[part], return_inverse=True)
        _write_domain(case / f"processor{rank}", points[used], local.reshape(-1, 8), times, fields)


def _write_domain(root: Path, points: Array, cells: Array, times: list[float], fields: Mapping[str, Field]) -> None:
    faces, owner, neighbour = polymesh(cells)
    mesh = root / "constant/polyMesh"
    _write(mesh / "points", "vectorField", _rows(f"({x!r} {y!r} {z!r})" for x, y, z in points.tolist()))
    _write(mesh / "faces", "faceList", _rows(f"{len(f)}({' '.join(map(str, f))})" for f in faces))
    _write(mesh / "owner", "labelList", _rows(map(str, owner)))
    _write(mesh / "neighbour", "labelList", _rows(map(str, neighbour)))
    start, count = len(neighbour), len(faces) - len(neighbour)
    walls = f"1\n(\nwalls\n{{\n    type wall;\n    nFaces {count};\n    startFace {start};\n}}\n)\n"
    _write(mesh / "boundary", "polyBoundaryMesh", walls)
    centres = points[cells].mean(axis=1)
    for time in times:
        for name, field in fields.items():
            _write_field(root / f"{time:g}" / name, name, field(centres, time))


def polymesh(cells: Array) -> tuple[list[tuple[int, ...]], list[int], list[int]]:
    """Faces, owner and neighbour of hexahedra, in OpenFOAM's order."""
    sides: dict[tuple[int, ...], list[tuple[int, tuple[int, ...]]]] = {}
    for number, cell in enumerate(cells.tolist()):
        for corners in _FACES:
            face = tuple(cell[corner] for corner in corners)
            sides.setdefault(tuple(sorted(face)), []).append((number, face))
    inner = sorted((a[0], b[0], a[1]) for a, b in (pair for pair in sides.values() if len(pair) == 2))
    outer = sorted(pair[0] for pair in sides.values() if len(pair) == 1)
    faces = [face for *_, face in inner] + [face for _, face in outer]
    return faces, [a for a, *_ in inner] + [a for a, _ in outer], [b for _, b, _ in inner]


def _write_field(path: Path, name: str, values: Array) -> None:
    vector = values.ndim == 2
    kind = "vector" if vector else "scalar"
    rows = (f"({a!r} {b!r} {c!r})" for a, b, c in values.tolist()) if vector else map(repr, values.tolist())
    zero = "(0 0 0)" if vector else "0"
    units = "[0 1 -1 0 0 0 0]" if vector else "[0 2 -2 0 0 0 0]"
    body = (
        f"dimensions {units};\n\ninternalField nonuniform List<{kind}>\n{_rows(rows)};\n\n"
        f"boundaryField\n{{\n    walls\n    {{\n        type fixedValue;\n        value uniform {zero};\n    }}\n}}\n"
    )
    _write(path, f"vol{kind.capitalize()}Field", body, name)


def _rows(rows: Iterable[str]) -> str:
    lines = list(rows)
    return f"{len(lines)}\n(\n" + "\n".join(lines) + "\n)\n"


def _control(times: list[float]) -> str:
    step = times[1] - times[0] if len(times) > 1 else 1
    return (
        "application icoFoam;\nstartFrom startTime;\nstartTime 0;\nstopAt endTime;\n"
        f"endTime {times[-1]:g};\ndeltaT {step:g};\nwriteControl timeStep;\nwriteInterval 1;\n"
    )


def _write(path: Path, kind: str, body: str, name: str | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    head = (
        f"FoamFile\n{{\n    version 2.0;\n    format ascii;\n    class {kind};\n    object {name or path.name};\n}}\n\n"
    )
    path.write_text(head + body, encoding="ascii")
