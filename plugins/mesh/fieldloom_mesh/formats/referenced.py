"""Which files belong to a mesh file: those that it names, and what they name. Light enough for planning."""

from __future__ import annotations

import html
import os
import re
from collections.abc import Iterator
from pathlib import Path

from fieldloom.outside import files_below

_ATTRIBUTE = re.compile(r"""(?:file|fileName|Source|href)\s*=\s*["']([^"']+)["']""")
_HDF_ITEM = re.compile(r">\s*([^<>:]+?):/")
_BINARY_ITEM = re.compile(r"""Format\s*=\s*["']Binary["'][^>]*>\s*([^<>]+?)\s*<""", re.IGNORECASE)
_XDMF = (".xdmf", ".xmf")
_INDEXES = (*_XDMF, ".pvd", ".vtm", ".pvtu", ".pvtp", ".pvts", ".pvtr", ".pvti")
_CASES = (".foam", ".openfoam")
_MOST = 64 * 2**20


def files_of(path: Path) -> dict[str, Path]:
    """List a mesh file with every file that it refers to, or all files below a case or folder.

    Raises
    ------
    FileNotFoundError
        If there is nothing at ``path``. Files that it names and that are missing are the reader's to report.
    """
    if path.suffix.lower() in _CASES:
        return files_below(path.parent) | files_below(path)
    if path.is_dir():
        return files_below(path)
    return files_below(path) | {_name(path, other): other for other in _referenced(path, {path.resolve()})}


def _name(root: Path, other: Path) -> str:
    return Path(os.path.relpath(other, root.resolve().parent)).as_posix()


def _referenced(path: Path, seen: set[Path]) -> Iterator[Path]:
    if path.suffix.lower() not in _INDEXES:
        return
    with path.open("rb") as file:
        text = file.read(_MOST).decode("utf-8", "replace")
    patterns = (_HDF_ITEM, _BINARY_ITEM, _ATTRIBUTE) if path.suffix.lower() in _XDMF else (_ATTRIBUTE,)
    for name in dict.fromkeys(name for pattern in patterns for name in pattern.findall(text)):
        other = (path.parent / html.unescape(name)).resolve()
        if other not in seen and other.is_file():
            seen.add(other)
            yield other
            yield from _referenced(other, seen)
