"""Captions of the flow past a cylinder in a channel.

Quantities, all in SI units: ``centre_x`` (from the inlet), ``centre_y`` (from the lower wall), ``radius``,
``mean_velocity`` (over the inlet) and ``reynolds`` (mean velocity times diameter over viscosity).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .compose import Units, compose, concatenate, measure, number, pick
from .cylinder_wording import FACTS, HELD_OUT, REGIMES, TRAINING
from .model import Caption

QUANTITIES = ("centre_x", "centre_y", "radius", "mean_velocity", "reynolds")
"""What captions may name."""
UNITS = {"centre_x": "m", "centre_y": "m", "radius": "m", "mean_velocity": "m s-1", "reynolds": "1"}
"""Unit of each quantity."""
ONSET = (50.0, 60.0)
"""Below the first Reynolds number the wake is steady, above the second it sheds vortices: walls nearby delay it."""
COMPLETE = 0.45
"""Share of captions that name everything."""

LENGTHS: Units = (
    *(("m", 1.0), ("cm", 0.01), ("mm", 0.001)) * 3,
    *(("metres", 1.0), ("meters", 1.0), ("centimetres", 0.01), ("centimeters", 0.01), ("millimetres", 0.001)),
    ("", 1.0),
)
SPEEDS: Units = (
    *(("m/s", 1.0), ("cm/s", 0.01)) * 3,
    *(("m s-1", 1.0), ("metres per second", 1.0), ("meters per second", 1.0), ("centimetres per second", 0.01)),
    *(("mm/s", 0.001), ("", 1.0)),
)
VISCOSITIES: Units = (("m2/s", 1.0), ("m2 s-1", 1.0), ("m^2/s", 1.0), ("", 1.0))
DURATIONS: Units = (("s", 1.0), ("seconds", 1.0))


def captions(
    rng: np.random.Generator, quantities: Mapping[str, float], count: int, held_out: bool = False
) -> list[Caption]:
    """Different captions of one flow.

    Parameters
    ----------
    rng : Generator
        All choices are drawn from it.
    quantities : mapping of str to float
        All of `QUANTITIES`, SI units.
    count : int
        Number of captions.
    held_out : bool
        Speak in words and in an order of clauses that captions for training never use.

    Raises
    ------
    ValueError
        If a quantity is missing or not a positive number.
    """
    for name in QUANTITIES:
        if not 0 < quantities.get(name, np.nan) < np.inf:
            raise ValueError(
                f"captions of a cylinder need a positive {name}, got {quantities.get(name)}: "
                f"give {', '.join(QUANTITIES)} in SI units"
            )
    return [_caption(rng, quantities, held_out) for _ in range(count)]


def regime(reynolds: float) -> str:
    """What the wake does: "steady", "onset" or "shedding"."""
    return "steady" if reynolds < ONSET[0] else "onset" if reynolds < ONSET[1] else "shedding"


def _caption(rng: np.random.Generator, quantities: Mapping[str, float], held_out: bool) -> Caption:
    kinds = _ordered(rng, _kinds(rng), held_out)
    remarks = []
    if rng.random() < 0.5:
        remarks.append(pick(rng, REGIMES[regime(quantities["reynolds"])]))
    if rng.random() < 0.35:
        remarks.append(pick(rng, FACTS))
    rng.shuffle(remarks)
    return compose(rng, HELD_OUT if held_out else TRAINING, kinds, _parts(rng, quantities), remarks)


def _kinds(rng: np.random.Generator) -> list[str]:
    """Clauses of one caption: everything, or any part of it."""
    everything = rng.random() < COMPLETE
    x, y, *others = rng.random(5) < (1.0 if everything else 0.5)
    kinds = [kind for kind, named in zip(("size", "flow", "reynolds"), others, strict=True) if named]
    if x or y:
        kinds.append("place" if x and y else "along" if x else "height")
    return kinds or ["size"]


def _ordered(rng: np.random.Generator, kinds: list[str], held_out: bool) -> list[str]:
    """Any order: those for training begin with the size or the flow, the held-out ones with neither, if they can."""
    order = [str(kind) for kind in rng.permutation(kinds)]
    first = next((kind for kind in order if (kind in ("size", "flow")) != held_out), order[0])
    return [first, *(kind for kind in order if kind != first)]


def _parts(rng: np.random.Generator, quantities: Mapping[str, float]) -> dict[str, Caption]:
    """Everything that clauses may ask for."""
    return {
        "radius": measure(rng, quantities["radius"], LENGTHS, "radius"),
        "diameter": measure(rng, quantities["radius"], LENGTHS, "radius", 0.5),
        "x": measure(rng, quantities["centre_x"], LENGTHS, "centre_x"),
        "y": measure(rng, quantities["centre_y"], LENGTHS, "centre_y"),
        "centre": _pair(rng, quantities),
        "velocity": measure(rng, quantities["mean_velocity"], SPEEDS, "mean_velocity"),
        "reynolds": number(rng, quantities["reynolds"], "reynolds", 1.0),
        "length": measure(rng, rng.uniform(1.0, 3.0), LENGTHS),
        "breadth": measure(rng, rng.uniform(0.3, 0.6), LENGTHS),
        "viscosity": measure(rng, 10 ** rng.uniform(-4, -2), VISCOSITIES),
        "duration": measure(rng, rng.uniform(1.0, 10.0), DURATIONS),
        "frames": Caption(str(rng.integers(4, 200))),
    }


def _pair(rng: np.random.Generator, quantities: Mapping[str, float]) -> Caption:
    """The centre as a pair of coordinates with one unit for both."""
    unit, factor = LENGTHS[int(rng.integers(len(LENGTHS)))]
    x, y = (number(rng, quantities[name], name, factor) for name in ("centre_x", "centre_y"))
    opening, middle, end = (("(", ", ", ")"), ("(", ", ", ")"), ("", ", ", ""), ("", " and ", ""))[rng.integers(4)]
    return concatenate([Caption(opening), x, Caption(middle), y, Caption(end + (f" {unit}" if unit else ""))])
