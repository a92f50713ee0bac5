"""Train a direction model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from fieldloom import Context, Port, Resources, Stage, StageParams, Variable, param

from .ports import MODEL, PICTURES

if TYPE_CHECKING:
    import xarray as xr
    from torch import Tensor

    from ..training.loop import Loop

SAVE_EVERY = 20
"""Optimiser steps between checkpoints."""
HISTORY = Port(
    {
        "model": Variable(("row",), "string", description="what was trained"),
        "parameters": Variable(("row",), "int64", description="trained numbers"),
        "steps": Variable(("row",), "int64", description="optimiser steps"),
        "first_loss": Variable(("row",), "float64", "1", "mean loss of the first tenth"),
        "last_loss": Variable(("row",), "float64", "1", "mean loss of the last tenth"),
    },
    "How it was trained.",
    extra=False,
)


class Train(Stage):
    """Learn search directions from random systems of its own: parameters of a multigrid cycle, or the paper's network.

    The multigrid learns by conjugate gradients unrolled on random obstacles (or coefficients) of all kinds, and what
    it learns on small grids holds on large ones. The network (`cnn`) learns as in Kaneda et al. (2023): it minimises
    what an exact line search leaves of residuals made of Ritz vectors of an empty box, or of boxes with obstacles.
    """

    class Params(StageParams):
        """What to train, and for how long."""

        model: Literal["multigrid", "cnn"] = param("multigrid", "A multigrid cycle, or the paper's network.")
        dimension: Literal[2, 3] = param(2, "Of the grids.")
        systems: Literal["mask", "coefficient"] = param(
            "mask", "Obstacles, or coefficients that jump; the network learns obstacles only."
        )
        cells: int = param(64, "Cells along a side of the training grids.", ge=8, le=512)
        steps: int = param(100, "Optimiser steps.", ge=1, le=1_000_000)
        batch: int = param(4, "Systems, or residuals, in a batch.", ge=1, le=4096)
        learning_rate: float = param(0.04, "Adam's rate at the start; 0.002 suits the network.", gt=0.0, le=1.0)
        iterations: int = param(5, "Conjugate gradient iterations that are unrolled (multigrid).", ge=1, le=50)
        gamma: Literal[1, 2] = param(2, "V-cycle (1) or W-cycle (2) (multigrid).")
        ritz_vectors: int = param(600, "Ritz vectors that residuals are made of (network).", ge=2, le=10_000)
        obstacles: int = param(0, "Random masks to train on; 0 is the paper's empty box (network).", ge=0, le=1000)
        sees_mask: bool = param(False, "Give the network the mask as a second input.")
        channels: int = param(16, "Channels of the network.", ge=1, le=512)

    outputs: Mapping[str, Port] = {"model": MODEL, "history": HISTORY, "pictures": PICTURES}
    resources = Resources(isolate=True)
    affects = ("torch", "numpy", "scipy")
    random = True

    def run(self, context: Context, params: Params, **inputs: Any) -> Mapping[str, xr.Dataset]:
        """Train."""
        import torch
        from fieldloom.contracts.table import table
        from fieldloom.files import png_files

        from . import plots

        torch.set_num_threads(context.threads)
        losses: list[float] = []
        make = _multigrid if params.model == "multigrid" else _network
        model = make(context, params, _watch(context, losses), _saved(context))
        tenth = max(1, len(losses) // 10)
        row = {
            "model": params.model,
            "parameters": sum(int(v.size) for v in model.data_vars.values()),
            "steps": len(losses),
            "first_loss": sum(losses[:tenth]) / tenth,
            "last_loss": sum(losses[-tenth:]) / tenth,
        }
        pictures = png_files(loss=plots.learning_curve(losses, params.model))
        return {"model": model, "history": table([row], HISTORY, "Training"), "pictures": pictures}


def _multigrid(context: Context, params: Train.Params, watch: Callable[[Loop], None], resume: Any) -> xr.Dataset:
    from ..training.multigrid import Recipe, train
    from .weights import of_parameters

    recipe = Recipe(
        params.dimension,
        params.systems,
        params.cells,
        gamma=params.gamma,
        steps=params.steps,
        batch=params.batch,
        iterations=params.iterations,
        learning_rate=params.learning_rate,
        seed=context.seed,
    )
    return of_parameters(train(recipe, watch, resume))


def _network(context: Context, params: Train.Params, watch: Callable[[Loop], None], resume: Any) -> xr.Dataset:
    from ..directions.cnn import CnnConfig
    from ..training.cnn import CnnRecipe, train
    from .weights import of_network

    recipe = CnnRecipe(
        CnnConfig(params.dimension, params.channels, sees_mask=params.sees_mask),
        params.cells,
        ritz_vectors=params.ritz_vectors,
        obstacles=params.obstacles,
        steps=params.steps,
        batch=params.batch,
        learning_rate=params.learning_rate,
        seed=context.seed,
    )
    return of_network(train(recipe, watch, resume))


def _watch(context: Context, losses: list[float]) -> Callable[[Loop], None]:
    """Show progress and save checkpoints; ``losses`` ends as all of them."""
    import xarray as xr

    def after(loop: Loop) -> None:
        losses[:] = loop.losses
        if loop.step % SAVE_EVERY == 0 and loop.share < 1.0:
            state = {name.replace("/", ":"): value.numpy() for name, value in loop.state().items()}
            data = xr.Dataset({n: ([f"{n}_{i}" for i in range(v.ndim)], v) for n, v in state.items()})
            context.checkpoints.save(loop.step, data)
        context.progress(loop.step, loop.steps, f"loss {loop.losses[-1]:.4g}")

    return after


def _saved(context: Context) -> dict[str, Tensor] | None:
    """State of a training that was interrupted."""
    import torch

    saved = context.checkpoints.latest()
    if saved is None:
        return None
    context.log.info("training goes on after step %d", saved[0])
    variables: Any = saved[1].data_vars
    return {str(name).replace(":", "/"): torch.from_numpy(v.to_numpy().copy()) for name, v in variables.items()}
