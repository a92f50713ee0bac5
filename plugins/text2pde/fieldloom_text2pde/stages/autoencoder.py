"""Train an autoencoder, and encode with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

from fieldloom import Context, Port, Resources, Stage, StageParams, Variable, param
from pydantic import model_validator

from .ports import CAPTIONS, MODEL, PICTURES, TRAJECTORIES
from .training_stage import TrainingParams, TrainingStage

if TYPE_CHECKING:
    import xarray as xr

    from ..autoencoders.learning import Autoencoder
    from ..generator.setting import Setting
    from ..trajectories import Trajectories

SCORES = Port(
    {
        "field": Variable(("row",), "string", description="field"),
        "error": Variable(("row",), "float64", "1", "relative L2 error, test"),
        "interpolation": Variable(("row",), "float64", "1", "error of interpolation onto the same grid and back"),
        "compression": Variable(("row",), "float64", "1", "values in over latents"),
        "parameters": Variable(("row",), "int64", description="trained parameters"),
    },
    "How much each field loses, on trajectories that were not trained on.",
    extra=False,
)


class TrainAutoencoder(TrainingStage):
    """Learn to compress simulations on any mesh, or on a grid, to a uniform grid of latents and back.

    Meshes may differ from sample to sample. Each grid point gathers its nearest nodes by a learned kernel that sees
    distances and directions to the walls, convolutions compress, and points take their values out of the grid by a
    second kernel: any points, so that one may train on one mesh and decode on another. Velocities vanish on walls by
    construction. After section 3.1 of Zhou et al. (2025).
    """

    class Params(TrainingParams):
        """Sizes and training."""

        fields: list[str] | None = param(None, "Fields to learn; all over time if not given.", min_length=1)
        cells: tuple[int, int] = param((12, 48), "Grid (ny, nx) that a mesh's kernels reach; a grid keeps its own.")
        widths: list[int] = param(
            [40, 56], "Channels of the convolutions; each further level halves the grid.", min_length=1
        )
        latents: int = param(8, "Latent channels.", ge=1, le=256)
        block: int = param(1, "Frames that share one latent frame; must divide the number of frames.", ge=1, le=64)
        steps: int = param(500, "Optimiser steps.", ge=1)
        samples: int = param(4, "Trajectories in a batch.", ge=1)
        frames: int = param(4, "Frames of each in a batch.", ge=1)
        learning_rate: float = param(0.02, "Peak rate of the matrices (Muon).", gt=0.0, le=1.0)
        divergence: float = param(1e-6, "Weight of the Kullback-Leibler term.", ge=0.0)
        gradient: float = param(0.0, "Weight of errors in the gradient (grids).", ge=0.0)
        spectral: float = param(0.0, "Weight of errors in Fourier amplitudes (grids).", ge=0.0)
        absolute: float = param(0.0, "Weight of the L1 error beside the L2 error.", ge=0.0)
        mirror: bool = param(False, "Also learn mirror images: of smoke along x, of wakes across the channel.")

        @model_validator(mode="after")
        def _fits(self) -> Self:
            if self.frames < self.block:
                raise ValueError(f"a batch of {self.frames} frames holds no block of {self.block}")
            return self

    inputs: Mapping[str, Port] = {"fields": TRAJECTORIES, "captions": CAPTIONS}
    outputs: Mapping[str, Port] = {"model": MODEL, "scores": SCORES, "pictures": PICTURES}

    def run(self, context: Context, params: Params, **inputs: Any) -> Mapping[str, xr.Dataset]:
        """Train, then test."""
        from fieldloom.contracts.table import table
        from fieldloom.files import png_files

        from .. import pipeline, plots, weights
        from ..autoencoders.learning import ReconstructionLoss, train_autoencoder
        from ..training import Schedule
        from .common import checkpoint, compiled, reporter, splits, use_threads

        use_threads(context)
        parts, rules = splits(inputs["fields"], inputs["captions"], params.fields), inputs["captions"].attrs["rules"]
        train = pipeline.mirrored(parts["train"], rules) if params.mirror else parts["train"]
        setting = pipeline.learn_setting(train, rules)
        model = _made(params, train, context.seed).to(context.device)
        domains = pipeline.domains_of(model, setting, train)
        values = [setting.scaling.apply(v) for v in pipeline.tensors_of(train, context.device)]
        loss = ReconstructionLoss(
            params.samples, params.frames, params.divergence, params.gradient, params.spectral, params.absolute
        )
        if params.compile:
            compiled(model.encoder, model.decoder)
        schedule = Schedule(params.steps, params.learning_rate)
        report, saved = reporter(context, "autoencoder", 0.95), checkpoint(context, "autoencoder")
        with context.team():
            training = train_autoencoder(model, values, domains, schedule, loss, context.seed, report, saved)
        rows, worst = _scores(model, setting, parts["test"])
        about = {
            "kind": "grid" if train.grid else "mesh",
            "setting": setting.to_json(),
            "autoencoder": model.config.to_json(),
        }
        return {
            "model": weights.to_dataset(model.state_dict(), about),
            "scores": table(rows, SCORES, "Reconstruction"),
            "pictures": png_files(
                learning=plots.learning_curves({"autoencoder": training.losses}),
                reconstruction=plots.comparison(parts["test"], worst, "the autoencoder's worst test trajectory"),
            ),
        }


def _made(params: TrainAutoencoder.Params, train: Trajectories, seed: int) -> Autoencoder:
    from .. import pipeline

    frames = len(train.times)
    if frames % params.block:
        raise ValueError(f"`block` {params.block} does not divide the {frames} frames of a trajectory")
    sizes: dict[str, Any] = {"widths": tuple(params.widths), "latents": params.latents, "block": params.block}
    if train.grid is None:
        sizes["shape"] = params.cells
    return pipeline.build_autoencoder(train, seed, **sizes)


def _scores(model: Autoencoder, setting: Setting, test: Trajectories) -> tuple[list[dict[str, Any]], tuple[int, Any]]:
    """Rows of the table, and number and reconstruction of the worst test trajectory."""
    import numpy as np

    from .. import pipeline
    from ..autoencoders.learning import reconstructions
    from ..interpolation import interpolation_floor
    from ..metrics import relative_error
    from ..networks.blocks import parameter_count

    domains = pipeline.domains_of(model, setting, test)
    device = next(model.parameters()).device
    values = [setting.scaling.apply(v) for v in pipeline.tensors_of(test, device)]
    restored = [setting.scaling.undo(r).cpu().numpy() for r in reconstructions(model, values, domains)]
    shape = model.config.shape if test.grid is None else model.config.latent_shape
    floors = [interpolation_floor(s, test.box, shape) for s in test.samples]
    errors = [relative_error(r, s.values) for r, s in zip(restored, test.samples, strict=True)]
    ny, nx = model.config.latent_shape
    latents = len(test.times) // model.config.block * model.config.latents * ny * nx
    compression = float(np.mean([s.values.size for s in test.samples])) / latents

    def row(name: str, channels: list[int]) -> dict[str, Any]:
        pairs = list(zip(restored, test.samples, strict=True))
        floor = [
            relative_error(f[..., channels], s.values[..., channels]) for f, s in zip(floors, test.samples, strict=True)
        ]
        return {
            "field": name,
            "error": float(np.mean([relative_error(r[..., channels], s.values[..., channels]) for r, s in pairs])),
            "interpolation": float(np.mean(floor)),
            "compression": compression,
            "parameters": parameter_count(model),
        }

    every = [c for channel in test.channels for c in channel.channels]
    worst = int(np.argmax(errors))
    rows = [row("all", every), *(row(c.name, list(c.channels)) for c in test.channels)]
    return rows, (worst, restored[worst])


LATENTS = Port(
    {
        "latents": Variable(("sample", "frame", "channel", "ly", "lx"), "float32", "1", "standardised latents"),
        "first": Variable(("sample", "channel", "ly", "lx"), "float32", "1", "latents of the first frames"),
        "walls": Variable(("sample", "wall", "ly", "lx"), "float32", "1", "what the grid knows of the walls"),
        "numbers": Variable(("sample", "number"), "float32", "1", "standardised numbers"),
        "shift": Variable(("channel",), "float32", "1", "mean of each latent channel"),
        "scale": Variable(("channel",), "float32", "1", "deviation of each latent channel"),
    },
    "The training set as a generator sees it, encoded once.",
    attrs=("mirrored",),
)


class Encode(Stage):
    """Encode the training set once, so that no later training step has to (the paper's code encodes in every step)."""

    class Params(StageParams):
        """What to encode."""

        mirror: bool = param(False, "Also encode mirror images: of smoke along x, of wakes across the channel.")

    inputs: Mapping[str, Port] = {"fields": TRAJECTORIES, "captions": CAPTIONS, "model": MODEL}
    outputs: Mapping[str, Port] = {"latents": LATENTS}
    resources = Resources(isolate=True, gpu="optional")
    affects = ("torch", "scipy")

    def run(self, context: Context, params: Params, **inputs: Any) -> Mapping[str, xr.Dataset]:
        """Encode."""
        import xarray as xr

        from .. import pipeline
        from ..generator.model import Generator
        from ..generator.setting import Design
        from .common import splits, use_threads
        from .loading import autoencoder_of

        use_threads(context)
        autoencoder, setting = autoencoder_of(inputs["model"])
        autoencoder.to(context.device)
        train = splits(inputs["fields"], inputs["captions"], [c.name for c in setting.channels])["train"]
        train = pipeline.mirrored(train, setting.rules) if params.mirror else train
        model = Generator(setting, Design(), autoencoder).to(context.device)
        domains = pipeline.domains_of(autoencoder, setting, train)
        found = pipeline.cache_latents(model, train, domains, measure=True)
        arrays = {
            "latents": found.values,
            "first": found.first,
            "walls": found.walls,
            "numbers": found.numbers,
            "shift": model.latent_shift[:, 0, 0],
            "scale": model.latent_scale[:, 0, 0],
        }
        described = LATENTS.variables
        variables = {
            n: (described[n].dims, v.cpu().numpy(), {"units": "1", "long_name": described[n].description})
            for n, v in arrays.items()
        }
        return {"latents": xr.Dataset(variables, attrs={"mirrored": int(params.mirror)})}
