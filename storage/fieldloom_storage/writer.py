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
from .encoding import Encoding, encoding_of, root_attributes
from .errors import UnsupportedData
from .layout import ArraySpec
from .profile import Profile, Stream

if TYPE_CHECKING:
    import xarray as xr

FORMAT = 1  # of the manifest; readers refuse newer ones
_PIECE = 2**18  # bytes hashed, checksummed and written while they are in the cache


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
        self._pending: list[np.ndarray[Any, Any]] = []
        self._pending_rows = self._rows = 0
        self.chunks: dict[str, list[int]] = {}
        folder.mkdir(parents=True)

    @property
    def rows_per_chunk(self) -> int:
        return self._chunk[0]

    def append(self, block: np.ndarray[Any, Any]) -> None:
        """Add rows; whole chunks are written at once, the rest waits for more."""
        if block.shape[1:] != self._row_shape:
            raise UnsupportedData(
                f"variable {self._folder.name!r}: a block of the stream has rows of shape {block.shape[1:]}, "
                f"the first had {self._row_shape}"
            )
        self._pending.append(self._encoding.encode(block))
        self._pending_rows += len(block)
        if self._pending_rows >= self.rows_per_chunk:
            rows = self._take_pending()
            whole = len(rows) - len(rows) % self.rows_per_chunk
            self._write_rows(rows[:whole])
            if whole < len(rows):
                self._pending, self._pending_rows = [rows[whole:]], len(rows) - whole

    def finish(self) -> ArraySpec:
        """Write what waits and return the array's final description."""
        rest = self._take_pending()
        if len(rest):
            if not self._rows:  # the only chunk: no larger than its content
                self._chunk = layout.chunk_shape((len(rest), *self._row_shape), self._encoding.itemsize)
            self._write_rows(rest)
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

    def _take_pending(self) -> np.ndarray[Any, Any]:
        blocks, self._pending, self._pending_rows = self._pending, [], 0
        if len(blocks) == 1:
            return blocks[0]
        if not blocks:
            return np.empty((0, *self._row_shape), self._encoding.stored_dtype)
        return np.concatenate(blocks)

    def _write_rows(self, rows: np.ndarray[Any, Any]) -> None:
        """Write whole chunks (the last may be short) that start at row ``self._rows``."""
        first = self._rows // self.rows_per_chunk
        for index in layout.chunk_grid(rows.shape, self._chunk):
            region = tuple(slice(i * n, (i + 1) * n) for i, n in zip(index, self._chunk, strict=True))
            name = layout.chunk_name((first + index[0], *index[1:]))
            self._write_chunk(name, rows[region], self._chunk)
        self._rows += len(rows)

    def _write_chunk(self, name: str, block: np.ndarray[Any, Any], chunk: tuple[int, ...]) -> None:
        path = self._folder / name
        if not path.parent.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
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
            for start in range(0, payload.size, _PIECE):
                piece = payload[start : start + _PIECE]
                if not hashed:
                    self._hasher.update(piece)
                crc = layout.checksum(piece, crc)
                write(piece)
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
        kind, groups = "datatree", {node.path: node.to_dataset(inherit=False) for node in data.subtree}
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
    manifest["digest"] = content_digest(content)
    manifest["nbytes"] = sum(_nbytes(array) for group in content.values() for array in group["arrays"].values())
    manifest["stored"] = sum(size for size, _ in manifest["files"].values())
    return manifest


def content_digest(content: dict[str, Any]) -> str:
    """Name the logical content: {group path: {"attrs": ..., "arrays": {name: dims, dtype, shape, attrs, values}}}."""
    return canonical.digest({"schema": 1, "groups": content})


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
    for name in sorted(map(str, dataset.variables)):
        variable = dataset.variables[name]
        path = f"{group}/{name}" if group else name
        encoding = encoding_of(path, variable, profile)
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
    """Read ``variable`` in slabs of whole chunks; nothing larger is ever in memory."""
    if variable.shape[0] <= rows:
        yield variable.to_numpy()
        return
    for start in range(0, variable.shape[0], rows):
        yield variable[start : start + rows].to_numpy()


def _write_stream(
    root: Path, stream: Stream, profile: Profile, documents: dict[str, dict[str, Any]], chunks: dict[str, list[int]]
) -> dict[str, Any]:
    writers: dict[str, ArrayWriter] = {}
    first: xr.Dataset | None = None
    for block in stream.blocks:
        if first is None:
            writers = {
                name: _growing(root, name, block, stream.dim, profile)
                for name in map(str, block.variables)
                if stream.dim in block.variables[name].dims
            }
            first = block.drop_vars(list(writers)).load()
            coordinates = [name for name in writers if name in block.coords and block[name].dims != (name,)]
        if missing := [name for name in writers if name not in block.variables]:
            raise UnsupportedData(f"a block of the stream lacks {', '.join(missing)}, which the first block had")
        for name, writer in writers.items():
            writer.append(block.variables[name].to_numpy())
    if first is None:
        raise UnsupportedData("the stream has no block, so its variables are unknown; yield at least one")
    arrays = _write_arrays(root, "", first, profile, documents, chunks)
    for name, writer in writers.items():
        arrays[name] = _close(name, writer, writer.finish(), documents, chunks)
    return _group("", first, arrays, documents, coordinates)


def _growing(root: Path, name: str, block: xr.Dataset, dim: str, profile: Profile) -> ArrayWriter:
    variable = block.variables[name]
    if variable.dims[0] != dim:
        raise UnsupportedData(
            f"variable {name!r} has dims {variable.dims}; a stream along {dim!r} needs {dim!r} first: "
            f"transpose({dim!r}, ...)"
        )
    return ArrayWriter(root / name, encoding_of(name, variable, profile), variable.shape[1:], None, profile)


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
