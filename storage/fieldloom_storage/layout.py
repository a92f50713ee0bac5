"""How one array lies on disk: chunk shape, codecs, Zarr v3 metadata, and the chunk's bytes.

Chunks are contiguous pieces of the array in C order (trailing axes whole, one axis split, leading axes of
length one). So a chunk is written from, and read into, the caller's memory without a copy, and hashing
chunk after chunk hashes the array's bytes whatever the chunk size: the content digest does not depend on
the layout.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import google_crc32c
import numpy as np

from .errors import UnsupportedData
from .profile import Profile

CHUNK_BYTES = 16 * 2**20  # measured optimum between CPU per byte and files per array
STRING_BYTES = 64  # assumed mean length of a string when its chunk is sized
STRING = "string"  # Zarr's variable-length UTF-8 data type
_CRC_BYTES = 4
_CHUNK_PATH = re.compile(r"(.+?)/(c(?:/\d+)*)")

Bytes = np.ndarray[Any, np.dtype[np.uint8]]


@dataclass(frozen=True, slots=True)
class ArraySpec:
    """What Zarr records of one array. ``data_type`` is Zarr's name; ``attrs`` are JSON."""

    dims: tuple[str, ...]
    data_type: str
    shape: tuple[int, ...]
    attrs: dict[str, Any]

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(object) if self.data_type == STRING else np.dtype(self.data_type)

    @property
    def itemsize(self) -> int:
        return STRING_BYTES if self.data_type == STRING else self.dtype.itemsize


def chunk_shape(shape: tuple[int, ...], itemsize: int, target: int = CHUNK_BYTES) -> tuple[int, ...]:
    """Choose the largest contiguous chunk of at most ``target`` bytes, evenly sized along the split axis."""
    chunk = [1] * len(shape)
    room = max(target // itemsize, 1)
    for axis in reversed(range(len(shape))):
        size = max(shape[axis], 1)
        if size > room:
            chunk[axis] = -(-size // -(-size // room))
            break
        chunk[axis] = size
        room //= size
    return tuple(chunk)


def chunk_grid(shape: tuple[int, ...], chunk: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Enumerate chunk indices in C order."""
    return product(*(range(math.ceil(size / step)) for size, step in zip(shape, chunk, strict=True)))


def chunk_name(index: tuple[int, ...]) -> str:
    """Name the chunk's file relative to its array (Zarr v3 default key encoding)."""
    return "/".join(["c", *map(str, index)])


def split_chunk_path(file: str) -> tuple[str, str]:
    """Split ``group/array/c/0/1`` into the array's path and the chunk's name; the latter is empty for other files."""
    match = _CHUNK_PATH.fullmatch(file)
    return (match[1], match[2]) if match else (file.rpartition("/")[0], "")


def array_metadata(spec: ArraySpec, chunk: tuple[int, ...], profile: Profile) -> dict[str, Any]:
    """Build the ``zarr.json`` of one array (Zarr v3 core specification)."""
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(spec.shape),
        "data_type": spec.data_type,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(chunk)}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": _fill_value(spec),
        "codecs": _codecs(spec, profile),
        "attributes": spec.attrs,
        "dimension_names": list(spec.dims),
        "storage_transformers": [],
    }


def _fill_value(spec: ArraySpec) -> Any:
    if spec.data_type == STRING:
        return ""
    return {"b": False, "c": [0.0, 0.0], "f": 0.0}.get(spec.dtype.kind, 0)


def _codecs(spec: ArraySpec, profile: Profile) -> list[dict[str, Any]]:
    if spec.data_type == STRING:
        codecs: list[dict[str, Any]] = [{"name": "vlen-utf8"}]
    elif spec.dtype.itemsize == 1:
        codecs = [{"name": "bytes"}]
    else:
        codecs = [{"name": "bytes", "configuration": {"endian": "little"}}]
    if profile.compresses:
        configuration = {"cname": "lz4", "clevel": 1, "shuffle": "shuffle", "blocksize": 0}
        codecs.append({"name": "blosc", "configuration": {**configuration, "typesize": _typesize(spec)}})
    return [*codecs, {"name": "crc32c"}]


def _typesize(spec: ArraySpec) -> int:
    return 1 if spec.data_type == STRING else spec.dtype.itemsize


def as_bytes(block: np.ndarray[Any, Any]) -> Bytes:
    """View a C-contiguous block as bytes."""
    return block.reshape(-1).view(np.uint8)


def encode_strings(block: np.ndarray[Any, Any]) -> tuple[Bytes, Bytes]:
    """Encode strings as Zarr's ``vlen-utf8``: (header with the count, then length and UTF-8 bytes of each)."""
    parts: list[bytes] = []
    for text in block.reshape(-1):
        try:
            encoded = str(text).encode()
        except UnicodeEncodeError as error:
            raise UnsupportedData(f"the string {text!r} is not valid Unicode: {error.reason}") from error
        parts += [len(encoded).to_bytes(4, "little"), encoded]
    header = block.size.to_bytes(4, "little")
    return np.frombuffer(header, np.uint8), np.frombuffer(b"".join(parts), np.uint8)


def decode_strings(data: Bytes, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """Undo :func:`encode_strings` for one whole chunk."""
    raw, position = data.tobytes(), 4
    out = np.empty(math.prod(shape), dtype=object)
    for i in range(out.size):
        length = int.from_bytes(raw[position : position + 4], "little")
        out[i] = raw[position + 4 : position + 4 + length].decode()
        position += 4 + length
    return out.reshape(shape)


def compress(payload: Bytes, typesize: int) -> Bytes:
    """Compress with Blosc-LZ4, byte shuffle, level 1 (self-describing: decompression needs no settings)."""
    from numcodecs import blosc

    packed = blosc.compress(payload.view(f"V{typesize}") if typesize > 1 else payload, b"lz4", 1, blosc.SHUFFLE)
    return np.frombuffer(packed, np.uint8)


def decompress(payload: Bytes) -> Bytes:
    """Undo :func:`compress`."""
    from numcodecs import blosc

    return np.frombuffer(blosc.decompress(payload), np.uint8)


def checksum(payload: Bytes, start: int = 0) -> int:
    """CRC-32C of ``payload``, continued from ``start``."""
    return int(google_crc32c.extend(start, payload))


def checksum_bytes(crc: int) -> bytes:
    """How the ``crc32c`` codec appends its checksum to a chunk."""
    return crc.to_bytes(_CRC_BYTES, "little")


def split_checksum(data: Bytes) -> tuple[Bytes, int]:
    """Split a chunk's file into payload and the checksum stored behind it."""
    if data.size < _CRC_BYTES:
        return data, -1  # no checksum at all: matches nothing
    return data[:-_CRC_BYTES], int.from_bytes(data[-_CRC_BYTES:].tobytes(), "little")
