"""Reads quantities from a prompt: exact numbers where it names them, estimates where words only imply them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch

from .captions import Span, number_value
from .encoder import NO_TAG, TextEncoder
from .tokenizer import NUM, UNK, Tokenizer, Tokens

SURE = 0.8
"""Probability of a number's meaning below which it is doubtful: flags 9 in 10 misreadings of unfamiliar phrasing."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A quantity as the words of a prompt imply it, SI units."""

    mean: float
    deviation: float


@dataclass(frozen=True, slots=True)
class Range:
    """Bounds of a quantity in the data that a model was trained on, SI units."""

    low: float
    high: float
    unit: str = "1"


@dataclass(frozen=True, slots=True)
class Reading:
    """What a prompt says.

    Attributes
    ----------
    prompt : str
    values : dict of str to float
        Quantities that are named, SI units, exactly as written.
    missing : tuple of str
        Quantities that are not named.
    estimates : dict of str to Estimate
        All quantities as the encoder sees them from the whole prompt.
    spans : tuple of Span
        The numbers that were read, and as what.
    unread : tuple of str
        Numbers that denote none of the quantities.
    doubtful : tuple of str
        Numbers whose meaning is less sure than `SURE`, with the words around them.
    unknown : tuple of str
        Words that captions for training never used.
    """

    prompt: str
    values: dict[str, float]
    missing: tuple[str, ...]
    estimates: dict[str, Estimate]
    spans: tuple[Span, ...]
    unread: tuple[str, ...]
    doubtful: tuple[str, ...]
    unknown: tuple[str, ...]


@torch.no_grad()
def read(prompt: str, encoder: TextEncoder, tokenizer: Tokenizer) -> Reading:
    """Read a prompt.

    Raises
    ------
    ValueError
        If the prompt is empty or too long, or gives one quantity two values.
    """
    tokens = tokenizer.encode(prompt)
    encoded = encoder(tokenizer.batch([prompt]).to(encoder.mean.device))
    sure, classes = (found.tolist() for found in encoded.tag_logits[0].softmax(-1).max(-1))
    spans = _spans(tokens, classes, encoder)
    values = agreed(prompt, spans)
    read_at = {span.start for span in spans}
    means = encoder.mean + encoder.scale * encoded.estimate[0]
    deviations = encoder.scale * torch.exp(0.5 * encoded.log_variance[0])
    pairs = zip(encoder.quantities, means.tolist(), deviations.tolist(), strict=True)
    return Reading(
        prompt,
        values,
        missing=tuple(name for name in encoder.quantities if name not in values),
        estimates={name: Estimate(mean, deviation) for name, mean, deviation in pairs},
        spans=spans,
        unread=tuple(prompt[a:b] for a, b in _places(tokens, NUM) if a not in read_at),
        doubtful=tuple(
            around(prompt, *at)
            for at, i, p in zip(tokens.offsets, tokens.ids, sure, strict=True)
            if i == NUM and p < SURE
        ),
        unknown=tuple(dict.fromkeys(prompt[a:b] for a, b in _places(tokens, UNK))),
    )


def check_range(reading: Reading, ranges: Mapping[str, Range]) -> None:
    """Refuse values outside the range of the training data.

    Raises
    ------
    ValueError
        Naming the quantity, its value and the range, for all that are outside.
    """
    outside = [
        f"{name} is {value:g}{_unit(ranges[name])} and was trained between {ranges[name].low:g} and "
        f"{ranges[name].high:g}{_unit(ranges[name])}"
        for name, value in reading.values.items()
        if name in ranges and not ranges[name].low <= value <= ranges[name].high
    ]
    if outside:
        raise ValueError(
            f"the prompt {reading.prompt!r} asks for what the model has not seen: {'; '.join(outside)}. "
            "Choose values inside, or set `extrapolate: true` to try nevertheless"
        )


def _unit(bounds: Range) -> str:
    return "" if bounds.unit in ("", "1") else f" {bounds.unit}"


def _places(tokens: Tokens, wanted: int) -> Iterable[tuple[int, int]]:
    return (at for at, i in zip(tokens.offsets, tokens.ids, strict=True) if i == wanted)


def _spans(tokens: Tokens, classes: list[int], encoder: TextEncoder) -> tuple[Span, ...]:
    """The numbers that have a tag."""
    tagged = zip(tokens.offsets, tokens.ids, classes, strict=True)
    return tuple(Span(*at, *encoder.tags[c - NO_TAG - 1]) for at, i, c in tagged if i == NUM and c != NO_TAG)


def agreed(prompt: str, spans: Iterable[Span]) -> dict[str, float]:
    """One value for each quantity: that with most digits, if several agree to the digits that are given."""
    best: dict[str, tuple[Span, float, float]] = {}
    for span in spans:
        text = prompt[span.start : span.stop]
        value, rounding = number_value(text) * span.factor, resolution(text) * span.factor
        other, known, coarse = best.get(span.quantity, (span, value, rounding))
        if abs(value - known) > max(rounding, coarse) * (1 + 1e-9):
            raise ValueError(
                f"the prompt gives {span.quantity} twice: {known:g} in {around(prompt, other.start, other.stop)!r} and "
                f"{value:g} in {around(prompt, span.start, span.stop)!r}, both in SI units: name it once"
            )
        best[span.quantity] = min((other, known, coarse), (span, value, rounding), key=lambda found: found[2])
    return {name: value for name, (_, value, _) in best.items()}


def resolution(text: str) -> float:
    """Half a unit of the last digit of a number: 0.005 for "0.20"."""
    mantissa, _, exponent = text.lower().replace("\N{MINUS SIGN}", "-").partition("e")
    decimals = len(mantissa.partition(".")[2])
    return 0.5 * 10.0 ** (int(exponent or 0) - decimals) if mantissa[-1:].isdigit() else 0.0


def around(prompt: str, start: int, stop: int, width: int = 20) -> str:
    """A number with a few words before and after it."""
    return prompt[max(0, start - width) : stop + width // 2].strip()
