"""Files outside the store that stages read: found, and fingerprinted by their content."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path

MAX_FILES = 100_000


def files_below(path: Path) -> dict[str, Path]:
    """List a file, or every file below a folder, by the name relative to its parent. Hidden ones are left out.

    Raises
    ------
    FileNotFoundError
        If there is nothing at ``path``, or no file below it.
    ValueError
        If there are more than ``MAX_FILES``.
    """
    if path.is_file():
        return {path.name: path}
    if not path.is_dir():
        raise FileNotFoundError(f"there is no file or folder {str(path)!r} (looked for {path.absolute()})")
    found: dict[str, Path] = {}
    for item in _walk(path):
        found[f"{path.name}/{item.relative_to(path).as_posix()}"] = item
        if len(found) > MAX_FILES:
            raise ValueError(f"{str(path)!r} has more than {MAX_FILES:,} files; name the folder that is meant")
    if not found:
        raise FileNotFoundError(f"the folder {str(path)!r} is empty")
    return found


def _walk(root: Path) -> Iterator[Path]:
    """Files below a folder in a fixed order; links to folders are followed, each folder once."""
    seen = set()
    for folder, folders, files in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(folder) / name for name in sorted(files) if not name.startswith("."))


def digests(files: Mapping[str, Path]) -> dict[str, str]:
    """Fingerprint files by their content.

    Raises
    ------
    OSError
        If one cannot be read.
    """
    return {name: _digest(path, (stat := path.stat()).st_mtime_ns, stat.st_size) for name, path in files.items()}


@lru_cache(maxsize=MAX_FILES)
def _digest(path: Path, mtime: int, size: int) -> str:
    """Hash a file; one that kept its time and size is not read twice by one process."""
    from blake3 import blake3
    from fieldloom_storage import canonical

    hasher = blake3()
    if size:
        hasher.update_mmap(path)
    return canonical.hexdigest(hasher)
