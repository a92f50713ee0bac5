"""Train a generator on cached latents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, Self

from fieldloom import Context, Port, Variable, param
from pydantic import model_validator

from .autoencoder import LATENTS
from .ports import CAPTIONS, MODEL, PICTURES, TRAJECTORIES
from .training_stage import TrainingParams, TrainingStage

if TYPE_CHECKING:
    import xarray as xr

    from ..generator.model import Generator
    from ..generator.setting import Design
    from ..text.encoder import TextEncoder
    from ..text.tokenizer import Tokenizer
    from ..training import Training
    from ..trajectories import Trajectories

HISTORY = Port(
    {
        "part": Variable(("row",), "string", description="part of the generator"),
        "parameters": Variable(("row",), "int64", description="trained parameters"),
        "steps": Variable(("row",), "int64", description="optimiser steps"),
        "first_loss": Variable(("row",), "float64", "1", "mean loss of the first tenth"),
        "last_loss": Variable(("row",), "float64", "1", "mean loss of the last tenth"),
    },
    "How each part was trained.",
    extra=False,
)
PARTS = ("mean", "residual", "opening", "opening-residual")


class TrainDiffusion(TrainingStage):
    """Learn to draw whole trajectories from a prompt, numbers, a first frame, or any of these together.

    Two parts: a network for the mean, and flow matching (or diffusion) for what it leaves; `mean: none` is the
    paper's single part, `backbone: dit` its transformer with adaLN-zero and cross-attention to the prompt. A smaller
    generator draws the first frame where none is given. Conditions are hidden at random in training, so that any of
    them may be missing and guidance works. The text encoder is trained first, from the captions alone.
    """

    class Params(TrainingParams):
        """Sizes and training."""

        mean: Literal["latent", "patched-unet", "unet", "fno", "none"] = param(
            "latent",
            "Where the mean is learned: in the latents, in physical space by U-Net or FNO (grids), or nowhere.",
        )
        backbone: Literal["unet", "dit"] = param("unet", "Convolutional U-Net with time as channels, or transformer.")
        process: Literal["flow", "epsilon", "v"] = param(
            "flow", "Flow matching, or diffusion whose network predicts the noise or v."
        )
        widths: list[int] = param([128, 160], "Channels of the U-Nets in the latents.", min_length=1)
        blocks: int = param(2, "Residual blocks a level.", ge=1)
        field_widths: list[int] = param([64, 96, 128], "Channels of the mean in physical space.", min_length=1)
        width: int = param(128, "Width of the transformer.", ge=16)
        depth: int = param(4, "Layers of the transformer.", ge=1)
        heads: int = param(4, "Heads of the transformer.", ge=1)
        patch: tuple[int, int, int] = param((2, 2, 2), "Latents (time, y, x) that make one token.")
        text_model: str = param(
            "",
            "Folder or name of a Hugging Face encoder that embeds prompts in place of ours (fieldloom-text2pde[text]).",
        )
        text_steps: int = param(600, "Optimiser steps of the text encoder.", ge=1)
        mean_steps: int = param(300, "Optimiser steps of the mean.", ge=1)
        residual_steps: int = param(300, "Optimiser steps of the residual.", ge=1)
        opening_steps: int = param(300, "Optimiser steps of the first frame's mean, and of its residual.", ge=1)
        batch: int = param(16, "Trajectories in a batch.", ge=1)
        learning_rate: float = param(0.02, "Peak rate of the matrices (Muon).", gt=0.0, le=1.0)
        average: float = param(0.99, "Decay of the averaged weights (EMA).", ge=0.0, lt=1.0)
        hide: float = param(0.2, "Probability that a number, and that all of them, are hidden.", ge=0.0, le=1.0)
        hide_prompt: float = param(0.3, "Probability that the prompt is hidden.", ge=0.0, le=1.0)
        members: int = param(8, "Members of the ensembles on which the spread is set.", ge=2)

        @model_validator(mode="after")
        def _fits(self) -> Self:
            if self.width % self.heads:
                raise ValueError(f"`heads` {self.heads} should divide `width` {self.width}")
            return self

    inputs: Mapping[str, Port] = {
        "fields": TRAJECTORIES,
        "captions": CAPTIONS,
        "autoencoder": MODEL,
        "latents": LATENTS,
    }
    outputs: Mapping[str, Port] = {"model": MODEL, "history": HISTORY, "pictures": PICTURES}

    def run(self, context: Context, params: Params, **inputs: Any) -> Mapping[str, xr.Dataset]:
        """Train part after part, then set the spread."""
        from dataclasses import replace

        from fieldloom.contracts.table import table
        from fieldloom.files import png_files

        from .. import pipeline, plots
        from ..generator.learning import Dropping
        from ..generator.spread import set_spread
        from .common import compiled, splits, use_threads
        from .loading import autoencoder_of

        use_threads(context)
        autoencoder, setting = autoencoder_of(inputs["autoencoder"])
        autoencoder.to(context.device)
        parts = splits(inputs["fields"], inputs["captions"], [c.name for c in setting.channels])
        latents = _cached(inputs["latents"]).to(context.device)
        train = parts["train"]
        if inputs["latents"].attrs["mirrored"]:
            train = pipeline.mirrored(train, setting.rules)
        if len(latents.values) != len(train):
            raise ValueError(f"there are latents of {len(latents.values)} trajectories and {len(train)} for training")
        domains = pipeline.domains_of(autoencoder, setting, train)
        text, tokenizer = _text(context, params, inputs["captions"], setting.numbers.names)
        setting = replace(setting, text_model=params.text_model)
        model = _made(context.seed, params, setting, autoencoder, text, tokenizer, inputs["latents"])
        model.to(context.device)
        prompts = pipeline.Prompts(model.embed, _texts(context, inputs["captions"], train))
        log = _Log(context, model, params)
        if params.compile:
            compiled(*(n for p in (model.continuation, model.opening) for n in (p.mean, p.residual)), model.field_mean)
        dropping = Dropping(params.hide, params.hide, params.hide_prompt)
        with context.team():
            pipeline.train_generator(
                model, train, domains, latents, _budget(params), context.seed, prompts, dropping, log, log.restore()
            )
        ratio = set_spread(model, parts["validation"], params.members, context.seed)
        context.log.info("spread over error on validation trajectories before it was set: %.2f", ratio)
        rows = log.rows()
        for name, seconds in log.spent.items():
            context.log.info("%s: %.1f CPU s", name, seconds)
        return {
            "model": model.to_dataset({"recipe": params.model_dump(mode="json") | {"seed": context.seed}}),
            "history": table(rows, HISTORY, "Training"),
            "pictures": png_files(learning=plots.learning_curves(log.losses)),
        }


class _Log:
    """Progress, checkpoints and losses of the parts as they are trained."""

    def __init__(self, context: Context, model: Generator, params: TrainDiffusion.Params) -> None:
        self.context, self.model = context, model
        self.losses: dict[str, list[float]] = {}
        self.spent: dict[str, float] = {}
        lengths = (params.mean_steps, params.residual_steps, params.opening_steps / 4, params.opening_steps / 4)
        self.shares = {name: n / sum(lengths) for name, n in zip(PARTS, lengths, strict=True)}

    def __call__(self, name: str, training: Training) -> None:
        from .. import weights
        from .common import SAVE_EVERY

        self.losses[name], self.spent[name] = training.losses, training.spent
        if training.step % SAVE_EVERY == 0 and training.share < 1:
            whole = {f"model/{k}": v for k, v in self.model.state_dict().items()}
            state = {f"training/{k}": v for k, v in training.state().items()}
            about = {"part": name, "losses": {k: v for k, v in self.losses.items() if k != name}, "spent": self.spent}
            step = sum(map(len, self.losses.values()))
            self.context.checkpoints.save(step, weights.to_dataset(whole | state, about))
        done = sum(self.shares[p] for p in PARTS[: PARTS.index(name)]) + self.shares[name] * min(training.share, 1.0)
        message = f"{name}: step {training.step}, loss {training.losses[-1]:.4g}"
        self.context.progress(0.1 + 0.88 * done, 1.0, message)

    def restore(self) -> dict[str, dict[str, Any]] | None:
        """Fill the model from a checkpoint, and return the state of the part that was being trained."""
        from .. import weights

        saved = self.context.checkpoints.latest()
        if saved is None:
            return None
        data: Any = saved[1]
        tensors = weights.from_dataset(data)

        def part(prefix: str) -> dict[str, Any]:
            return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}

        weights.load(self.model, part("model/"))
        self.losses, self.spent = weights.attribute(data, "losses"), weights.attribute(data, "spent")
        name = weights.attribute(data, "part")
        self.context.log.info("goes on in %s after %d steps in all", name, saved[0])
        return {name: part("training/")}

    def rows(self) -> list[dict[str, Any]]:
        """The table of trainings."""
        import numpy as np

        from ..networks.blocks import parameter_count

        mean = self.model.field_mean or self.model.continuation.mean
        networks = (mean, self.model.continuation.residual, self.model.opening.mean, self.model.opening.residual)
        rows = []
        for name, network in zip(PARTS, networks, strict=True):
            if losses := self.losses.get(name):
                tenth = max(1, len(losses) // 10)
                rows.append(
                    {
                        "part": name,
                        "parameters": 0 if network is None else parameter_count(network),
                        "steps": len(losses),
                        "first_loss": float(np.mean(losses[:tenth])),
                        "last_loss": float(np.mean(losses[-tenth:])),
                    }
                )
        return rows


def _cached(data: xr.Dataset) -> Any:
    import torch

    from ..pipeline import Latents

    arrays = (data[name].to_numpy() for name in ("latents", "first", "walls", "numbers"))
    return Latents(*(torch.from_numpy(a.copy()) for a in arrays))


def _texts(context: Context, captions: xr.Dataset, train: Trajectories) -> list[list[str]]:
    """Captions of the training set, and of the mirror images that may lie after it."""
    from ..text.captions.mirror import in_mirror
    from .common import members_of

    rows = [captions["caption"].to_numpy()[i].tolist() for i in members_of(captions, "train")]
    images = train.samples[len(rows) :]
    rules, rng = captions.attrs["rules"], context.rng()
    return rows + [in_mirror(rules, texts, image.numbers, rng) for texts, image in zip(rows, images, strict=False)]


def _text(
    context: Context, params: TrainDiffusion.Params, captions: xr.Dataset, names: tuple[str, ...]
) -> tuple[TextEncoder, Tokenizer]:
    import numpy as np

    from ..text.captions import Caption, spans_from_json
    from ..text.tokenizer import Tokenizer
    from ..text.training import train_text
    from .common import members_of

    rows = members_of(captions, "train")
    texts, spans = captions["caption"].to_numpy()[rows], captions["spans"].to_numpy()[rows]
    flat = [Caption(str(t), spans_from_json(str(s))) for t, s in zip(texts.ravel(), spans.ravel(), strict=True)]
    truth = {n: np.repeat(captions[n].to_numpy()[rows], texts.shape[1]) for n in names}
    tokenizer = Tokenizer.from_texts([c.text for c in flat])

    def progress(step: int, loss: float) -> None:
        context.progress(0.1 * step / params.text_steps, 1.0, f"text: step {step}, loss {loss:.4g}")

    encoder = train_text(flat, truth, tokenizer, seed=context.seed, steps=params.text_steps, progress=progress)
    return encoder.requires_grad_(False), tokenizer


def _design(params: TrainDiffusion.Params) -> Design:
    from ..generator.backbones import BackboneConfig
    from ..generator.setting import Design

    def backbone(widths: list[int]) -> BackboneConfig:
        return BackboneConfig(
            params.backbone, tuple(widths), params.blocks, params.width, params.depth, params.heads, params.patch
        )

    smaller = [max(16, width // 2) for width in params.widths]
    whole = backbone(params.widths)
    return Design(params.mean, whole, whole, backbone(smaller), params.process, tuple(params.field_widths))


def _made(
    seed: int,
    params: TrainDiffusion.Params,
    setting: Any,
    autoencoder: Any,
    text: TextEncoder,
    tokenizer: Tokenizer,
    latents: xr.Dataset,
) -> Generator:
    import torch

    from ..generator.field_mean import FIELD_MEANS
    from ..generator.model import Generator

    if params.mean in FIELD_MEANS and not hasattr(autoencoder.config, "patch"):
        raise ValueError(f"mean: {params.mean} works on grids; fields on meshes take mean: latent")
    torch.manual_seed(seed)
    model = Generator(setting, _design(params), autoencoder, text, tokenizer)
    for buffer, name in ((model.latent_shift, "shift"), (model.latent_scale, "scale")):
        buffer.copy_(torch.from_numpy(latents[name].to_numpy())[:, None, None])
    return model


def _budget(params: TrainDiffusion.Params) -> Any:
    from ..pipeline import Budget
    from ..training import Schedule

    def schedule(steps: int) -> Schedule:
        return Schedule(steps, params.learning_rate, average=params.average)

    return Budget(
        schedule(params.mean_steps), schedule(params.residual_steps), schedule(params.opening_steps), params.batch
    )
