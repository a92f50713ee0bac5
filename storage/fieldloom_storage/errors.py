"""Everything the store can refuse to do, grouped by what a caller would do about it.

Each class is also the builtin exception it specialises, and carries a stable ``kind`` for machines.
"""

from __future__ import annotations


class StoreError(Exception):
    """Base of all errors that the store raises on purpose."""

    kind = "store"


class ArtifactNotFound(StoreError, KeyError):
    """No artifact, or no action record, of that name is in the store."""

    kind = "artifact-not-found"

    def __str__(self) -> str:  # KeyError would print the repr
        return str(self.args[0])


class CorruptArtifact(StoreError, ValueError):
    """What is on disk is not what was committed: a flipped bit, a missing or a truncated file."""

    kind = "corrupt-artifact"


class UnsupportedData(StoreError, TypeError):
    """The data cannot be stored without changing it (object arrays, multi-indexes, ...)."""

    kind = "unsupported-data"


class StoreFormatError(StoreError, ValueError):
    """The folder is not a store, or was written by a newer version."""

    kind = "store-format"


class StoreFull(StoreError, OSError):
    """The disk is full; nothing was committed."""

    kind = "store-full"


class StoreReadOnly(StoreError, PermissionError):
    """The store's folder cannot be written."""

    kind = "store-read-only"
