"""Between xarray's variables and Zarr's arrays: dtypes, times, strings, attributes, coordinates.

The rules are CF's (https://cfconventions.org): times are integers with ``units``, non-index coordinates
are listed under ``coordinates``. Encoding hints that a Dataset carries from another file are ignored, so
that equal data is stored, and named, equally.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from . import canonical, layout
from .errors import UnsupportedData
from .profile import Profile

if TYPE_CHECKING:
    import xarray as xr

_UNITS = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
_NAT = int(np.iinfo(np.int64).min)


@dataclass(frozen=True, slots=True)
class Encoding:
    """How one variable becomes one Zarr array."""

    dims: tuple[str, ...]
    data_type: str
    attrs: dict[str, Any]
    keepbits: int | None = None

    @property
    def stored_dtype(self) -> np.dtype[Any]:
        return np.dtype(object) if self.data_type == layout.STRING else np.dtype(self.data_type)

    @property
    def itemsize(self) -> int:
        return layout.STRING_BYTES if self.data_type == layout.STRING else self.stored_dtype.itemsize

    @property
    def typesize(self) -> int:
        return 1 if self.data_type == layout.STRING else self.stored_dtype.itemsize

    def encode(self, block: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Convert values to what is stored; no copy where the two are the same."""
        if self.data_type == layout.STRING:
            return _checked_strings(np.asarray(block, dtype=object))
        if block.dtype.kind in "mM":
            return np.asarray(block, order="C").view(np.int64)
        if self.keepbits is not None and block.dtype.kind == "f":
            block = _round_mantissa(block, self.keepbits)
        return np.asarray(block, dtype=self.stored_dtype.newbyteorder("<"), order="C")


def encoding_of(path: str, variable: xr.Variable, profile: Profile) -> Encoding:
    """Choose the encoding of ``variable``.

    Raises
    ------
    UnsupportedData
        If its dtype or its attributes have no exact form in Zarr and JSON.
    """
    attrs = _json_attributes(f"variable {path!r}", variable.attrs)
    if "/" in path.rpartition("/")[2] or path.startswith("."):
        raise UnsupportedData(f"variable {path!r}: a name may not start with '.' or hold '/'")
    dims = tuple(map(str, variable.dims))
    dtype = variable.dtype
    kind = getattr(dtype, "kind", "O")
    if kind in "mM":
        return Encoding(dims, "int64", _time_attributes(path, attrs, np.dtype(dtype)))
    if kind in "biufc":
        stored = np.dtype(dtype)
        if stored.itemsize > (16 if kind == "c" else 8):
            raise UnsupportedData(f"variable {path!r} is {stored}: convert it to float64 first")
        keepbits = profile.keepbits if kind == "f" else None
        if keepbits is not None:
            attrs = {**attrs, "quantization_keepbits": keepbits}
        return Encoding(dims, stored.name, attrs, keepbits)
    if kind in "UTO" and not getattr(variable, "level_names", None):
        return Encoding(dims, layout.STRING, attrs)
    raise UnsupportedData(
        f"variable {path!r} has dtype {dtype}, which Zarr cannot hold exactly; "
        "convert it to numbers, strings or datetime64 (a MultiIndex: reset_index())"
    )


def root_attributes(dataset: xr.Dataset, coordinates: Iterable[str] = ()) -> dict[str, Any]:
    """Attributes of a group: the dataset's own, and the names of its (and the given) non-index coordinates."""
    attrs = _json_attributes("dataset", dataset.attrs)
    names = {str(name) for name in dataset.coords if dataset.coords[name].dims != (name,)}
    listed = sorted(names.union(coordinates))
    if spaced := [name for name in listed if " " in name]:
        raise UnsupportedData(f"coordinate names may not hold spaces (CF lists them space-separated): {spaced}")
    if listed:
        attrs["coordinates"] = " ".join(listed)
    return attrs


def _json_attributes(owner: str, attrs: dict[Any, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    for key, value in attrs.items():
        try:
            plain[str(key)] = canonical.plain(value)
        except TypeError as error:
            raise UnsupportedData(f"{owner}: attribute {key!r}: {error}; use numbers, strings or lists") from error
    return plain


def _time_attributes(path: str, attrs: dict[str, Any], dtype: np.dtype[Any]) -> dict[str, Any]:
    unit = np.datetime_data(dtype)[0]
    if unit not in _UNITS:
        raise UnsupportedData(f"variable {path!r} is {dtype}: use a resolution of s, ms, us or ns")
    if clash := {"units", "calendar", "_FillValue"} & set(attrs):
        raise UnsupportedData(f"variable {path!r} holds times and so may not carry attributes {sorted(clash)}")
    if dtype.kind == "M":
        time = {"units": f"{_UNITS[unit]} since 1970-01-01", "calendar": "proleptic_gregorian"}
    else:
        time = {"units": _UNITS[unit], "dtype": str(dtype)}
    return {**attrs, **time, "_FillValue": _NAT}


def _checked_strings(block: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    for value in block.flat:
        if not isinstance(value, str):
            raise UnsupportedData(
                f"object arrays may hold strings only, got a {type(value).__name__}: {value!r}; "
                "convert the variable to one dtype"
            )
    return block


def _round_mantissa(block: np.ndarray[Any, Any], keepbits: int) -> np.ndarray[Any, Any]:
    """Round floats to ``keepbits`` mantissa bits, to nearest even (Kloewer et al. 2021, Nature Comp. Sci.)."""
    from numcodecs.bitround import BitRound

    codec = BitRound(keepbits=keepbits)
    rounded: np.ndarray[Any, Any] = np.asarray(codec.decode(codec.encode(np.ascontiguousarray(block))))
    return np.asarray(rounded.view(block.dtype).reshape(block.shape))


assert sys.byteorder == "little", "the store writes memory as it is; big-endian machines are not supported"
