"""OpenFOAM numbers with all their digits.

VTK's OpenFOAM reader finds cells and times, but keeps points and fields as 32-bit floats. Here the same numbers are
read again in 64 bits, and used only where they agree with VTK's: a file that we misread changes nothing.
"""

from __future__ import annotations

import gzip
import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from .meshes import Array, Mesh

_COMPONENTS = {"scalar": 1, "vector": 3, "tensor": 9, "symmTensor": 6, "sphericalTensor": 1}
_SYMMETRIC = [0, 3, 5, 1, 4, 2]  # OpenFOAM: xx xy xz yy yz zz; VTK: xx yy zz xy yz xz
_FIELD = re.compile(rb"internalField\s+nonuniform\s+List<(\w+)>\s*(\d+)\s*([({])")
_LIST = re.compile(rb"(?:^|\s)(\d+)\s*(\()")


def with_all_digits(case: Path, time: float | None, mesh: Mesh) -> tuple[Mesh, list[str]]:
    """Replace points and cell fields by their 64-bit values; name those that stay rounded to 32 bits."""
    roots = sorted(case.glob("processor[0-9]*"), key=lambda path: int(path.name[9:])) or [case]
    points = _joined([_first_of(root, time, "polyMesh/points") for root in roots])
    points = points if points is not None and _agree(points, mesh.points) else mesh.points
    fields = {name: _exact(roots, time, name, values) for name, values in mesh.cell_data.items()}
    rounded = [name for name, values in fields.items() if values.dtype == np.float32]
    rounded += ["the points"] if points is mesh.points else []
    notes = [f"{', '.join(rounded)}: values are rounded to 32 bits, as VTK reads them"] if rounded else []
    return replace(mesh, points=points, cell_data=fields), notes


def missing_fields(case: Path, time: float | None, found: set[str], seen: set[str]) -> list[str]:
    """Cell fields that lie in the time folder and were not found: VTK's reader passes over what it cannot parse."""
    root = next(iter(sorted(case.glob("processor[0-9]*"))), case)
    folders = [path for path in root.iterdir() if path.is_dir() and _is_time(path.name, time)]
    files = [path for folder in folders for path in folder.iterdir() if path.is_file()]
    names = {path.name.removesuffix(".gz") for path in files if path.name in seen or _is_cell_field(path)}
    return sorted(names - found)


def _is_cell_field(path: Path) -> bool:
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        return re.search(rb"class\s+vol\w+Field", file.read(2048)) is not None


def _exact(roots: list[Path], time: float | None, name: str, values: Array) -> Array:
    found = _joined([_first_of(root, time, name, len(values) if len(roots) == 1 else 0) for root in roots])
    return found if found is not None and _agree(found, values) else values


def _agree(found: Array, values: Array) -> bool:
    return found.shape == values.shape and np.allclose(found, values, rtol=1e-6, atol=0.0)


def _joined(parts: list[Array | None]) -> Array | None:
    known = [part for part in parts if part is not None]
    return np.concatenate(known) if len(known) == len(parts) else None


def _first_of(root: Path, time: float | None, name: str, count: int = 0) -> Array | None:
    """Numbers of ``<time>/<name>``, else of ``constant/<name>``; None if they cannot be read."""
    times = [path for path in root.iterdir() if path.is_dir() and _is_time(path.name, time)]
    for folder in [*times, root / "constant"]:
        for path in (folder / name, folder / f"{name}.gz"):
            if path.is_file():
                content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
                try:
                    return _numbers(content, count)
                except (ValueError, KeyError, IndexError):
                    return None
    return None


def _is_time(name: str, time: float | None) -> bool:
    try:
        return time is not None and float(name) == time
    except ValueError:
        return False


def _numbers(content: bytes, count: int) -> Array | None:
    header = content.index(b"}") + 1
    head, body = content[:header], content[header:]
    field = b"internalField" in body
    match = _FIELD.search(body) if field else _LIST.search(body)
    if match is None:
        return _uniform(body, count) if field and count else None
    kind = match[1].decode() if field else "vector"
    total, components = int(match[2] if field else match[1]), _COMPONENTS[kind]
    if match[match.lastindex or 0] == b"{":
        return None
    values = _list(head, body[match.end() :], total * components)
    shaped = values.reshape(total, components) if components > 1 else values
    return shaped[:, _SYMMETRIC] if kind == "symmTensor" else shaped


def _list(head: bytes, body: bytes, count: int) -> Array:
    if b"binary" in head:
        size = re.search(rb"scalar=(\d+)", head)
        dtype = np.dtype(f"<f{int(size[1]) // 8 if size else 8}")
        return np.frombuffer(body, dtype=dtype, count=count).astype(np.float64)
    text = body.split(b";", 1)[0].translate(bytes.maketrans(b"()", b"  "))
    return np.array(text.split()[:count], dtype=np.float64)


def _uniform(body: bytes, count: int) -> Array | None:
    match = re.search(rb"internalField\s+uniform\s+([^;]+);", body)
    if match is None:
        return None
    value = np.array(match[1].translate(bytes.maketrans(b"()", b"  ")).split(), dtype=np.float64)
    value = value[_SYMMETRIC] if len(value) == 6 else value
    return np.repeat(value[None], count, axis=0) if len(value) > 1 else np.repeat(value, count)
