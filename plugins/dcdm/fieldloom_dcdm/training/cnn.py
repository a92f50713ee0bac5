"""Train the convolutional direction model, without a single solution."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..directions.cnn import CnnConfig, DirectionNetwork
from ..directions.torch_multigrid import faces_of
from ..kernels import torch_grid
from ..problem import Boundary, poisson
from ..systems import MASK_KINDS, random_mask
from .loop import Loop, State
from .ritz import Ritz, draw, ritz


@dataclass(frozen=True, slots=True)
class CnnRecipe:
    """How to train.

    Parameters
    ----------
    network : CnnConfig
    size : int
        Cells along a side of the training grid.
    boundary : Boundary
        Of the training box.
    ritz_vectors : int
    obstacles : int
        Number of random masks to train on; 0 is the paper's empty box.
    steps, batch : int
    seconds : float
        Stop after this many CPU seconds of optimiser steps, whatever ``steps`` says.
    learning_rate : float
        Peak of the cosine schedule of Adam.
    seed : int
    """

    network: CnnConfig = field(default_factory=CnnConfig)
    size: int = 64
    boundary: Boundary = "dirichlet"
    ritz_vectors: int = 600
    obstacles: int = 0
    steps: int = 1500
    batch: int = 10
    seconds: float = float("inf")
    learning_rate: float = 2e-3
    seed: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class _Source:
    """One training system: where its residuals come from, and its matrix."""

    pairs: Ritz
    faces: tuple[Tensor, ...]
    mask: Tensor


def train(
    recipe: CnnRecipe, after_step: Callable[[Loop], None] | None = None, resume: State | None = None
) -> DirectionNetwork:
    """Minimise ||r - alpha A f(r)||^2 by Adam, alpha being the exact line search.

    Parameters
    ----------
    recipe : CnnRecipe
    after_step : callable, optional
        For progress and checkpoints.
    resume : dict of Tensor, optional
        State of an earlier training by the same recipe.

    References
    ----------
    Kaneda et al., "A Deep Conjugate Direction Method for Iteratively Solving Linear Systems", ICML 2023, section 5.
    Unlike the authors, who store 20 000 right-hand sides (168 GB at 128^3), residuals are drawn on the fly.
    """
    torch.manual_seed(recipe.seed)
    network = DirectionNetwork(recipe.network)
    sources = list(_sources(np.random.default_rng(recipe.seed), recipe))
    loop = Loop(network, recipe.steps, recipe.learning_rate, recipe.seed, seconds=recipe.seconds)
    if resume is not None:
        loop.resume(resume)

    def loss(rng: np.random.Generator) -> Tensor:
        source = sources[int(rng.integers(len(sources)))]
        r = torch.from_numpy(draw(rng, source.pairs, recipe.batch))
        return direction_loss(source.faces, r, network(r, source.mask.expand_as(r)))

    loop.run(loss, after_step)
    return network


def _sources(rng: np.random.Generator, recipe: CnnRecipe) -> Any:
    shape = (recipe.size,) * recipe.network.dimension
    masks = [np.ones(shape, np.bool_)]
    if recipe.obstacles:
        masks = [random_mask(rng, shape, MASK_KINDS[i % len(MASK_KINDS)]) for i in range(recipe.obstacles)]
    for mask in masks:
        problem = poisson(mask, 1.0, recipe.boundary)
        pairs = ritz(problem, recipe.ritz_vectors, rng)
        yield _Source(pairs, faces_of(problem.conductances()), torch.from_numpy(mask).float()[None])


def direction_loss(faces: Sequence[Tensor], r: Tensor, d: Tensor) -> Tensor:
    """Mean over the batch of ||r - alpha A d||^2 with alpha = (r.d) / (d.A d), equation 8 of the paper.

    Parameters
    ----------
    faces : sequence of Tensor
        Conductances.
    r, d : Tensor, shape (batch, *grid)
    """
    image = torch_grid.apply(faces, d).flatten(1)
    r, d = r.flatten(1), d.flatten(1)
    alpha = (r * d).sum(1) / (d * image).sum(1)
    return (r - alpha[:, None] * image).square().sum(1).mean()
