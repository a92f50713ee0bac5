"""Check what is on disk against what was committed, byte for byte."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from blake3 import blake3

from . import canonical, layout
from .errors import StoreError
from .reader import recompute_digest
from .store import Store


@dataclass(frozen=True, slots=True)
class Problem:
    """One damaged place: the artifact's digest (or the action key), the variable, the file, and what is wrong."""

    name: str
    variable: str | None
    file: str
    what: str

    def __str__(self) -> str:
        variable = f", variable {self.variable!r}" if self.variable else ""
        return f"{self.name}{variable}: {self.file} {self.what}"


def verify(store: Store, digests: Iterable[str] | None = None) -> Iterator[Problem]:
    """Check artifacts (all, and the action records, if none are named).

    Every file is read: chunks against their CRC-32C, metadata against its BLAKE3, the set of files against
    the manifest, and finally the artifact's values against the digest that names it.
    """
    if digests is None:
        yield from _check_records(store)
        yield from _strangers(store)
        digests = store.digests()
    for digest in digests:
        yield from _check_object(store, digest)


def repair(store: Store, problems: Iterable[Problem]) -> set[str]:
    """Remove damaged artifacts and every record that leads to them, so that the next run makes them again.

    Returns
    -------
    set of str
        The artifacts and keys that were removed.
    """
    damaged = {problem.name for problem in problems}
    for key, record in list(store.records()):
        if key in damaged or record is None or damaged & set(record.outputs.values()):
            store.forget(key)
    for digest in damaged:
        if digest in store:
            with store.scratch() as trash:
                os.rename(store.root / "objects" / digest[:2] / f"{digest}.zarr", trash / "object")
    return damaged


def _check_records(store: Store) -> Iterator[Problem]:
    for key, record in store.records():
        file = f"keys/{key[:2]}/{key}.json"
        if record is None:
            yield Problem(key, None, file, "is damaged: its checksum does not match")
        elif record.key != key:
            yield Problem(key, None, file, f"is the record of another action, {record.key}")
        else:
            for port, digest in record.outputs.items():
                if digest not in store:
                    yield Problem(key, None, file, f"points to artifact {digest} (port {port}), which is missing")


def _check_object(store: Store, digest: str) -> Iterator[Problem]:
    folder = store.root / "objects" / digest[:2] / f"{digest}.zarr"
    if digest[:2] != folder.parent.name or not folder.is_dir():
        yield Problem(digest, None, "", "is not in its place")
        return
    try:
        manifest = store.manifest(digest)
    except (StoreError, OSError) as error:
        yield Problem(digest, None, "manifest.json", f"is damaged: {error}")
        return
    found_any = False
    for problem in _check_files(folder, digest, manifest):
        found_any = True
        yield problem
    if found_any:
        return
    try:
        recomputed = recompute_digest(folder)
    except (StoreError, ValueError, LookupError, OSError) as error:  # only if the manifest itself lies
        yield Problem(digest, None, "", f"cannot be read: {error}")
        return
    if recomputed != digest or manifest["digest"] != digest:
        yield Problem(digest, None, "", f"holds content {recomputed}, not what its name says")


def _check_files(folder: Path, digest: str, manifest: dict[str, Any]) -> Iterator[Problem]:
    expected = {**manifest["files"], **manifest["metadata"], "manifest.json": None}
    present = set(_files_below(folder))
    for name in sorted(present - set(expected)):
        yield Problem(digest, layout.split_chunk_path(name)[0] or None, name, "does not belong to the artifact")
    for name in sorted(set(expected) - present):
        yield Problem(digest, layout.split_chunk_path(name)[0] or None, name, "is missing")
    for name in sorted(set(manifest["metadata"]) & present):
        if canonical.hexdigest(blake3((folder / name).read_bytes())) != manifest["metadata"][name]:
            yield Problem(digest, layout.split_chunk_path(name)[0] or None, name, "has changed: its BLAKE3 differs")
    for name in sorted(set(manifest["files"]) & present):
        size, crc = manifest["files"][name]
        data = np.fromfile(folder / name, np.uint8)
        if data.size != size:
            yield Problem(
                digest, layout.split_chunk_path(name)[0] or None, name, f"has {data.size:,} bytes, not {size:,}"
            )
            continue
        payload, stored = layout.split_checksum(data)
        if not layout.checksum(payload) == stored == crc:
            yield Problem(digest, layout.split_chunk_path(name)[0] or None, name, "has changed: its CRC-32C differs")


def _files_below(folder: Path) -> Iterator[str]:
    """Everything below ``folder`` that is not a folder with something in it, links to folders included."""
    for root, folders, names in os.walk(folder):
        links = [name for name in folders if Path(root, name).is_symlink()]
        empty = not names and not folders
        for path in [os.path.join(root, name) for name in names + links] + (
            [root] if empty and root != str(folder) else []
        ):
            yield os.path.relpath(path, folder)


def _strangers(store: Store) -> Iterator[Problem]:
    """Name what lies in ``objects/`` and ``keys/`` and is neither an object nor a record."""
    for section, pattern in (("objects", r"(..)/(\1[0-9a-f]{38})\.zarr(/.*)?"), ("keys", r"(..)/\1[\w.-]*\.json")):
        seen = set()
        for name in _files_below(store.root / section):
            top = "/".join(name.split("/")[:2])
            empty_shard = len(name) == 2 and (store.root / section / name).is_dir()
            if re.fullmatch(pattern, name) is None and not empty_shard and top not in seen:
                seen.add(top)
                yield Problem(section, None, top, "does not belong to the store")
