"""Make broken mesh files from good ones, the same ones for the same seed."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

_HUGE = b"99999999999"


def damages(content: bytes, seed: int) -> Iterator[tuple[str, bytes]]:
    """Name and content of each broken version of a file."""
    rng = np.random.default_rng(seed)
    yield "empty", b""
    for share in (0.02, 0.25, 0.5, 0.8, 0.99):
        yield f"cut-{share:g}", content[: int(len(content) * share)]
    yield "cut-last-byte", content[:-1]
    for i, count in enumerate((1, 8, 64, max(len(content) // 20, 100))):
        yield f"flip-{count}-{i}", _flipped(content, count, rng, 0)
    yield "flip-head", _flipped(content[:512], 12, rng, 0) + content[512:]
    yield "text", b"this is not a mesh\n" * 40
    yield "binary", rng.integers(0, 256, 4096, dtype=np.uint8).tobytes()
    yield "head-and-binary", content[:200] + rng.integers(0, 256, 4096, dtype=np.uint8).tobytes()
    yield "zeros-in-the-middle", _zeroed(content)
    yield "doubled", content + content
    for i, version in enumerate(_huge_counts(content)):
        yield f"huge-{i}", version


def _flipped(content: bytes, count: int, rng: np.random.Generator, start: int) -> bytes:
    data = np.frombuffer(content, np.uint8).copy()
    at = rng.integers(start, len(data), count)
    data[at] ^= rng.integers(1, 256, count, dtype=np.uint8)
    return data.tobytes()


def _zeroed(content: bytes) -> bytes:
    third = len(content) // 3
    return content[:third] + bytes(third) + content[2 * third :]


def _huge_counts(content: bytes) -> Iterator[bytes]:
    """Replace each of the first numbers of a text head; where there is none, write 0x7f into 4 bytes of the head."""
    found = [m for m in re.finditer(rb'(?<=[ "\n(])\d+(?=[ "\n)])', content[:4000]) if len(m[0]) < 9]
    for match in found[:6]:
        yield content[: match.start()] + _HUGE + content[match.end() :]
        yield content[: match.start()] + b"-7" + content[match.end() :]
    for at in (4, 80, 84, 200) if len(found) < 2 else ():
        yield content[:at] + b"\xff\xff\xff\x7f" + content[at + 4 :]


def make(good: dict[str, Path], folder: Path, seed: int = 0) -> dict[str, Path]:
    """Write broken versions of each good file (of one file inside a case folder); label to path."""
    out = {}
    for number, (kind, path) in enumerate(good.items()):
        for target in _targets(path):
            for name, content in damages(target.read_bytes(), seed + number):
                place = folder / f"{kind.strip('.').replace(' ', '-')}-{target.name}" / name
                out[f"{kind}|{target.name}|{name}"] = _copy(path, target, content, place)
    return out


def _targets(path: Path) -> list[Path]:
    if path.is_dir():
        return [path / "constant/polyMesh/faces", path / "constant/polyMesh/owner", path / "0.5/p"]
    names = {".xdmf": f"{path.stem}.h5", ".pvd": f"{path.stem}_0001.vtu", ".pvtu": f"{path.stem}_1.vtu"}
    beside = [path.with_name(names[path.suffix])] if path.suffix in names else []
    return [path, *beside]


def _copy(path: Path, target: Path, content: bytes, place: Path) -> Path:
    place.mkdir(parents=True)
    if path.is_dir():
        shutil.copytree(path, place / path.name)
    elif path.suffix in (".xdmf", ".pvd", ".pvtu", ".vtm"):
        for file in path.parent.glob(f"{path.stem}*"):
            (shutil.copytree if file.is_dir() else shutil.copy)(file, place / file.name)
    source = path if path.is_dir() else path.parent
    (place / path.name / target.relative_to(path) if path.is_dir() else place / target.relative_to(source)).write_bytes(
        content
    )
    return place / path.name
