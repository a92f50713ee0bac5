"""Remove what no kept run, pin or fresh use needs, while writers and readers go on.

Why this loses nothing that is in use:

1. Objects are listed before the roots, so what is stored later is not a candidate.
2. Whoever stores, records or looks up an artifact freshens its time stamp under the shared gate.
3. An object goes under the exclusive gate, only if its stamp is still older than the grace period, and its
   action records go first; so a lookup either comes before (and freshens) or finds no record.
4. It is renamed to the trash in one step, then deleted: a reader never sees half of it.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from . import files, locks
from .store import Store

DEFAULT_GRACE = 3600.0  # seconds
_TEMPORARY = 3600.0  # seconds after which a temporary file is a leftover; writing one takes milliseconds


@dataclass(frozen=True, slots=True)
class Collected:
    """What :func:`collect` removed, or would: artifacts with their bytes, and leftovers of dead processes."""

    artifacts: tuple[str, ...]
    stored: int
    leftovers: int


def collect(
    store: Store, *, grace: float = DEFAULT_GRACE, dry_run: bool = False, without_runs: Collection[str] = ()
) -> Collected:
    """Remove the artifacts that no run in the ledger and no pin reaches.

    Parameters
    ----------
    grace : float
        Seconds for which an artifact is spared after it was last stored, recorded or looked up. It must
        exceed the time between a lookup and the ledger entry of the run that made it (milliseconds).
    without_runs : collection of str
        Runs that keep nothing alive: what a dry run would have forgotten.
    """
    candidates = [digest for digest in store.digests() if store.age(digest) > grace]
    roots = store.ledger.artifacts(without_runs) | store.pins()
    doomed = [digest for digest in candidates if digest not in roots]
    keys_of: dict[str, list[str]] = {}
    if doomed:
        for key, record in store.records():
            for digest in record.outputs.values() if record else ():
                keys_of.setdefault(digest, []).append(key)
    removed, stored = [], 0
    for digest in doomed:
        with contextlib.suppress(Exception):  # a damaged manifest has no size; the object goes all the same
            stored += store.artifact(digest).stored
        if dry_run or _remove(store, digest, keys_of.get(digest, []), grace):
            removed.append(digest)
    return Collected(tuple(removed), stored, 0 if dry_run else _sweep(store, grace))


def _remove(store: Store, digest: str, keys: list[str], grace: float) -> bool:
    with store.scratch() as trash, locks.exclusive(store.root / "leases" / "gate"):
        if store.age(digest) <= grace:
            return False
        for key in keys:
            store.forget(key)
        os.rename(store.root / "objects" / digest[:2] / f"{digest}.zarr", trash / "object")
    return True


def _sweep(store: Store, grace: float) -> int:
    """Remove staging of dead processes, unheld leases, and checkpoints that nobody works on any more."""
    swept = 0
    for path in (store.root / "tmp").iterdir():
        left = locks.is_abandoned(path) if path.is_dir() else _is_old(path, _TEMPORARY)
        if left:
            _discard(path)
            swept += 1
    for lease in (store.root / "leases").glob("*.lock"):
        if lock := locks.try_lock(lease):
            lock.release()  # removes the file
            swept += 1
    for folder in (store.root / "checkpoints").iterdir():
        if _is_old(folder, grace) and not store.is_leased(folder.name):
            files.remove_tree(folder)
            swept += 1
    return swept


def _is_old(path: Path, age: float) -> bool:
    try:
        return time.time() - path.stat().st_mtime > age
    except FileNotFoundError:
        return False


def _discard(path: Path) -> None:
    if path.is_dir():
        files.remove_tree(path)
    else:
        path.unlink(missing_ok=True)
