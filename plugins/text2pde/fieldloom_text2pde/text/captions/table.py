"""Captions of any table of parameters, from names, units and values: for data that have no wording of their own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .compose import Units, Wording, compose, measure
from .model import Caption

PREFIXES: dict[str, Units] = {
    "m": (("km", 1e3), ("cm", 0.01), ("mm", 0.001)),
    "s": (("ms", 0.001),),
    "m/s": (("km/s", 1e3), ("cm/s", 0.01), ("mm/s", 0.001)),
    **{unit: ((f"k{unit}", 1e3),) for unit in ("Pa", "N", "J", "W", "V", "A", "Hz")},
}
"""Multiples of units. No milli beside mega: words are read in lower case, where they are the same."""
READABLE = (0.01, 10_000.0)
"""A multiple is used where the number lies between these."""

WORDING = Wording(
    openings=("simulate the case", "show me the case", "a simulation", "please generate a solution", "the solution"),
    scenes=("simulate this case", "this is one of the cases", "show me the solution", "please compute the following"),
    titles=("case", "simulation", "parameters", "simulate", "show me"),
    phrases={
        "": (
            "with a {long} of {value}",
            "with {long} {value}",
            "where the {long} is {value}",
            "at a {long} of {value}",
            "with {name} = {value}",
        )
    },
    sentences={
        "": (
            "the {long} is {value}",
            "the {long} equals {value}",
            "it has a {long} of {value}",
            "{value} is the {long}",
            "the value of {name} is {value}",
        )
    },
    labels={"": ("{long} {value}", "{long}: {value}", "{long} = {value}", "{name} = {value}", "{name}={value}")},
)


@dataclass(frozen=True, slots=True)
class Parameter:
    """One column of the table in one row.

    Attributes
    ----------
    name : str
        Short name; the quantity of the spans.
    value : float
    unit : str
        "1" or empty for numbers without.
    long_name : str
        In words; the name without underscores, if empty.
    """

    name: str
    value: float
    unit: str = "1"
    long_name: str = ""


def captions(rng: np.random.Generator, parameters: Sequence[Parameter], count: int) -> list[Caption]:
    """Different captions of one row of a table, in any order, some without some of the parameters.

    Raises
    ------
    ValueError
        If there are no parameters, a name comes twice or a value is not finite.
    """
    names = [parameter.name for parameter in parameters]
    if not names or len(set(names)) < len(names):
        raise ValueError(f"captions of a table need parameters with different names, got {names or 'none'}")
    for parameter in parameters:
        if not math.isfinite(parameter.value):
            raise ValueError(f"the value of {parameter.name} is {parameter.value}: captions need finite numbers")
    return [_caption(rng, parameters) for _ in range(count)]


def units(parameter: Parameter) -> Units:
    """Ways of writing the unit in which the number is readable."""
    unit = "" if parameter.unit == "1" else parameter.unit
    low, high = READABLE
    readable = (multiple for multiple in PREFIXES.get(unit, ()) if low <= abs(parameter.value) / multiple[1] < high)
    return ((unit, 1.0), *readable)


def _caption(rng: np.random.Generator, parameters: Sequence[Parameter]) -> Caption:
    """Name everything in half of the captions, else any part."""
    share = 1.0 if rng.random() < 0.5 else 0.5
    order = [int(i) for i in rng.permutation(len(parameters))]
    named = [i for i in order if rng.random() < share] or order[:1]
    parts: dict[str, Caption] = {}
    for i in named:
        parts |= _parts(rng, i, parameters[i])
    return compose(rng, _wording(len(parameters)), [str(i) for i in named], parts)


def _parts(rng: np.random.Generator, i: int, parameter: Parameter) -> dict[str, Caption]:
    return {
        f"value{i}": measure(rng, parameter.value, units(parameter), parameter.name),
        f"long{i}": Caption(parameter.long_name or parameter.name.replace("_", " ")),
        f"name{i}": Caption(parameter.name),
    }


def _wording(count: int) -> Wording:
    """The wording with a kind of clause, its number, for each parameter."""
    styles = (WORDING.phrases, WORDING.sentences, WORDING.labels)
    phrases, sentences, labels = (
        {str(i): tuple(clause.replace("}", f"{i}}}") for clause in style[""]) for i in range(count)} for style in styles
    )
    return Wording(WORDING.openings, WORDING.scenes, WORDING.titles, phrases, sentences, labels)
