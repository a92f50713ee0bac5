"""States of unfinished actions, so that a long stage goes on where it was after a crash."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from . import files
from .errors import CorruptArtifact
from .store import Store

if TYPE_CHECKING:
    import xarray as xr


def save(store: Store, key: str, step: int, data: xr.Dataset | xr.DataTree) -> None:
    """Keep the state of action ``key`` after ``step``, whole or not at all; older states are dropped."""
    folder = _folder(store, key)
    with store.written(data, "saving a checkpoint") as (staged, _):
        files.make_folder(folder, durable=store.durable)
        final = folder / f"{step:012d}.zarr"
        if final.exists():
            os.rename(final, staged.with_name("replaced"))  # goes with the staging folder
        os.rename(staged, final)
        if store.durable:
            files.sync_directory(folder)
    for older in folder.glob("*.zarr"):
        if older.name < final.name:
            files.remove_tree(older)


def latest(store: Store, key: str) -> tuple[int, xr.Dataset | xr.DataTree] | None:
    """Load the newest intact state of action ``key``, with its step; None if there is none."""
    from .reader import open_object

    for folder in sorted(_folder(store, key).glob("*.zarr"), reverse=True):
        try:
            return int(folder.stem), open_object(folder).load()
        except (CorruptArtifact, OSError, ValueError, LookupError, TypeError):
            continue  # damaged: an older one will do
    return None


def clear(store: Store, key: str) -> None:
    """Drop the states of action ``key``."""
    files.remove_tree(_folder(store, key))


def _folder(store: Store, key: str) -> Path:
    return store.root / "checkpoints" / files.checked(key)
