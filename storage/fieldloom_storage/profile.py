"""Storage profiles, and streams: what a caller says about how data is to be stored."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True, slots=True)
class Profile:
    """How chunks are compressed. None of it enters a content digest, but for ``keepbits``, which changes values.

    Parameters
    ----------
    name : {"fast", "compact", "lossy"}
        ``fast``: raw bytes. ``compact`` and ``lossy``: Blosc-LZ4 with byte shuffle. All carry a CRC-32C.
    keepbits : int, optional
        Mantissa bits that floats keep (``lossy`` only, 1 to 23 for float32).
    """

    name: str = "fast"
    keepbits: int | None = None

    def __post_init__(self) -> None:
        if self.name not in ("fast", "compact", "lossy"):
            raise ValueError(f"profile must be 'fast', 'compact' or 'lossy', got {self.name!r}")
        if (self.name == "lossy") != (self.keepbits is not None):
            raise ValueError("keepbits goes with profile 'lossy', and only with it")

    @property
    def compresses(self) -> bool:
        return self.name != "fast"


@dataclass(frozen=True, slots=True)
class Stream:
    """A Dataset too large for memory, as consecutive blocks along ``dim``.

    Parameters
    ----------
    dim : str
        The first dimension of every variable that grows.
    blocks : iterable of xarray.Dataset
        Each holds the next slab of the growing variables; variables without ``dim`` and the attributes
        are taken from the first block.
    """

    dim: str
    blocks: Iterable[xr.Dataset]
