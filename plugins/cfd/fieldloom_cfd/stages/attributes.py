"""What stored variables say of themselves."""

from __future__ import annotations

from fieldloom import Variable


def about(variable: Variable) -> dict[str, str]:
    """Name and unit of a variable, as its port promises them."""
    return {"long_name": variable.description} | ({"units": variable.units} if variable.units else {})
