"""Fieldloom's store: immutable artifacts in plain Zarr v3, named by their content.

>>> store = Store("results")                       # doctest: +SKIP
>>> artifact = store.put(dataset)                  # doctest: +SKIP
>>> store.open(artifact.digest)                    # doctest: +SKIP
"""

from .errors import (
    ArtifactNotFound,
    CorruptArtifact,
    StoreError,
    StoreFormatError,
    StoreFull,
    StoreReadOnly,
    UnsupportedData,
)
from .ledger import Ledger
from .profile import Profile, Stream
from .store import Artifact, Record, Store

__all__ = [
    "Artifact",
    "ArtifactNotFound",
    "CorruptArtifact",
    "Ledger",
    "Profile",
    "Record",
    "Store",
    "StoreError",
    "StoreFormatError",
    "StoreFull",
    "StoreReadOnly",
    "Stream",
    "UnsupportedData",
]
