"""How the Numba kernels are compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba

FASTMATH = {"contract", "reassoc", "nsz", "arcp"}
"""Sums may be reordered, so that they vectorise; NaN and infinity keep their meaning."""


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile on first call, keep the machine code on disk, release the interpreter's lock."""
    options = {"fastmath": FASTMATH, "nogil": True, "error_model": "numpy"}
    try:
        compiled: Callable[..., Any] = numba.njit(cache=True, **options)(function)
    except RuntimeError:  # there is nowhere to write
        compiled = numba.njit(**options)(function)
    return compiled


def inlined(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile as a part of the kernels that call it."""
    return numba.njit(fastmath=FASTMATH, inline="always", error_model="numpy")(function)
