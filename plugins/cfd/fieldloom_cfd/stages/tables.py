"""Tables: one row a sample, columns as a port describes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fieldloom import Port

if TYPE_CHECKING:
    import xarray as xr


def table(rows: Sequence[Mapping[str, Any]], port: Port, title: str, dim: str = "sample") -> xr.Dataset:
    """Make the Dataset of a port whose variables are columns along ``dim``."""
    import xarray as xr

    columns = {
        name: (
            dim,
            [row[name] for row in rows],
            {"long_name": variable.description} | ({"units": variable.units} if variable.units else {}),
        )
        for name, variable in port.variables.items()
    }
    return xr.Dataset(columns, attrs={"title": title})
