"""Open stored objects as lazy xarray data. Every chunk's checksum is verified as it is read.

Reads need NumPy only, so they survive ``fork`` (data loaders) and never return a fill value for a chunk
that has gone missing. ``xarray.open_zarr`` on the same folder gives identical data.
"""

from __future__ import annotations

import json
import math
import operator
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from blake3 import blake3
from xarray.backends import BackendArray
from xarray.core import indexing

from . import canonical, layout
from .encoding import decode_times
from .errors import CorruptArtifact
from .layout import STRING, ArraySpec
from .writer import FORMAT, array_content, content_digest

if TYPE_CHECKING:
    import xarray as xr


class StoredArray(BackendArray):
    """One array on disk, read lazily chunk by chunk (xarray's backend protocol)."""

    def __init__(self, folder: Path, label: str, metadata: dict[str, Any], checksums: dict[str, list[int]]) -> None:
        self._folder, self._label, self._checksums = folder, label, checksums
        self._chunk = tuple(metadata["chunk_grid"]["configuration"]["chunk_shape"])
        self._compressed = any(codec["name"] == "blosc" for codec in metadata["codecs"])
        self.spec = ArraySpec(
            tuple(metadata["dimension_names"]), metadata["data_type"], tuple(metadata["shape"]), metadata["attributes"]
        )
        self.shape, self.dtype = self.spec.shape, self.spec.dtype

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.BASIC, self._read)

    def _read(self, key: tuple[int | slice, ...]) -> Any:
        bounds, steps = zip(*map(_bounds, key, self.shape), strict=True) if key else ((), ())
        block = self.read_region(bounds)
        picked = block[tuple(slice(None, None, step) if step else 0 for step in steps)]
        return picked

    def read_region(self, bounds: tuple[tuple[int, int], ...]) -> np.ndarray[Any, Any]:
        """Read the box ``[(start, stop), ...]``; whole chunks go straight into the result."""
        out = np.empty([stop - start for start, stop in bounds], self.dtype)
        if not out.size:
            return out
        spans = [range(a // n, (b - 1) // n + 1) for (a, b), n in zip(bounds, self._chunk, strict=True)]
        for index in product(*spans):
            origin = [i * n for i, n in zip(index, self._chunk, strict=True)]
            inside = [(max(a, o), min(b, o + n)) for (a, b), o, n in zip(bounds, origin, self._chunk, strict=True)]
            target: tuple[Any, ...] = tuple(
                slice(lo - a, hi - a) for (lo, hi), (a, _) in zip(inside, bounds, strict=True)
            )
            view = out[(*target, ...)]
            if view.shape == self._chunk and view.flags.c_contiguous and self._reads_in_place:
                self._read_into(index, layout.as_bytes(view))
            else:
                source = tuple(slice(lo - o, hi - o) for (lo, hi), o in zip(inside, origin, strict=True))
                view[...] = self.read_chunk(index)[source]
        return out

    @property
    def _reads_in_place(self) -> bool:
        return not self._compressed and self.spec.data_type != STRING

    def read_chunk(self, index: tuple[int, ...]) -> np.ndarray[Any, Any]:
        """Read, verify and decode one whole chunk."""
        if self._reads_in_place:
            block = np.empty(self._chunk, self.dtype)
            self._read_into(index, layout.as_bytes(block))
            return block
        path = self._folder / layout.chunk_name(index)
        try:
            data = np.fromfile(path, np.uint8)
        except FileNotFoundError:
            raise self._corrupt(index, "is missing") from None
        payload, stored = layout.split_checksum(data)
        if not layout.checksum(payload) == stored == self._expected(index):
            raise self._corrupt(index, "fails its checksum")
        if self._compressed:
            payload = layout.decompress(payload)
        if self.spec.data_type == STRING:
            return layout.decode_strings(payload, self._chunk)
        return payload.view(self.dtype).reshape(self._chunk)

    def _read_into(self, index: tuple[int, ...], out: layout.Bytes) -> None:
        try:
            with open(self._folder / layout.chunk_name(index), "rb", buffering=0) as file:
                crc = 0
                for start in range(0, out.size, 2**18):
                    piece = out[start : start + 2**18]
                    if file.readinto(piece) != piece.size:
                        raise self._corrupt(index, "is truncated")
                    crc = layout.checksum(piece, crc)
                if file.read(5) != layout.checksum_bytes(crc) or crc != self._expected(index):
                    raise self._corrupt(index, "fails its checksum")
        except FileNotFoundError:
            raise self._corrupt(index, "is missing") from None

    def _expected(self, index: tuple[int, ...]) -> int | None:
        """The checksum that the manifest has, so that a chunk in another's place is noticed, too."""
        return self._checksums.get(layout.chunk_name(index), [0, None])[1]

    def _corrupt(self, index: tuple[int, ...], what: str) -> CorruptArtifact:
        return CorruptArtifact(
            f"artifact {self._label}: chunk {layout.chunk_name(index)} of variable {self._folder.name!r} {what}. "
            "Run `fieldloom verify --repair`, then the flow again: the damaged artifact is recomputed."
        )

    def values_digest(self) -> str:
        """Recompute the digest of the values from disk, one chunk in memory at a time."""
        hasher = blake3()
        for index in layout.chunk_grid(self.shape, self._chunk):
            region: tuple[Any, ...] = tuple(
                slice(0, n - i * c) for i, n, c in zip(index, self.shape, self._chunk, strict=True)
            )
            block = self.read_chunk(index)[(*region, ...)]  # the ellipsis keeps a scalar an array
            if self.spec.data_type == STRING:
                hasher.update(layout.encode_strings(block)[1])
            else:
                hasher.update(layout.as_bytes(np.ascontiguousarray(block)))
        return canonical.hexdigest(hasher)


def open_object(folder: Path) -> xr.Dataset | xr.DataTree:
    """Open the object in ``folder`` lazily; a Dataset, or the DataTree that was stored.

    Raises
    ------
    CorruptArtifact
        If manifest or metadata are not what was committed.
    """
    import xarray as xr

    manifest = read_manifest(folder)
    datasets = {path: _dataset(attrs, arrays) for path, (attrs, arrays) in _arrays(folder, manifest).items()}
    return datasets["/"] if manifest["kind"] == "dataset" else xr.DataTree.from_dict(datasets)


def recompute_digest(folder: Path) -> str:
    """Recompute the content digest of the object in ``folder`` from its bytes."""
    manifest = read_manifest(folder)
    return content_digest(
        manifest["kind"],
        {
            path: {"attrs": attrs, "arrays": {n: array_content(a.spec, a.values_digest()) for n, a in arrays.items()}}
            for path, (attrs, arrays) in _arrays(folder, manifest).items()
        },
    )


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read the manifest of the object in ``folder``.

    Raises
    ------
    CorruptArtifact
        If a bit of it has changed, or a newer version wrote it.
    FileNotFoundError
        If there is none.
    """
    try:
        manifest = canonical.unseal((folder / "manifest.json").read_bytes())
    except (ValueError, RecursionError) as error:
        raise CorruptArtifact(f"artifact {folder.stem}: manifest.json is damaged: {error}") from error
    if manifest["format"] > FORMAT:
        raise CorruptArtifact(f"artifact {folder.stem} was written by a newer version; upgrade fieldloom")
    return manifest


def _arrays(folder: Path, manifest: dict[str, Any]) -> dict[str, tuple[dict[str, Any], dict[str, StoredArray]]]:
    data = (folder / "zarr.json").read_bytes()
    if canonical.hexdigest(blake3(data)) != manifest["metadata"]["zarr.json"]:
        raise CorruptArtifact(f"artifact {folder.stem}: zarr.json has changed. Run `fieldloom verify --repair`.")
    root = json.loads(data)
    documents = {"": root, **root["consolidated_metadata"]["metadata"]}
    groups: dict[str, tuple[dict[str, Any], dict[str, StoredArray]]] = {
        f"/{path}": (document["attributes"], {})
        for path, document in documents.items()
        if document["node_type"] == "group"
    }
    checksums: dict[str, dict[str, list[int]]] = {}
    for file, entry in manifest["files"].items():
        array, chunk = layout.split_chunk_path(file)
        checksums.setdefault(array, {})[chunk] = entry
    for path, document in documents.items():
        if document["node_type"] == "array":
            group, _, name = path.rpartition("/")
            groups[f"/{group}"][1][name] = StoredArray(folder / path, folder.stem, document, checksums.get(path, {}))
    return groups


def _dataset(attrs: dict[str, Any], arrays: dict[str, StoredArray]) -> xr.Dataset:
    import xarray as xr

    variables = {}
    for name, array in arrays.items():
        lazy: Any = indexing.LazilyIndexedArray(array)
        lazy = indexing.MemoryCachedArray(indexing.CopyOnWriteArray(lazy))  # type: ignore[no-untyped-call]  # xarray's
        variables[name] = decode_times(name, xr.Variable(array.spec.dims, lazy, array.spec.attrs))
    listed = attrs.get("coordinates", "").split()
    own = {key: value for key, value in attrs.items() if key != "coordinates"}
    return xr.Dataset(variables, attrs=own).set_coords(listed)


def _bounds(key: int | slice, size: int) -> tuple[tuple[int, int], int]:
    """Reduce one basic index to a box side and the step to take in it (0: drop the axis)."""
    if isinstance(key, int | np.integer):
        start = operator.index(key)
        if not -size <= start < size:
            raise IndexError(f"index {start} is out of bounds for an axis of {size}")
        return (start % size, start % size + 1), 0
    start, stop, step = key.indices(size)
    count = math.ceil((stop - start) / step) if (stop - start) * step > 0 else 0
    if not count:
        return (0, 0), 1
    last = start + (count - 1) * step
    return ((start, last + 1), step) if step > 0 else ((last, start + 1), step)
