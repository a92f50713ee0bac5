"""Builds captions from clauses: numbers with units fill clauses, clauses in any order make a caption."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import Formatter

import numpy as np

from .model import NUMBER_WORDS, Caption, Span

Units = tuple[tuple[str, float], ...]
"""Ways of writing a unit, each with its factor to SI."""
Clauses = Mapping[str, tuple[str, ...]]
"""Variants of a clause by its kind; ``{field}`` stands for a number with its unit."""

DIGITS = (2, 3, 3, 4, 4)
"""Significant digits that captions give; three and four twice as often as two."""
SCIENTIFIC = 0.04
"""Share of numbers written like 5.2e-2."""
BREAK = ". "


@dataclass(frozen=True, slots=True)
class Wording:
    """One way of speaking about a kind of data.

    Attributes
    ----------
    openings : tuple of str
        Beginnings of a sentence with a noun that phrases may follow.
    scenes : tuple of str
        Whole sentences that say what there is, before sentences that give numbers.
    titles : tuple of str
        Before a terse list.
    phrases, sentences, labels : mapping of str to tuple of str
        Clauses by kind: following a noun; on their own; in a terse list.
    """

    openings: tuple[str, ...]
    scenes: tuple[str, ...]
    titles: tuple[str, ...]
    phrases: Clauses
    sentences: Clauses
    labels: Clauses


def compose(
    rng: np.random.Generator,
    wording: Wording,
    kinds: Sequence[str],
    parts: Mapping[str, Caption],
    remarks: Sequence[str] = (),
) -> Caption:
    """One caption in a style drawn at random: one long sentence, several short ones, or a terse list.

    Parameters
    ----------
    kinds : sequence of str
        Clauses to use, in this order.
    parts : mapping of str to Caption
        What stands for the fields of the clauses.
    remarks : sequence of str
        Sentences after or before the rest; may have fields as well.
    """
    style = rng.choice(("phrases", "sentences", "labels"), p=(0.4, 0.35, 0.25))
    clauses = [fill(pick(rng, getattr(wording, style)[kind]), parts) for kind in kinds]
    body = {"phrases": _flowing, "sentences": _separate, "labels": _terse}[style](rng, wording, clauses)
    pieces = [body, *(fill(remark, parts) for remark in remarks)]
    if rng.random() < 0.25:
        pieces = pieces[1:] + pieces[:1]
    return sentences(pieces)


def _flowing(rng: np.random.Generator, wording: Wording, clauses: list[Caption]) -> Caption:
    pieces = [Caption(pick(rng, wording.openings)), Caption(" "), clauses[0]]
    for clause in clauses[1:-1]:
        pieces += [Caption(pick(rng, (", ", ", ", " "))), clause]
    if len(clauses) > 1:
        pieces += [Caption(pick(rng, (", ", " and ", " "))), clauses[-1]]
    return concatenate(pieces)


def _separate(rng: np.random.Generator, wording: Wording, clauses: list[Caption]) -> Caption:
    scene = [Caption(pick(rng, wording.scenes))] if rng.random() < 0.8 else []
    return sentences(scene + clauses, end="")


def _terse(rng: np.random.Generator, wording: Wording, clauses: list[Caption]) -> Caption:
    separator = Caption(pick(rng, (", ", ", ", "; ", " ")))
    pieces = [Caption(pick(rng, wording.titles) + pick(rng, (": ", ", ", " ", " with ")))] if rng.random() < 0.8 else []
    for i, clause in enumerate(clauses):
        pieces += [separator, clause] if i else [clause]
    return concatenate(pieces)


def pick(rng: np.random.Generator, choices: Sequence[str]) -> str:
    """One of the choices, all equally likely."""
    return choices[int(rng.integers(len(choices)))]


def concatenate(pieces: Sequence[Caption]) -> Caption:
    """Put texts together as they are; spans move along."""
    text, spans = "", []
    for piece in pieces:
        spans += [span.shifted(len(text)) for span in piece.spans]
        text += piece.text
    return Caption(text, tuple(spans))


def sentences(pieces: Sequence[Caption], end: str = ".") -> Caption:
    """Make sentences of clauses: a capital first, a full stop after each."""
    whole: list[Caption] = []
    for i, piece in enumerate(pieces):
        whole += [Caption(BREAK)] if i else []
        whole.append(Caption(piece.text[:1].upper() + piece.text[1:], piece.spans))
    return concatenate([*whole, Caption(end)])


def fill(template: str, parts: Mapping[str, Caption]) -> Caption:
    """Put parts in the place of ``{field}``; spans move along."""
    pieces: list[Caption] = []
    for literal, field, _, _ in Formatter().parse(template):
        pieces.append(Caption(literal))
        if field is not None:
            pieces.append(parts[field])
    return concatenate(pieces)


def measure(rng: np.random.Generator, value: float, units: Units, quantity: str = "", scale: float = 1.0) -> Caption:
    """A quantity as a number with a unit drawn at random.

    Parameters
    ----------
    value : float
        The quantity in SI units.
    units : tuple of (str, float)
        What to draw the unit from.
    quantity : str
        Its name; if empty, the number denotes nothing.
    scale : float
        The quantity over what is written, in one unit: 0.5 for a radius written as a diameter.
    """
    unit, factor = units[int(rng.integers(len(units)))]
    figure = number(rng, value, quantity, factor * scale)
    return Caption(figure.text + (f" {unit}" if unit else ""), figure.spans)


def number(rng: np.random.Generator, value: float, quantity: str, factor: float) -> Caption:
    """A quantity's number alone, to a random number of digits."""
    text = figures(value / factor, int(rng.choice(DIGITS)), scientific=rng.random() < SCIENTIFIC)
    return Caption(text, (Span(0, len(text), quantity, factor),) if quantity else ())


def figures(value: float, digits: int, *, scientific: bool = False) -> str:
    """Write a number to so many significant digits, "0.20" to two; integers in full."""
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    if scientific:
        return f"{mantissa}e{int(exponent)}"
    return f"{float(f'{mantissa}e{exponent}'):.{max(0, digits - 1 - int(exponent))}f}"


def count(rng: np.random.Generator, value: int, quantity: str) -> Caption:
    """A small integer, in digits or as a word."""
    words = list(NUMBER_WORDS)
    text = words[value] if value < len(words) and rng.random() < 0.6 else str(value)
    return Caption(text, (Span(0, len(text), quantity, 1.0),))
