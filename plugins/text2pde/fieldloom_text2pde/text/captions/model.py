"""A caption and what its numbers mean."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass

NUMBER_WORDS = {
    word: float(value)
    for value, word in enumerate(
        ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
    )
}
"""Words that are read as numbers."""


@dataclass(frozen=True, slots=True)
class Span:
    """A number in a text and what it denotes.

    Attributes
    ----------
    start, stop : int
        ``text[start:stop]`` is the number, in digits or as a word.
    quantity : str
        What it is a value of.
    factor : float
        The number times this is the quantity in SI units: 0.005 for the radius in "a diameter of 10 cm".
    """

    start: int
    stop: int
    quantity: str
    factor: float

    def shifted(self, by: int) -> Span:
        """The same span in a text that begins ``by`` characters earlier."""
        return Span(self.start + by, self.stop + by, self.quantity, self.factor)


@dataclass(frozen=True, slots=True)
class Caption:
    """A text and the spans of those of its numbers that denote a quantity."""

    text: str
    spans: tuple[Span, ...] = ()

    def values(self) -> dict[str, float]:
        """Value in SI units of each quantity that is named; of the first span, where there are several."""
        found: dict[str, float] = {}
        for span in self.spans:
            found.setdefault(span.quantity, number_value(self.text[span.start : span.stop]) * span.factor)
        return found


def number_value(text: str) -> float:
    """Read a number: "0.05", "1e-3", "1,000", "-2", "three".

    Raises
    ------
    ValueError
        If the text is not a finite number.
    """
    word = text.lower()
    value = NUMBER_WORDS[word] if word in NUMBER_WORDS else float(word.replace(",", "").replace("\N{MINUS SIGN}", "-"))
    if not math.isfinite(value):
        raise ValueError(f"{text!r} is too large to be a number: write a finite one")
    return value


def spans_to_json(spans: Iterable[Span]) -> str:
    """Spans as JSON text, for a column of strings beside the captions."""
    return json.dumps([asdict(span) for span in spans])


def spans_from_json(text: str) -> tuple[Span, ...]:
    """Inverse of `spans_to_json`.

    Raises
    ------
    ValueError
        If the text is not a list of spans.
    """
    try:
        return tuple(Span(**span) for span in json.loads(text))
    except (TypeError, ValueError) as problem:
        raise ValueError(f"not a list of spans: {text[:80]!r}; write it with `spans_to_json`") from problem
