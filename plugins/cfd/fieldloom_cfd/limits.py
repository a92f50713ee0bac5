"""What the flow solver accepts, in plain Python: checked when a flow is planned, before anything heavy is imported."""

from __future__ import annotations

from typing import Literal

Element = Literal["linear", "quadratic"]

REYNOLDS_LIMITS = (1.0, 200.0)
"""Mean inflow times the obstacle's height over the viscosity; beyond, real wakes turn three-dimensional."""
CFL_LIMITS: dict[Element, float] = {"linear": 0.52, "quadratic": 0.27}
"""Largest dt |u| / h over the mesh, h the least altitude of a triangle (of a quarter of a quadratic one)."""
MIN_CLEARANCE = 0.25
"""Smallest gap between obstacle and any side of the channel, in heights of the obstacle."""


def time_step_limit(spacing: float, mean: float, blockage: float, element: Element) -> float:
    """Longest stable time step in seconds that is to be expected: ``CFL_LIMITS[element] spacing / U_gap``.

    ``U_gap = 1.5 mean / (1 - blockage)`` is the profile's maximum sped up by the obstacle. During the
    integration the step follows the flow that is really there.

    Parameters
    ----------
    spacing : float
        Distance of two nodes on the obstacle, metres.
    mean : float
        Mean inflow velocity, m/s.
    blockage : float
        The obstacle's height over the channel's, below 1.
    """
    return CFL_LIMITS[element] * spacing * (1 - blockage) / (1.5 * mean)


def check_clearance(
    half: tuple[float, float], centre: tuple[float, float], length: float, height: float, what: str
) -> None:
    """Refuse an obstacle that touches a side of the channel, or nearly does.

    Parameters
    ----------
    half : tuple of float
        Half its extent along and across the channel, metres.

    Raises
    ------
    ValueError
        Naming the side and the gap.
    """
    x, y = centre
    gaps = {
        "inlet": x - half[0],
        "outlet": length - x - half[0],
        "lower wall": y - half[1],
        "upper wall": height - y - half[1],
    }
    side, gap = min(gaps.items(), key=lambda item: item[1])
    wanted = MIN_CLEARANCE * 2 * half[1]
    if gap < wanted * (1 - 1e-12):
        raise ValueError(
            f"the {what} is {gap:.3g} m from the {side}; it must keep at least a quarter of its height, {wanted:.3g} m"
        )
