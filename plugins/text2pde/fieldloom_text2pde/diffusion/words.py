"""One error for a word that is none of the known ones."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def one_of(what: str, word: str, known: Iterable[str]) -> None:
    """Refuse an unknown word, with the closest known one.

    Raises
    ------
    ValueError
    """
    known = tuple(known)
    if word in known:
        return
    close = difflib.get_close_matches(str(word), known, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    raise ValueError(f"unknown {what} {word!r}: it must be one of {', '.join(map(repr, known))}{hint}")
