"""Outer iterations: conjugate gradients, and conjugate directions for models that are not linear."""

from __future__ import annotations

from .base import Outcome, Tolerance
from .conjugate_directions import conjugate_directions
from .pcg import pcg

__all__ = ["Outcome", "Tolerance", "conjugate_directions", "pcg"]
