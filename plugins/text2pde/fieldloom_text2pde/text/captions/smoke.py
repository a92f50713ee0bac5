"""Captions of buoyant smoke from its first frame: how many plumes, where, and the buoyancy.

Quantities: ``plumes`` (a count) and ``buoyancy`` (m s-2, upward acceleration by unit density).
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .compose import Units, compose, concatenate, count, measure, pick
from .model import Caption
from .plumes import Plume, PlumeSummary, describe
from .smoke_wording import DETAILS, FACTS, HELD_OUT, NOUNS, TRAINING

__all__ = ["QUANTITIES", "UNITS", "Plume", "PlumeSummary", "captions", "describe"]

QUANTITIES = ("plumes", "buoyancy")
"""What captions may name."""
UNITS = {"plumes": "1", "buoyancy": "m s-2"}
"""Unit of each quantity."""
MOST_DETAILS = 3
"""Plumes that a caption describes one by one; the largest go first."""

ACCELERATIONS: Units = (
    *(("m/s2", 1.0), ("m/s^2", 1.0), ("m s-2", 1.0), ("m/s²", 1.0), ("", 1.0)) * 2,
    ("metres per second squared", 1.0),
    ("cm/s2", 0.01),
)
SIDES: Units = (("m", 1.0), ("cm", 0.01), ("", 1.0))
DURATIONS: Units = (("s", 1.0), ("seconds", 1.0))
VISCOSITIES: Units = (("m2/s", 1.0), ("", 1.0))


def captions(
    rng: np.random.Generator, density: NDArray[Any], buoyancy: float, count: int, held_out: bool = False
) -> list[Caption]:
    """Different captions of one smoke simulation.

    Parameters
    ----------
    rng : Generator
        All choices are drawn from it.
    density : ndarray, shape (ny, nx)
        Smoke in the first frame; row 0 is the bottom of the box.
    buoyancy : float
        m s-2.
    count : int
        Number of captions.
    held_out : bool
        Speak in words and in an order of clauses that captions for training never use.

    Raises
    ------
    ValueError
        If the smoke or the buoyancy is not finite.
    """
    if not np.isfinite(buoyancy):
        raise ValueError(f"the buoyancy must be a finite number in m s-2, got {buoyancy}")
    summary = describe(density)
    return [_caption(rng, summary, buoyancy, held_out) for _ in range(count)]


def other_side(text: str) -> str:
    """The caption of a mirror image: left for right."""
    swapped = {"left": "right", "right": "left", "Left": "Right", "Right": "Left"}
    return re.sub(r"\b(left|right|Left|Right)\b", lambda match: swapped[match[1]], text)


def _caption(rng: np.random.Generator, summary: PlumeSummary, buoyancy: float, held_out: bool) -> Caption:
    kinds = [("count", "buoyancy"), ("count", "buoyancy"), ("count",), ("buoyancy",)][rng.integers(4)]
    remarks = _details(rng, summary)
    if rng.random() < 0.25:
        remarks.append(pick(rng, FACTS))
    # Training says the count first and the buoyancy last; held-out captions the other way round.
    ordered = kinds[::-1] if held_out else kinds
    return compose(rng, HELD_OUT if held_out else TRAINING, ordered, _parts(rng, summary.count, buoyancy), remarks)


def _details(rng: np.random.Generator, summary: PlumeSummary) -> list[str]:
    """Sentences on the largest plumes, in a random order."""
    most = int(rng.integers(MOST_DETAILS + 1))
    said = []
    for i, plume in enumerate(summary.plumes[:most]):
        template = pick(rng, DETAILS[i > 0 :])
        said.append(template.format(size=plume.size, shape=plume.shape, place=plume.place))
    rng.shuffle(said)
    return said


def _parts(rng: np.random.Generator, plumes: int, buoyancy: float) -> dict[str, Caption]:
    """Everything that clauses may ask for."""
    figure = count(rng, plumes, "plumes")
    noun = NOUNS[rng.integers(len(NOUNS))][plumes != 1]
    return {
        "number": figure,
        "plumes": concatenate([figure, Caption(f" {noun}")]),
        "buoyancy": measure(rng, buoyancy, ACCELERATIONS, "buoyancy"),
        "frames": Caption(str(rng.integers(4, 200))),
        "duration": measure(rng, rng.uniform(5.0, 100.0), DURATIONS),
        "side": measure(rng, rng.uniform(10.0, 100.0), SIDES),
        "viscosity": measure(rng, 10 ** rng.uniform(-3, -1), VISCOSITIES),
    }
