"""The multigrid cycle with trained parameters."""

from __future__ import annotations

from typing import ClassVar

from ..parameters import MultigridParameters, shipped
from ..problem import Poisson
from .multigrid import Multigrid


def learned_parameters(problem: Poisson) -> MultigridParameters:
    """Return the shipped set for the problem's dimension, and for obstacles or for jumps of c."""
    return shipped(problem.ndim, "mask" if problem.uniform else "coefficient")


class LearnedMultigrid(Multigrid):
    """:class:`.Multigrid` with parameters from training, those that ship with the room if none are given."""

    name: ClassVar[str] = "learned-multigrid"

    def __init__(self, problem: Poisson, parameters: MultigridParameters | None = None, threads: int = 1) -> None:
        super().__init__(problem, parameters or learned_parameters(problem), threads)
