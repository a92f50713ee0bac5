"""What the outer iterations share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..result import Status

Callback = Callable[[Any], None]


@dataclass(frozen=True, slots=True)
class Tolerance:
    """When to stop: ``||r|| <= residual``, or after ``maxiter`` iterations."""

    residual: float
    maxiter: int


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What an outer iteration did to x, in place.

    Parameters
    ----------
    status : Status
    norms : list of float
        ||r|| from the start on.
    notes : str
        What was noticed on the way.
    """

    status: Status
    norms: list[float]
    notes: str = ""
