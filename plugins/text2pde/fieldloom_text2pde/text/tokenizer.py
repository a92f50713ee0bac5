"""Cuts a prompt into words, punctuation and numbers that keep their values."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .captions import NUMBER_WORDS, number_value

PAD, UNK, CLS, NUM = range(4)
"""Ids of the special tokens: filling, unknown word, beginning, number."""
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[NUM]")
MAX_TOKENS = 96

# A unit with its exponent is one word ("m2", "s^-1"); "twenty-one" is no number we know.
_PIECES = re.compile(
    rf"""
    (?P<unit>(?<![^\W\d_])(?:k?m|cm|mm|s)(?:\^?[-\u2212⁻]?[1-4](?![\d.]*\d)|⁻?[¹²³]))
  | (?P<number>
        (?<![^\W\d_]-)\b(?:{"|".join(NUMBER_WORDS)})\b
      | (?:(?<![\w)])[-\u2212])?(?:[1-9]\d{{0,2}}(?:,\d{{3}})+(?!\d)(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)(?:e[-+\u2212]?\d+)?
    )
  | (?P<word>[^\W\d_]+(?:_[^\W\d_]+)*)
  | (?P<mark>[^\w\s'"`!?\-\u2010-\u201f])
    """,
    re.VERBOSE | re.IGNORECASE,
)
_DECIMAL_COMMA = re.compile(r"(?<![\d.,(])0,\d+(?![\d.,)])")


@dataclass(frozen=True, slots=True)
class Tokens:
    """A tokenized text, beginning with [CLS].

    Attributes
    ----------
    ids : tuple of int
    values : tuple of float
        Value of each number, 0 for other tokens.
    offsets : tuple of (int, int)
        Where each token stands in the text.
    """

    ids: tuple[int, ...]
    values: tuple[float, ...]
    offsets: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Batch:
    """Tokenized texts, filled up to one length.

    Attributes
    ----------
    ids : Tensor of int64, shape (batch, length)
    values : Tensor of float64, shape (batch, length)
    mask : Tensor of bool, shape (batch, length)
        True on tokens, False on filling.
    """

    ids: Tensor
    values: Tensor
    mask: Tensor

    def to(self, device: torch.device | str) -> Batch:
        """The same on another device."""
        return Batch(self.ids.to(device), self.values.to(device), self.mask.to(device))

    def rows(self, which: Tensor) -> Batch:
        """Some of the texts, cut to the longest of them."""
        mask = self.mask[which]
        length = int(mask.sum(1).max())
        return Batch(self.ids[which, :length], self.values[which, :length], mask[:, :length])


class Tokenizer:
    """Words of a fixed vocabulary in lower case, punctuation, and numbers.

    Parameters
    ----------
    vocabulary : sequence of str
        Words and marks that are told apart; everything else is [UNK].
    max_tokens : int
        Longest text that is accepted, [CLS] included.
    """

    def __init__(self, vocabulary: Sequence[str], max_tokens: int = MAX_TOKENS) -> None:
        self.vocabulary = tuple(vocabulary)
        self.max_tokens = max_tokens
        self._ids = {word: i for i, word in enumerate(self.vocabulary, start=len(SPECIAL))}

    @classmethod
    def from_texts(cls, texts: Iterable[str], max_tokens: int = MAX_TOKENS, min_count: int = 2) -> Tokenizer:
        """Vocabulary of all words that texts use at least ``min_count`` times, in alphabetical order."""
        words = Counter(match[0].lower() for text in texts for match in _PIECES.finditer(text) if not match["number"])
        return cls(sorted(word for word, n in words.items() if n >= min_count), max_tokens)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Tokenizer:
        """Inverse of `config`."""
        return cls(config["vocabulary"], config["max_tokens"])

    def config(self) -> dict[str, Any]:
        """All there is to know, ready for JSON."""
        return {"vocabulary": list(self.vocabulary), "max_tokens": self.max_tokens}

    def __len__(self) -> int:
        """Number of ids, special ones included."""
        return len(SPECIAL) + len(self.vocabulary)

    def encode(self, text: str) -> Tokens:
        """Cut a text into tokens.

        Raises
        ------
        ValueError
            If the text is empty or too long, or a number in it is not clear.
        """
        _check_decimal_comma(text)
        pieces = list(_PIECES.finditer(text))
        if not pieces:
            raise ValueError(f"the prompt {text!r} is empty: say in words what to show, for example its quantities")
        if len(pieces) + 1 > self.max_tokens:
            raise ValueError(
                f"the prompt has {len(pieces) + 1} words, numbers and marks and may have {self.max_tokens}: shorten it "
                f"(it begins {text[:40]!r})"
            )
        ids = tuple(NUM if p["number"] else self._ids.get(p[0].lower(), UNK) for p in pieces)
        values = tuple(number_value(p[0]) if p["number"] else 0.0 for p in pieces)
        return Tokens((CLS, *ids), (0.0, *values), ((0, 0), *(p.span() for p in pieces)))

    def batch(self, texts: Sequence[str]) -> Batch:
        """Tokenize texts and fill them up to the longest one."""
        rows = [self.encode(text) for text in texts]
        if not rows:
            raise ValueError("no prompts: give at least one")
        length = max(len(row.ids) for row in rows)
        ids = torch.full((len(rows), length), PAD)
        values = torch.zeros(len(rows), length, dtype=torch.float64)
        for i, row in enumerate(rows):
            ids[i, : len(row.ids)] = torch.tensor(row.ids)
            values[i, : len(row.ids)] = torch.tensor(row.values, dtype=torch.float64)
        return Batch(ids, values, ids != PAD)


def _check_decimal_comma(text: str) -> None:
    found = _DECIMAL_COMMA.search(text)
    if found:
        raise ValueError(
            f"{found[0]!r} in the prompt can be one number or two: write {found[0].replace(',', '.')!r} for one, "
            f"{found[0].replace(',', ', ')!r} for two"
        )
