"""Between xarray's variables and Zarr's arrays: dtypes, times, strings, attributes, coordinates.

The rules are CF's (https://cfconventions.org): times are integers with ``units``, non-index coordinates
are listed under ``coordinates``. Encoding hints that a Dataset carries from another file are ignored, so
that equal data is stored, and named, equally.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from . import canonical, layout
from .errors import UnsupportedData

if TYPE_CHECKING:
    import xarray as xr

_UNITS = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
_NAT = int(np.iinfo(np.int64).min)
_NAME_BYTES = 200
_RESERVED = frozenset(
    {"_FillValue", "missing_value", "scale_factor", "add_offset", "_Unsigned", "coordinates", "dtype"}
)


@dataclass(frozen=True, slots=True)
class Encoding:
    """How one variable becomes one Zarr array."""

    dims: tuple[str, ...]
    data_type: str
    attrs: dict[str, Any]
    keepbits: int | None = None
    time_unit: str | None = None

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


def encoding_of(path: str, variable: xr.Variable, keepbits: int | None) -> Encoding:
    """Choose the encoding of ``variable``; ``keepbits`` is the precision that floats keep, if not all.

    Raises
    ------
    UnsupportedData
        If its name, dtype or attributes have no exact form in Zarr, CF and JSON.
    """
    owner = f"variable {path!r}"
    for dim in variable.dims:
        check_name(dim, f"dimension of {owner}")
    attrs = _json_attributes(owner, variable.attrs)
    dims = tuple(map(str, variable.dims))
    dtype: Any = variable.dtype
    kind = getattr(dtype, "kind", "O")
    if isinstance(dtype, np.dtype) and kind in "mM":
        return Encoding(
            dims, "int64", attrs | _time_attributes(owner, attrs, dtype), time_unit=np.datetime_data(dtype)[0]
        )
    _refuse_reserved(owner, attrs, kind)
    if isinstance(dtype, np.dtype) and kind in "biufc":
        if dtype.itemsize > (16 if kind == "c" else 8):
            raise UnsupportedData(f"{owner} is {dtype}: convert it to float64 first")
        if keepbits is None or kind != "f":
            return Encoding(dims, dtype.name, attrs)
        return Encoding(dims, dtype.name, {**attrs, "quantization_keepbits": keepbits}, keepbits)
    is_text = kind in "UT" or (kind == "O" and str(dtype) in ("object", "str", "string"))
    if is_text and not getattr(variable, "level_names", None):
        return Encoding(dims, layout.STRING, attrs)
    raise UnsupportedData(
        f"{owner} has dtype {dtype}, which Zarr cannot hold exactly; "
        "convert it to numbers, strings or datetime64 (a MultiIndex: reset_index())"
    )


def check_name(name: Any, owner: str) -> None:
    """Refuse names that are no file names, or that Zarr or this store use themselves.

    Raises
    ------
    UnsupportedData
    """
    if not isinstance(name, str) or not 0 < len(name.encode(errors="replace")) <= _NAME_BYTES:
        raise UnsupportedData(f"{owner}: a name should be a text of 1 to {_NAME_BYTES} bytes, got {name!r}")
    if "/" in name or "\0" in name or name.startswith(".") or name in ("zarr.json", "manifest.json"):
        raise UnsupportedData(f"{owner}: the name {name!r} may not start with '.', hold '/', or be a file of Zarr's")


def root_attributes(dataset: xr.Dataset, coordinates: Iterable[str] = ()) -> dict[str, Any]:
    """Attributes of a group: the dataset's own, and the names of its (and the given) non-index coordinates."""
    attrs = _json_attributes("dataset", dataset.attrs)
    if "coordinates" in attrs:
        raise UnsupportedData("dataset: the attribute 'coordinates' belongs to CF; use set_coords()")
    names = {str(name) for name in dataset.coords if dataset.coords[name].dims != (name,)}
    listed = sorted(names.union(coordinates))
    if spaced := [name for name in listed if name.split() != [name]]:
        raise UnsupportedData(f"coordinate names may not hold spaces (CF lists them space-separated): {spaced}")
    if listed:
        attrs["coordinates"] = " ".join(listed)
    return attrs


def decode_times(name: str, variable: xr.Variable) -> xr.Variable:
    """Turn a stored variable back into times or durations, lazily and at its own resolution; others stay."""
    if not is_time(variable.attrs):
        return variable
    from xarray import coders, conventions

    if "dtype" in variable.attrs:
        durations = coders.CFTimedeltaCoder(decode_via_units=False)
        return conventions.decode_cf_variable(name, variable, decode_times=False, decode_timedelta=durations)
    words = {word: unit for unit, word in _UNITS.items()}
    unit: Any = words[variable.attrs["units"].partition(" ")[0]]
    instants = coders.CFDatetimeCoder(time_unit=unit)
    return conventions.decode_cf_variable(name, variable, decode_times=instants, decode_timedelta=False)


def is_time(attrs: Mapping[str, Any]) -> bool:
    """Tell whether stored attributes are those of times: other variables may not have them."""
    return attrs.get("_FillValue") == _NAT


def _refuse_reserved(owner: str, attrs: Mapping[str, Any], kind: str) -> None:
    """Refuse attributes by which CF would change the values when they are read."""
    clash = sorted(_RESERVED & set(attrs))
    if kind in "iuf" and " since " in str(attrs.get("units", "")):
        clash.append("units")
    if clash:
        raise UnsupportedData(
            f"{owner}: attributes {clash} tell readers to change the values; apply them first (xarray.decode_cf) "
            "or rename them"
        )


def _json_attributes(owner: str, attrs: dict[Any, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    for key, value in attrs.items():
        if not isinstance(key, str):
            raise UnsupportedData(f"{owner}: attribute names should be texts, got {key!r}")
        try:
            plain[key] = canonical.plain(value)
            canonical.dumps(plain[key])
        except (TypeError, UnicodeEncodeError) as error:
            raise UnsupportedData(f"{owner}: attribute {key!r}: {error}; use numbers, texts or lists") from error
    return plain


def _time_attributes(owner: str, attrs: dict[str, Any], dtype: np.dtype[Any]) -> dict[str, Any]:
    unit, count = np.datetime_data(dtype)
    if unit not in _UNITS or count != 1:
        raise UnsupportedData(f"{owner} is {dtype}: use a resolution of s, ms, us or ns")
    if clash := sorted((_RESERVED | {"units", "calendar", "bounds", "climatology"}) & set(attrs)):
        raise UnsupportedData(f"{owner} holds times and so may not carry attributes {clash}")
    if dtype.kind == "M":
        return {"units": f"{_UNITS[unit]} since 1970-01-01", "calendar": "proleptic_gregorian", "_FillValue": _NAT}
    return {"units": _UNITS[unit], "dtype": str(dtype), "_FillValue": _NAT}


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
    rounded = rounded.view(block.dtype).reshape(block.shape)
    return np.where(np.isfinite(rounded), rounded, block)  # NaN, infinities, and the largest numbers stay


assert sys.byteorder == "little", "the store writes memory as it is; big-endian machines are not supported"
