"""Scenarios of flow past a cylinder in a channel, in plain Python: checked before anything heavy is imported."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from .limits import REYNOLDS_LIMITS, check_clearance


@dataclass(frozen=True, slots=True)
class Scenario:
    """Where the cylinder stands, and what flows past it.

    Attributes
    ----------
    centre_x, centre_y : float
        Centre of the cylinder, metres from the inlet and from the lower wall.
    radius : float
        Metres.
    mean_velocity : float
        Mean inflow velocity, m/s.
    viscosity : float
        Kinematic viscosity, m2/s.
    """

    centre_x: float
    centre_y: float
    radius: float
    mean_velocity: float
    viscosity: float

    @property
    def reynolds(self) -> float:
        """``2 r U / nu``."""
        return 2 * self.radius * self.mean_velocity / self.viscosity

    def check(self, length: float, height: float) -> None:
        """Refuse what the solver cannot take in a channel of this length and height, metres.

        Raises
        ------
        ValueError
            Naming the columns, their values and the limit.
        """
        for name in COLUMNS:
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name} is {value:g}; it should be a positive number")
        low, high = REYNOLDS_LIMITS
        if not low * (1 - 1e-9) <= self.reynolds <= high * (1 + 1e-9):
            raise ValueError(
                f"radius {self.radius:.4g} m, mean_velocity {self.mean_velocity:.4g} m s-1 and viscosity "
                f"{self.viscosity:.4g} m2 s-1 make a Reynolds number of {self.reynolds:.4g}; "
                f"it must lie in [{low:g}, {high:g}]"
            )
        try:
            check_clearance((self.radius,) * 2, (self.centre_x, self.centre_y), length, height, "cylinder")
        except ValueError as error:
            place = f"centre_x {self.centre_x:.4g} m, centre_y {self.centre_y:.4g} m, radius {self.radius:.4g} m"
            raise ValueError(f"{place}: {error}") from error


COLUMNS = tuple(field.name for field in fields(Scenario))
"""What a table of scenarios has to say."""
