"""Train the parameters of a multigrid cycle through unrolled conjugate gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..directions.multigrid import relative_faces
from ..directions.torch_multigrid import TorchMultigrid
from ..kernels import torch_grid
from ..parameters import Kind, LevelParameters, MultigridParameters
from ..problem import Poisson, poisson, without_rim
from ..systems import COEFFICIENT_KINDS, MASK_KINDS, flow_rhs, random_coefficient, random_mask, white_rhs
from .loop import Loop, State

OMEGA = (0.5, 1.7)
KAPPA = (0.3, 1.0)
BOUND = (1.0, 4.0)
DIRICHLET = (0.75, 1.6)


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train.

    Parameters
    ----------
    dimension : {2, 3}
    kind : {"mask", "coefficient"}
        Obstacles with c = 1, or coefficients that jump.
    size : int
        Cells along a side of the training grids.
    levels : int
        Levels with parameters of their own; coarser ones share the last.
    sweeps : int
        Smoothing sweeps before and after.
    gamma : {1, 2}
    conditioned : bool
        Whether coarse faces may depend on what lies behind them (``bound`` is trained; else it is 1).
    steps, batch : int
        Optimiser steps, systems a step.
    iterations : int
        Conjugate gradient iterations that are unrolled.
    learning_rate : float
    seed : int
    """

    dimension: int
    kind: Kind = "mask"
    size: int = 32
    levels: int = 3
    sweeps: int = 2
    gamma: int = 2
    conditioned: bool = True
    steps: int = 60
    batch: int = 4
    iterations: int = 5
    learning_rate: float = 0.04
    seed: int = 0


class LevelModule(nn.Module):
    """Parameters of one level, kept in their ranges by sigmoids; starts at the textbook's values.

    Below the finest grid kappa times bound is at most 1, which keeps a W-cycle positive definite.
    """

    def __init__(self, sweeps: int, *, finest: bool, conditioned: bool = True) -> None:
        super().__init__()
        self.finest, self.conditioned = finest, conditioned
        self.raw_omega = nn.Parameter(torch.full((sweeps, 2), _logit(1.0, OMEGA)))
        self.raw_kappa = nn.Parameter(torch.tensor(_logit(0.95, KAPPA)))
        self.raw_bound = nn.Parameter(torch.tensor(_logit(1.2, BOUND)))
        self.raw_dirichlet = nn.Parameter(torch.tensor(_logit(1.0, DIRICHLET)))

    @property
    def omega(self) -> list[tuple[Tensor, Tensor]]:
        values = _ranged(self.raw_omega, OMEGA)
        return [(pair[0], pair[1]) for pair in values]

    @property
    def bound(self) -> Any:
        return _ranged(self.raw_bound, BOUND) if self.conditioned else 1.0

    @property
    def kappa(self) -> Tensor:
        kappa = _ranged(self.raw_kappa, KAPPA)
        return kappa if self.finest else kappa / self.bound

    @property
    def dirichlet(self) -> Tensor:
        return _ranged(self.raw_dirichlet, DIRICHLET)

    def frozen(self) -> LevelParameters:
        """Return the values as they are now."""
        omega = tuple((first.item(), second.item()) for first, second in self.omega)
        bound = float(torch.as_tensor(self.bound).detach())
        return LevelParameters(omega, self.kappa.item(), bound, self.dirichlet.item())


def _logit(value: float, limits: tuple[float, float]) -> float:
    share = (value - limits[0]) / (limits[1] - limits[0])
    return float(np.log(share / (1.0 - share)))


def _ranged(raw: Tensor, limits: tuple[float, float]) -> Tensor:
    return limits[0] + (limits[1] - limits[0]) * torch.sigmoid(raw)


def train(
    recipe: Recipe, after_step: Callable[[Loop], None] | None = None, resume: State | None = None
) -> MultigridParameters:
    """Learn by Adam: the loss is the mean logarithm of the residual after each unrolled iteration.

    Parameters
    ----------
    recipe : Recipe
    after_step : callable, optional
        For progress and checkpoints.
    resume : dict of Tensor, optional
        State of an earlier training by the same recipe.

    Returns
    -------
    MultigridParameters
        Averaged over the last third of the steps.
    """
    modules = nn.ModuleList(
        LevelModule(recipe.sweeps, finest=level < recipe.levels - 1 and level == 0, conditioned=recipe.conditioned)
        for level in range(recipe.levels)
    )
    loop = Loop(modules, recipe.steps, recipe.learning_rate, recipe.seed, average=1 / 3)
    if resume is not None:
        loop.resume(resume)
    levels: list[Any] = list(modules)

    def loss(rng: np.random.Generator) -> Tensor:
        return unrolled_loss(*draw_batch(rng, recipe), levels, recipe.gamma, recipe.iterations)

    loop.run(loss, after_step)
    frozen = tuple(level.frozen() for level in levels)
    return MultigridParameters(recipe.dimension, recipe.gamma, frozen, recipe=asdict(recipe))


def draw_batch(rng: np.random.Generator, recipe: Recipe) -> tuple[tuple[Tensor, ...], Tensor]:
    """Draw systems: conductances (batch, ...) and right-hand sides (batch, *grid) of norm 1."""
    systems = [random_system(rng, recipe) for _ in range(recipe.batch)]
    faces = zip(*(without_rim(relative_faces(problem)[0]) for problem, _ in systems), strict=True)
    b = np.stack([rhs / np.linalg.norm(rhs) for _, rhs in systems])
    return tuple(torch.from_numpy(np.stack(w)).float() for w in faces), torch.from_numpy(b).float()


def random_system(rng: np.random.Generator, recipe: Recipe) -> tuple[Poisson, np.ndarray[Any, Any]]:
    """Draw one system with at least one Dirichlet side."""
    shape = (recipe.size,) * recipe.dimension
    sides: list[Any] = [tuple(rng.choice(["dirichlet", "neumann"], 2)) for _ in shape]
    sides[0] = ("dirichlet", sides[0][1])
    mask, coefficient = np.ones(shape, bool), None
    if recipe.kind == "mask":
        mask = random_mask(rng, shape, MASK_KINDS[rng.integers(len(MASK_KINDS))])
    else:
        kind = COEFFICIENT_KINDS[rng.integers(len(COEFFICIENT_KINDS))]
        coefficient = random_coefficient(rng, shape, kind, float(10.0 ** rng.uniform(1, 3)))
    problem = poisson(mask, 1.0, sides, coefficient)
    return problem, (white_rhs if rng.random() < 0.5 else flow_rhs)(rng, problem)


def unrolled_loss(faces: Sequence[Tensor], b: Tensor, levels: Sequence[Any], gamma: int, iterations: int) -> Tensor:
    """Mean of log10 ||r|| over the batch, divided by the number of the iteration and averaged over iterations.

    Differentiable with respect to everything in ``levels``; conjugate gradients as in :func:`.krylov.pcg`.
    """
    model = TorchMultigrid(faces, levels, gamma)
    r, p, rz_old, losses = b, torch.zeros_like(b), None, []
    for number in range(1, iterations + 1):
        z = model(r)
        rz = _dot(r, z)
        p = z if rz_old is None else z + (rz / rz_old) * p
        q = torch_grid.apply(faces, p)
        r = r - (rz / _dot(p, q)) * q
        rz_old = rz
        losses.append(0.5 * torch.log10(_dot(r, r)).mean() / number)
    return torch.stack(losses).mean()


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).flatten(1).sum(1).reshape(-1, *(1,) * (a.ndim - 1))
