"""What a multigrid cycle may learn, and the sets that ship with the room."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from importlib.resources import files
from typing import Any, Literal, Protocol

from ..errors import InvalidProblem, WrongDimension

Kind = Literal["mask", "coefficient"]
"""What a set was trained for: solid masks with c = 1, or coefficients that jump."""


class Values(Protocol):
    """What the cycle asks of the parameters of one level: floats, or tensors to be trained."""

    @property
    def omega(self) -> Sequence[tuple[Any, Any]]: ...
    @property
    def kappa(self) -> Any: ...
    @property
    def bound(self) -> Any: ...
    @property
    def dirichlet(self) -> Any: ...


@dataclass(frozen=True, slots=True)
class LevelParameters:
    """Parameters of one level.

    Parameters
    ----------
    omega : tuple of (float, float)
        For each sweep, the relaxation of the first and of the second colour, in (0, 2).
    kappa, bound, dirichlet : float
        Over-correction of the faces of the next coarser grid; see :mod:`fieldloom_dcdm.hierarchy`.
    """

    omega: tuple[tuple[float, float], ...] = ((1.0, 1.0), (1.0, 1.0))
    kappa: float = 1.0
    bound: float = 1.0
    dirichlet: float = 1.0

    def __post_init__(self) -> None:
        if not all(0.0 < w < 2.0 for pair in self.omega for w in pair):
            raise InvalidProblem(f"relaxation should lie between 0 and 2, or the cycle is indefinite: {self.omega}")
        if min(self.kappa, self.dirichlet) <= 0.0 or self.bound < 1.0:
            raise InvalidProblem(f"kappa and dirichlet should be positive, bound at least 1: {self}")

    @property
    def overcorrection(self) -> float:
        """The most that a coarse face is weaker than the sum of its fine faces."""
        return max(1.0 + self.kappa * self.bound, (1.0 + 0.5 * self.kappa * self.bound) / self.dirichlet)


@dataclass(frozen=True, slots=True)
class MultigridParameters:
    """Parameters of all levels, finest first; coarser levels repeat the last.

    Parameters
    ----------
    dimension : int or None
        2 or 3; None serves both.
    gamma : {1, 2}
        How often a cycle visits the next coarser grid: 1 is a V-cycle, 2 a W-cycle.
    levels : tuple of LevelParameters
    recipe, scores : mapping
        How they were trained and what they reached, for the reader.
    """

    dimension: int | None = None
    gamma: int = 1
    levels: tuple[LevelParameters, ...] = (LevelParameters(),)
    recipe: Mapping[str, Any] = field(default_factory=dict)
    scores: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        below_finest = self.levels[1:] or self.levels
        if self.gamma == 2 and any(level.overcorrection > 2.0 + 1e-6 for level in below_finest):
            raise InvalidProblem("a W-cycle is positive definite only if no face below the finest grid is "
                                 f"over-corrected by more than 2: {below_finest}")  # fmt: skip
        if self.gamma not in (1, 2):
            raise InvalidProblem(f"gamma should be 1 (V-cycle) or 2 (W-cycle), and is {self.gamma}")

    def level(self, number: int) -> LevelParameters:
        return self.levels[min(number, len(self.levels) - 1)]

    def check(self, ndim: int) -> None:
        """Raise :class:`WrongDimension` unless they are for grids of ``ndim`` axes."""
        if self.dimension not in (None, ndim):
            raise WrongDimension(f"the parameters are for {self.dimension}D grids, and the problem is {ndim}D")


def textbook(sweeps: int = 2, omega: float = 1.0, gamma: int = 1) -> MultigridParameters:
    """Return a V- or W-cycle with as many sweeps before and after, one omega, and coarse faces S / 2."""
    return MultigridParameters(gamma=gamma, levels=(LevelParameters(((omega, omega),) * sweeps),))


def to_json(parameters: MultigridParameters) -> str:
    """Write a set as JSON."""
    return json.dumps(asdict(parameters), indent=1)


def from_json(text: str) -> MultigridParameters:
    """Read what :func:`to_json` wrote.

    Raises
    ------
    InvalidProblem
        If the text does not hold such a set, or a value is out of its range.
    """
    try:
        content = json.loads(text)
        levels = tuple(_level(level) for level in content["levels"])
        return MultigridParameters(content["dimension"], content["gamma"], levels, content["recipe"], content["scores"])
    except (KeyError, TypeError, json.JSONDecodeError) as exc:
        raise InvalidProblem(f"this holds no multigrid parameters: {exc}") from exc


def _level(content: Mapping[str, Any]) -> LevelParameters:
    omega: Sequence[Sequence[float]] = content["omega"]
    pairs = tuple((float(first), float(second)) for first, second in omega)
    return LevelParameters(pairs, content["kappa"], content["bound"], content["dirichlet"])


@lru_cache
def shipped(dimension: int, kind: Kind = "mask") -> MultigridParameters:
    """Return the trained set for grids of ``dimension`` axes."""
    return from_json(files(__package__).joinpath(f"{kind}_{dimension}d.json").read_text("utf-8"))
