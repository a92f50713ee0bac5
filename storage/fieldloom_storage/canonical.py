"""Canonical JSON and the hash: one byte string, hence one digest, for one value."""

from __future__ import annotations

import json
from typing import Any

from blake3 import blake3


def plain(value: Any) -> Any:
    """Reduce ``value`` to JSON types: NumPy scalars and arrays, tuples and mappings included.

    Raises
    ------
    TypeError
        If something in ``value`` has no JSON form.
    """
    if value is None or isinstance(value, str | bool | int | float):
        # bool before int, and subclasses (numpy.float64 is a float) become the plain type
        if isinstance(value, str):
            return str.__str__(value)  # not str(): an Enum's value counts, not its name
        for kind in (bool, int, float):
            if isinstance(value, kind):
                return kind(value)
        return None
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise TypeError(f"keys must be strings, got {sorted(map(repr, value))[:3]}")
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if hasattr(value, "tolist") and getattr(value.dtype, "kind", "O") not in "mM":  # NumPy, without importing it
        reduced = value.tolist()
        if isinstance(reduced, bool | int | float | str | list):
            return plain(reduced)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def dumps(value: Any) -> bytes:
    """Serialise ``value`` as canonical JSON: sorted keys, no spaces, UTF-8."""
    return json.dumps(plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def digest(value: Any) -> str:
    """Name ``value`` by the first 160 bits of the BLAKE3 hash of its canonical JSON, in hex."""
    return hexdigest(blake3(dumps(value)))


def hexdigest(hasher: blake3) -> str:
    """Return the 40 hex digits by which this store names things."""
    return str(hasher.hexdigest(length=20))


def seal(document: dict[str, Any]) -> bytes:
    """Serialise ``document`` with its own checksum, so that any flipped bit in the file is noticed."""
    return dumps({**document, "check": digest(document)}) + b"\n"


def unseal(data: bytes) -> dict[str, Any]:
    """Read back what :func:`seal` wrote.

    Raises
    ------
    ValueError
        If one bit of ``data`` differs from what was written.
    """
    document: dict[str, Any] = json.loads(data)
    check = document.pop("check", None) if isinstance(document, dict) else None
    if check is None or seal(document) != data:
        raise ValueError("checksum of the document does not match its content")
    return document
