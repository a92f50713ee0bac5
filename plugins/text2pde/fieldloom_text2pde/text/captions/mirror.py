"""Captions of mirror images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from . import cylinder, smoke


def in_mirror(rules: str, texts: Sequence[str], numbers: Mapping[str, float], rng: np.random.Generator) -> list[str]:
    """As many captions of the mirror image: of smoke the same with left for right, of a wake others.

    Parameters
    ----------
    rules : {"smoke", "cylinder"}
    texts : sequence of str
        Captions of the original.
    numbers : mapping of str to float
        Of the image.
    """
    if rules == "smoke":
        return [smoke.other_side(text) for text in texts]
    return [c.text for c in cylinder.captions(rng, {q: numbers[q] for q in cylinder.QUANTITIES}, len(texts))]
