"""Check what is on disk against what was committed, byte for byte."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from blake3 import blake3

from . import canonical, files, layout
from .errors import CorruptArtifact, StoreError
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
            trash = store.scratch()
            os.rename(store.root / "objects" / digest[:2] / f"{digest}.zarr", trash / "object")
            files.remove_tree(trash)
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
    try:
        manifest = store.manifest(digest)
    except StoreError as error:
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
    except (CorruptArtifact, ValueError, OSError) as error:  # unreachable unless the manifest lies
        yield Problem(digest, None, "", f"cannot be read: {error}")
        return
    if recomputed != digest or manifest["digest"] != digest:
        yield Problem(digest, None, "", f"holds content {recomputed}, not what its name says")


def _check_files(folder: Path, digest: str, manifest: dict[str, Any]) -> Iterator[Problem]:
    expected = {**manifest["files"], **manifest["metadata"], "manifest.json": None}
    present = {
        os.path.relpath(os.path.join(root, name), folder) for root, _, names in os.walk(folder) for name in names
    }
    for name in sorted(present - set(expected)):
        yield Problem(digest, _variable(name), name, "does not belong to the artifact")
    for name in sorted(set(expected) - present):
        yield Problem(digest, _variable(name), name, "is missing")
    for name in sorted(set(manifest["metadata"]) & present):
        if canonical.hexdigest(blake3((folder / name).read_bytes())) != manifest["metadata"][name]:
            yield Problem(digest, _variable(name), name, "has changed: its BLAKE3 differs")
    for name in sorted(set(manifest["files"]) & present):
        size, crc = manifest["files"][name]
        data = np.fromfile(folder / name, np.uint8)
        if data.size != size:
            yield Problem(digest, _variable(name), name, f"has {data.size:,} bytes, not {size:,}")
            continue
        payload, stored = layout.split_checksum(data)
        if not layout.checksum(payload) == stored == crc:
            yield Problem(digest, _variable(name), name, "has changed: its CRC-32C differs")


def _variable(file: str) -> str | None:
    head, _, tail = file.rpartition("/zarr.json") if file.endswith("/zarr.json") else file.partition("/c")
    return (head or None) if _ or tail else None
