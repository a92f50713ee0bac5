"""Units of parameters and variables, by pint, which is imported only when two spellings differ."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

_QUANTITY = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(\S.*)")
_UDUNITS_POWER = re.compile(r"(?<=[A-Za-z])(-?\d+)")
_LENGTHS, _TIMES, _OTHERS = {"m", "cm", "mm", "um", "km"}, {"s", "ms", "h"}, {"kg", "g", "K", "mol", "A", "V"}
_COMMON = _LENGTHS | _TIMES | _OTHERS | {"1", "Pa", "kPa", "bar", "N", "J", "W", "Hz"}


def convert(text: str, unit: str) -> float:
    """Convert ``"10 cm"`` to ``unit``.

    Raises
    ------
    ValueError
        If ``text`` is no quantity, or of another dimension than ``unit``.
    """
    match = _QUANTITY.fullmatch(text)
    if not match:
        raise ValueError(f"should be a number in {unit}, or a text such as '1.5 {unit}', got {text!r}")
    import pint

    try:
        return float(_registry().Quantity(float(match[1]), _pint(match[2])).to(_pint(unit)).magnitude)
    except (pint.PintError, AttributeError, ValueError, TypeError, AssertionError) as error:
        raise ValueError(f"{text!r} cannot be converted to {unit}") from error


def check(unit: str) -> None:
    """Refuse a text that names no unit. Products of powers of the commonest ones need no import.

    Raises
    ------
    ValueError
    """
    if all(_UDUNITS_POWER.sub("", part) in _COMMON for part in unit.split()):
        return
    import pint

    try:
        _registry().Unit(_pint(unit))
    except (pint.PintError, AttributeError, ValueError, TypeError, AssertionError) as error:
        raise ValueError(f"{unit!r} is no unit that is known; write it like 'm s-1' or 'mm'") from error


@cache
def same(one: str, other: str) -> bool:
    """Tell whether two spellings mean the same unit, factor included."""
    if one == other:
        return True
    import pint

    try:
        registry = _registry()
        ratio = registry.Quantity(1.0, _pint(one)).to(_pint(other)).magnitude
    except (pint.PintError, AttributeError, ValueError, TypeError, AssertionError):
        return False
    return bool(abs(ratio - 1.0) < 1e-12)


def _pint(unit: str) -> str:
    """From UDUNITS' ``m s-1`` to pint's ``m*s**-1``."""
    product = "*".join(unit.replace("·", " ").split()) if "*" not in unit and "/" not in unit else unit
    return _UDUNITS_POWER.sub(r"**\1", product) if "**" not in product and "^" not in product else product


@cache
def _registry() -> Any:
    import pint

    return pint.UnitRegistry(cache_folder=None)
