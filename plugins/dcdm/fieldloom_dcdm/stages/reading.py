"""Systems out of Datasets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from fieldloom.contracts.grid import spacing

from .ports import AXES

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr

    from ..problem import Poisson


class PosedSystem(NamedTuple):
    """One system of a population."""

    kind: str
    problem: Poisson
    b: np.ndarray


def posed_systems(data: xr.Dataset) -> Iterator[PosedSystem]:
    """Yield the systems of a Dataset, one after the other.

    Raises
    ------
    ValueError
        If a system is not one; the message names the sample.
    """
    from ..errors import InvalidProblem
    from ..problem import poisson

    axes = AXES[3 if "z" in data["mask"].dims else 2]
    lengths = tuple(spacing(data, axis) for axis in axes)
    boundary = json.loads(data.attrs["boundary"])
    for i in range(data.sizes["sample"]):
        sample = data.isel(sample=i)
        c = sample["coefficient"].to_numpy() if "coefficient" in sample else None
        try:
            problem = poisson(sample["mask"].to_numpy(), lengths, boundary, c)
        except InvalidProblem as exc:
            raise ValueError(f"sample {i}: {exc}") from exc
        yield PosedSystem(str(sample["kind"].item()), problem, sample["b"].to_numpy())
