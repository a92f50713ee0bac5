"""No preconditioner."""

from __future__ import annotations

from typing import Any, ClassVar

from .base import DirectionModel


class Identity(DirectionModel):
    """f(r) = r: plain conjugate gradients."""

    name: ClassVar[str] = "identity"

    def __call__(self, r: Any) -> Any:
        return r
