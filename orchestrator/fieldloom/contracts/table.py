"""Tables: one row a sample, columns as a port describes them. Reports show small ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..stage import Port, Variable

if TYPE_CHECKING:
    import xarray as xr


def table(rows: Sequence[Mapping[str, Any]], port: Port, title: str = "") -> xr.Dataset:
    """Make the Dataset of a port whose variables are columns along one dimension.

    Parameters
    ----------
    rows : sequence of mapping
        A value for each variable of the port; there may be no row.
    port : Port
        Names, types, units and descriptions of the columns.
    title : str
        What the table is about.
    """
    import xarray as xr

    columns = {
        name: (variable.dims, _column([row[name] for row in rows], variable), _about(variable))
        for name, variable in port.variables.items()
    }
    return xr.Dataset(columns, attrs={"title": title} if title else {})


def _column(values: list[Any], variable: Variable) -> np.ndarray[Any, Any]:
    if variable.dtype == "string":
        return np.array(values, dtype="U" if values else "U1")
    return np.array(values, dtype=variable.dtype)


def _about(variable: Variable) -> dict[str, str]:
    return {"long_name": variable.description} | ({"units": variable.units} if variable.units else {})
