"""What follows from what: numbers of a scenario that are bound to each other, and values for those not given."""

from __future__ import annotations

from collections.abc import Mapping

from .scaling import NumberScaling

TOLERANCE = 0.03
"""Largest relative difference between a number as given and as it follows from the others."""
_UNITS = {"viscosity": "m2 s-1"}


def unit_of(name: str) -> str:
    """Unit of a number that was the same in all trajectories."""
    return _UNITS.get(name, "1")


def consistent(rules: str, given: Mapping[str, float], constants: Mapping[str, float]) -> dict[str, float]:
    """Add what follows from the numbers that are given.

    For cylinders: ``reynolds = 2 radius mean_velocity / viscosity``; two of the three give the third.

    Raises
    ------
    ValueError
        If numbers contradict each other.
    """
    found = dict(given)
    if rules != "cylinder" or "viscosity" not in constants:
        return found
    nu = constants["viscosity"]
    match sorted({"reynolds", "radius", "mean_velocity"} & set(found)):
        case ["mean_velocity", "radius"]:
            found["reynolds"] = 2 * found["radius"] * found["mean_velocity"] / nu
        case ["radius", "reynolds"]:
            found["mean_velocity"] = found["reynolds"] * nu / (2 * found["radius"])
        case ["mean_velocity", "reynolds"]:
            found["radius"] = found["reynolds"] * nu / (2 * found["mean_velocity"])
        case ["mean_velocity", "radius", "reynolds"]:
            follows = 2 * found["radius"] * found["mean_velocity"] / nu
            if abs(follows / found["reynolds"] - 1) > TOLERANCE:
                raise ValueError(
                    f"a radius of {found['radius']:.4g} m and an inflow of {found['mean_velocity']:.4g} m s-1 make a "
                    f"Reynolds number of {follows:.4g} (the viscosity is {nu:g} m2 s-1), not {found['reynolds']:.4g}; "
                    "leave one of them out"
                )
    return found


def complete(
    rules: str, given: Mapping[str, float], numbers: NumberScaling, constants: Mapping[str, float]
) -> dict[str, float]:
    """Choose what is missing: what follows, then means of the training set; constants are added."""
    found = consistent(rules, given, constants)
    if rules == "cylinder" and "reynolds" in found and not {"radius", "mean_velocity"} & set(found):
        found["radius"] = _radius_for(found["reynolds"], numbers, constants["viscosity"])
        found = consistent(rules, found, constants)
    for name, mean in zip(numbers.names, numbers.mean, strict=True):
        if name not in found and not (rules == "cylinder" and name == "reynolds"):
            found[name] = mean
    found = consistent(rules, {k: v for k, v in found.items() if rules != "cylinder" or k != "reynolds"}, constants)
    return {**constants, **found}


def mirrored(rules: str, numbers: Mapping[str, float], low: float, high: float) -> dict[str, float]:
    """Numbers of a mirror image: of smoke along x they stay, of a channel from ``low`` to ``high`` across the flow.

    Raises
    ------
    ValueError
        If the rules cannot tell what becomes of the numbers.
    """
    match rules:
        case "smoke":
            return dict(numbers)
        case "cylinder":
            return {**numbers, "centre_y": low + high - numbers["centre_y"]}
    raise ValueError("`mirror` is for smoke and wakes of cylinders; what becomes of other numbers in it is unknown")


def _radius_for(reynolds: float, numbers: NumberScaling, nu: float) -> float:
    """The middle of the radii for which the inflow that makes this Reynolds number was trained, too."""
    at = {name: i for i, name in enumerate(numbers.names)}
    r, u = at["radius"], at["mean_velocity"]
    low = max(numbers.low[r], reynolds * nu / (2 * numbers.high[u]))
    high = min(numbers.high[r], reynolds * nu / (2 * numbers.low[u]))
    return (low + high) / 2
