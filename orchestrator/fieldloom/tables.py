"""Small Datasets along one dimension are shown as tables, in reports and in the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .errors import FieldloomError

if TYPE_CHECKING:
    import xarray as xr

    from .registry import Registry

_ROWS, _COLUMNS, _BYTES = 60, 10, 100_000  # of a table that is shown whole


@dataclass(frozen=True, slots=True)
class Shown:
    """A table in words: headings, rows of cells, and which columns are numbers."""

    header: list[str]
    rows: list[tuple[str, ...]]
    numeric: list[bool]


def shown(data: xr.Dataset, declared: Sequence[str] = ()) -> Shown | None:
    """Put a Dataset into words; None if it is no small table.

    Parameters
    ----------
    declared : sequence of str
        Names in the order in which they are wanted; others follow.
    """
    if data.nbytes > _BYTES or not data.variables:
        return None
    order = {name: i for i, name in enumerate(declared)}
    columns = sorted(map(str, data.variables), key=lambda name: order.get(name, len(order)))
    dims = {data[name].dims for name in columns}
    files = any("filename" in data[name].attrs for name in columns)
    if files or len(dims) != 1 or len(dim := next(iter(dims))) != 1 or data.sizes[dim[0]] > _ROWS:
        return None
    columns = columns[:_COLUMNS]
    rows = zip(*([_cell(value) for value in data[name].values] for name in columns), strict=True)
    numeric = [data[name].dtype.kind in "fiu" for name in columns]
    return Shown([_heading(name, data[name].attrs) for name in columns], list(rows), numeric)


def declared(registry: Registry, stage_id: str, port: str) -> list[str]:
    """Variables of a port in the order in which its contract lists them."""
    try:
        return list(registry.stage(stage_id).outputs[port].variables)
    except (FieldloomError, KeyError):  # its plugin has gone, or changed, since the run
        return []


def _heading(name: str, attrs: Any) -> str:
    unit = attrs.get("units", "1")
    return str(attrs.get("long_name", name)) + (f" [{unit}]" if unit != "1" else "")


def _cell(value: Any) -> str:
    return f"{value:.4g}" if getattr(value, "dtype", None) is not None and value.dtype.kind == "f" else str(value)
