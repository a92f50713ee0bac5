"""Tables of scenarios as stages take them."""

import xarray as xr
from fieldloom_cfd.scenarios import COLUMNS, Scenario

UNITS = dict(zip(COLUMNS, ("m", "m", "m", "m s-1", "m2 s-1"), strict=True))
GOOD = Scenario(0.3, 0.2, 0.05, 0.8, 1e-3)


def table(*rows):
    """A table of scenarios with a column too many."""
    columns = {name: ("sample", [getattr(row, name) for row in rows], {"units": UNITS[name]}) for name in COLUMNS}
    return xr.Dataset({**columns, "colour": ("sample", ["red"] * len(rows))})
