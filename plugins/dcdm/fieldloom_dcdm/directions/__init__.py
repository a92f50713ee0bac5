"""Direction models: from a residual to a search direction."""

from __future__ import annotations

from typing import Literal, get_args

from ..errors import InvalidProblem
from ..problem import Poisson
from .base import DirectionModel

Name = Literal["learned-multigrid", "multigrid", "dst", "amg", "identity"]
NAMES: tuple[Name, ...] = get_args(Name)

__all__ = ["NAMES", "DirectionModel", "Name", "make"]


def make(name: str, problem: Poisson, threads: int = 1) -> DirectionModel:
    """Make the direction model of a name for a grid.

    Raises
    ------
    InvalidProblem
        If there is no model of that name. ``cnn`` needs weights: pass a :class:`.cnn.Cnn` instead.
    """
    from . import amg, dst, identity, learned_multigrid, multigrid

    if name == "learned-multigrid":
        return learned_multigrid.LearnedMultigrid(problem, threads=threads)
    if name == "multigrid":
        return multigrid.Multigrid(problem, threads=threads)
    if name == "dst":
        return dst.Dst(problem, threads)
    if name == "amg":
        return amg.GridAmg(problem)
    if name == "identity":
        return identity.Identity()
    raise InvalidProblem(f"there is no direction model {name!r}; take one of {', '.join(NAMES)}, or pass a model")
