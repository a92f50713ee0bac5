"""Fieldloom's room of linear solvers: pressure-Poisson systems by learned conjugate directions and multigrid."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_PUBLIC = {
    "Poisson": "problem",
    "poisson": "problem",
    "Preconditioner": "linear_operator",
    "SolveResult": "result",
    "Status": "result",
    "project": "projection",
    "set_up": "solving",
    "solve": "solving",
    "solve_system": "solving",
    "solve_torch": "differentiable",
}
"""Where each public name lives; its module is imported on first use."""

__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_PUBLIC[name]}", __name__), name)
