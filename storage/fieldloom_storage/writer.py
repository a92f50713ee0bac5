"""Write xarray data as Zarr v3 in one pass: encode, hash, checksum, write.

Every array is fed through :class:`ArrayWriter` in blocks along its first axis, whether it comes from
memory, from a lazily opened artifact or from a :class:`Stream`; so the memory needed is one chunk per
array that is being written.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from blake3 import blake3

from . import canonical, files, layout
from .encoding import Encoding, check_name, encoding_of, root_attributes
from .errors import UnsupportedData
from .layout import ArraySpec
from .profile import Profile, Stream

if TYPE_CHECKING:
    import xarray as xr

FORMAT = 1  # of the manifest; readers refuse newer ones
_PIECE = 2**18  # bytes hashed and checksummed while they are in the cache
_WRITE = 2**20  # bytes a system call; smaller ones cost a quarter more


class ArrayWriter:
    """Write one array, block after block along its first axis.

    Parameters
    ----------
    folder : Path
        The array's folder; created.
    row_shape : tuple of int
        Shape without the first axis.
    rows : int, optional
        Length of the first axis where it is known beforehand.
    """

    def __init__(
        self, folder: Path, encoding: Encoding, row_shape: tuple[int, ...], rows: int | None, profile: Profile
    ) -> None:
        self._folder, self._encoding, self._profile = folder, encoding, profile
        self._row_shape = row_shape
        guess = rows if rows is not None else 2**62
        itemsize = encoding.itemsize
        self._chunk = layout.chunk_shape((guess, *row_shape), itemsize)
        self._hasher = blake3()
        self._buffer: np.ndarray[Any, Any] | None = None
        self._filled = self._rows = 0
        self.chunks: dict[str, list[int]] = {}
        folder.mkdir(parents=True)

    @property
    def rows_per_chunk(self) -> int:
        return self._chunk[0]

    def append(self, block: np.ndarray[Any, Any]) -> None:
        """Add rows. Whole chunks are written from the caller's memory; the rest is copied and waits for more."""
        rows = self._encoding.encode(block)
        while len(rows):
            if not self._filled and len(rows) >= self.rows_per_chunk:
                whole = len(rows) - len(rows) % self.rows_per_chunk
                self._write_rows(rows[:whole])
                rows = rows[whole:]
                continue
            if self._buffer is None:
                self._buffer = np.empty((self.rows_per_chunk, *self._row_shape), self._encoding.stored_dtype)
            taken = min(self.rows_per_chunk - self._filled, len(rows))
            self._buffer[self._filled : self._filled + taken] = rows[:taken]
            self._filled += taken
            rows = rows[taken:]
            if self._filled == self.rows_per_chunk:
                self._write_rows(self._buffer)
                self._filled = 0

    def finish(self) -> ArraySpec:
        """Write what waits and return the array's final description."""
        if self._filled and self._buffer is not None:
            if not self._rows:  # the only chunk: no larger than its content
                self._chunk = layout.chunk_shape((self._filled, *self._row_shape), self._encoding.itemsize)
            self._write_rows(self._buffer[: self._filled])
            self._filled = 0
        return ArraySpec(
            self._encoding.dims, self._encoding.data_type, (self._rows, *self._row_shape), self._encoding.attrs
        )

    def finish_scalar(self, value: np.ndarray[Any, Any]) -> ArraySpec:
        """Write a zero-dimensional array."""
        self._chunk = ()
        self._write_chunk("c", self._encoding.encode(value), ())
        return ArraySpec((), self._encoding.data_type, (), self._encoding.attrs)

    def metadata(self, spec: ArraySpec) -> dict[str, Any]:
        chunk = self._chunk if not spec.shape or spec.shape[0] else tuple(max(n, 1) for n in spec.shape)
        return layout.array_metadata(spec, chunk, self._profile)

    @property
    def values_digest(self) -> str:
        return canonical.hexdigest(self._hasher)

    def _write_rows(self, rows: np.ndarray[Any, Any]) -> None:
        """Write whole chunks (the last may be short) that start at row ``self._rows``."""
        first = self._rows // self.rows_per_chunk
        for index in layout.chunk_grid(rows.shape, self._chunk):
            region = tuple(slice(i * n, (i + 1) * n) for i, n in zip(index, self._chunk, strict=True))
            name = layout.chunk_name((first + index[0], *index[1:]))
            self._write_chunk(name, rows[region], self._chunk)
        self._rows += len(rows)

    def _make_room(self, name: str) -> Path:
        """Make the folders of a chunk inside the array's, which must still be there."""
        *folders, last = name.split("/")
        path = self._folder
        for folder in folders:
            path = path / folder
            if not path.is_dir():
                path.mkdir()
        return path / last

    def _write_chunk(self, name: str, block: np.ndarray[Any, Any], chunk: tuple[int, ...]) -> None:
        path = self._make_room(name)
        if self._encoding.data_type == layout.STRING:
            _, texts = layout.encode_strings(block)
            self._hasher.update(texts)
            header, texts = layout.encode_strings(_padded(block, chunk, ""))
            payload, hashed = np.concatenate([header, texts]), True
        else:
            block = np.asarray(block, order="C")
            hashed = block.shape != chunk
            if hashed:
                self._hasher.update(layout.as_bytes(block))
            payload = layout.as_bytes(_padded(block, chunk, 0))
        if self._profile.compresses:
            if not hashed:
                self._hasher.update(payload)
            payload, hashed = layout.compress(payload, self._encoding.typesize), True
        crc = 0
        with files.read_only_file(path) as write:
            for start in range(0, payload.size, _WRITE):
                block_bytes = payload[start : start + _WRITE]
                for inner in range(0, block_bytes.size, _PIECE):
                    piece = block_bytes[inner : inner + _PIECE]
                    if not hashed:
                        self._hasher.update(piece)
                    crc = layout.checksum(piece, crc)
                write(block_bytes)
            write(layout.checksum_bytes(crc))
        self.chunks[name] = [payload.size + 4, crc]


def write_object(folder: Path, data: xr.Dataset | xr.DataTree | Stream, profile: Profile) -> dict[str, Any]:
    """Write ``data`` as a Zarr v3 hierarchy with consolidated metadata below ``folder``, which must be new.

    Returns
    -------
    dict
        The manifest: ``digest`` of the logical content, ``files`` with size and CRC-32C of each chunk,
        ``metadata`` with the BLAKE3 of each ``zarr.json``, sizes in bytes.

    Raises
    ------
    UnsupportedData
        If a variable cannot be stored exactly.
    """
    import xarray as xr

    if isinstance(data, xr.DataTree):
        kind, groups = "datatree", {_relative(node, data): node.to_dataset(inherit=False) for node in data.subtree}
    elif isinstance(data, Stream):
        kind, groups = "dataset", {}
    elif isinstance(data, xr.Dataset):
        kind, groups = "dataset", {"/": data}
    else:
        raise UnsupportedData(f"expected an xarray Dataset or DataTree, or a Stream, got {type(data).__name__}")
    manifest: dict[str, Any] = {"format": FORMAT, "kind": kind, "profile": profile.name, "files": {}}
    documents: dict[str, dict[str, Any]] = {}
    content: dict[str, Any] = {}
    if isinstance(data, Stream):
        content["/"] = _write_stream(folder, data, profile, documents, manifest["files"])
    for path, dataset in groups.items():
        arrays = _write_arrays(folder, path.strip("/"), dataset, profile, documents, manifest["files"])
        content[path] = _group(path.strip("/"), dataset, arrays, documents)
    manifest["metadata"] = _write_documents(folder, documents)
    manifest["digest"] = content_digest(kind, content)
    manifest["nbytes"] = sum(_nbytes(array) for group in content.values() for array in group["arrays"].values())
    manifest["stored"] = sum(size for size, _ in manifest["files"].values())
    return manifest


def _relative(node: xr.DataTree, root: xr.DataTree) -> str:
    """Path of a group below the tree that is stored, which may itself be part of a larger one."""
    for ancestor in (node, *node.parents):
        if ancestor is root:
            break
        check_name(ancestor.name, "group of a tree")
    path = node.path.removeprefix(root.path.rstrip("/"))
    return path or "/"


def content_digest(kind: str, content: dict[str, Any]) -> str:
    """Name the logical content: {group path: {"attrs": ..., "arrays": {name: dims, dtype, shape, attrs, values}}}."""
    return canonical.digest({"schema": 1, "kind": kind, "groups": content})


def array_content(spec: ArraySpec, values_digest: str) -> dict[str, Any]:
    """Describe one array for :func:`content_digest`."""
    return {
        "dims": list(spec.dims),
        "dtype": spec.data_type,
        "shape": list(spec.shape),
        "attrs": spec.attrs,
        "values": values_digest,
    }


def _write_arrays(
    root: Path,
    group: str,
    dataset: xr.Dataset,
    profile: Profile,
    documents: dict[str, dict[str, Any]],
    chunks: dict[str, list[int]],
) -> dict[str, Any]:
    arrays: dict[str, Any] = {}
    names: list[Any] = sorted(dataset.variables, key=str)
    for name in names:
        check_name(name, "variable")
        variable = dataset.variables[name]
        path = f"{group}/{name}" if group else name
        encoding = encoding_of(path, variable, None if name in dataset.coords else profile.keepbits)
        if variable.ndim:
            writer = ArrayWriter(root / path, encoding, variable.shape[1:], variable.shape[0], profile)
            for block in _blocks(variable, writer.rows_per_chunk):
                writer.append(block)
            spec = writer.finish()
        else:
            writer = ArrayWriter(root / path, encoding, (), 1, profile)
            spec = writer.finish_scalar(np.asarray(variable.values))
        arrays[name] = _close(path, writer, spec, documents, chunks)
    return arrays


def _blocks(variable: xr.Variable, rows: int) -> Iterator[np.ndarray[Any, Any]]:
    """Read ``variable`` in slabs of whole chunks. Slicing leaves a lazy variable unloaded."""
    for start in range(0, variable.shape[0], rows):
        yield variable[start : start + rows].to_numpy()


def _write_stream(
    root: Path,
    stream: Stream,
    profile: Profile,
    documents: dict[str, dict[str, Any]],
    chunks: dict[str, list[int]],
) -> dict[str, Any]:
    growing: _Growing | None = None
    for block in stream.blocks:
        growing = growing or _Growing(root, stream.dim, block, profile)
        growing.append(block)
    if growing is None:
        raise UnsupportedData("the stream has no block, so its variables are unknown; yield at least one")
    arrays = _write_arrays(root, "", growing.fixed, profile, documents, chunks)
    for name, writer in growing.writers.items():
        arrays[name] = _close(name, writer, writer.finish(), documents, chunks)
    return _group("", growing.fixed, arrays, documents, growing.coordinates)


class _Growing:
    """The arrays of a stream, and what every block must have in common with the first."""

    def __init__(self, root: Path, dim: str, first: xr.Dataset, profile: Profile) -> None:
        self._dim, self._profile = dim, profile
        self._encodings = self._encodings_of(first)
        if not self._encodings:
            dims = ", ".join(map(str, first.sizes))
            raise UnsupportedData(f"no variable of the stream has the dimension {dim!r}; its dimensions are {dims}")
        self._rows = {name: first.variables[name].shape[1:] for name in self._encodings}
        self.fixed = first.drop_vars(list(self._encodings)).load().copy(deep=True)
        self.coordinates = [name for name in self._encodings if name in first.coords and name != dim]
        self.writers = {
            name: ArrayWriter(root / name, encoding, self._rows[name], None, profile)
            for name, encoding in self._encodings.items()
        }

    def append(self, block: xr.Dataset) -> None:
        """Write one block.

        Raises
        ------
        UnsupportedData
            If it differs from the first in anything but the values and number of its rows.
        """
        encodings = self._encodings_of(block)
        if different := [n for n in {**encodings, **self._encodings} if encodings.get(n) != self._encodings.get(n)]:
            raise UnsupportedData(
                f"variable {different[0]!r} of a block of the stream is {_described(encodings.get(different[0]))}, "
                f"in the first it was {_described(self._encodings.get(different[0]))}"
            )
        for name, shape in self._rows.items():
            if block.variables[name].shape[1:] != shape:
                found = block.variables[name].shape[1:]
                raise UnsupportedData(f"variable {name!r}: a block's rows have shape {found}, the first's {shape}")
        if not block.drop_vars(list(self._encodings)).identical(self.fixed):
            raise UnsupportedData(
                f"what does not grow along {self._dim!r} (variables, attributes) differs between blocks"
            )
        for name, writer in self.writers.items():
            writer.append(block.variables[name].to_numpy())

    def _encodings_of(self, block: Any) -> dict[str, Encoding]:
        import xarray as xr

        if not isinstance(block, xr.Dataset):
            raise UnsupportedData(f"a block of a stream should be an xarray Dataset, got {type(block).__name__}")
        found = {}
        for name, variable in block.variables.items():
            check_name(name, "variable")
            if self._dim not in variable.dims:
                continue
            if variable.dims[0] != self._dim:
                raise UnsupportedData(
                    f"variable {name!r} has dims {variable.dims}; a stream along {self._dim!r} needs it first: "
                    f"transpose({self._dim!r}, ...)"
                )
            found[str(name)] = encoding_of(
                str(name), variable, None if name in block.coords else self._profile.keepbits
            )
        return found


def _described(encoding: Encoding | None) -> str:
    if encoding is None:
        return "absent"
    return f"{encoding.data_type}{f' ({encoding.time_unit})' if encoding.time_unit else ''} on {encoding.dims}"


def _close(
    path: str, writer: ArrayWriter, spec: ArraySpec, documents: dict[str, dict[str, Any]], chunks: dict[str, list[int]]
) -> dict[str, Any]:
    documents[path] = writer.metadata(spec)
    chunks.update({f"{path}/{name}": entry for name, entry in writer.chunks.items()})
    return array_content(spec, writer.values_digest)


def _group(
    path: str,
    dataset: xr.Dataset,
    arrays: dict[str, Any],
    documents: dict[str, dict[str, Any]],
    coordinates: Iterable[str] = (),
) -> dict[str, Any]:
    attrs = root_attributes(dataset, coordinates)
    documents[path] = {"zarr_format": 3, "node_type": "group", "attributes": attrs}
    return {"attrs": attrs, "arrays": arrays}


def _write_documents(root: Path, documents: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Write every ``zarr.json``, the root's with the others consolidated into it; return their hashes."""
    below = {path: document for path, document in sorted(documents.items()) if path}
    consolidated = {"kind": "inline", "must_understand": False, "metadata": below}
    hashes: dict[str, str] = {}
    for path, document in {**below, "": {**documents[""], "consolidated_metadata": consolidated}}.items():
        data = canonical.dumps(document)
        (root / path).mkdir(parents=True, exist_ok=True)
        with files.read_only_file(root / path / "zarr.json") as write:
            write(data)
        hashes[f"{path}/zarr.json".lstrip("/")] = canonical.hexdigest(blake3(data))
    return hashes


def _nbytes(array: dict[str, Any]) -> int:
    itemsize = layout.STRING_BYTES if array["dtype"] == layout.STRING else np.dtype(array["dtype"]).itemsize
    return int(math.prod(array["shape"]) * itemsize)


def _padded(block: np.ndarray[Any, Any], chunk: tuple[int, ...], fill: Any) -> np.ndarray[Any, Any]:
    """Extend an edge block to the full chunk that Zarr stores."""
    if block.shape == chunk:
        return block
    padding = [(0, full - size) for size, full in zip(block.shape, chunk, strict=True)]
    return np.pad(block, padding, constant_values=fill)
