"""Draw simulations from a trained generator, and read prompts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, Self

from fieldloom import Context, Port, Resources, Stage, StageParams, Variable, param
from fieldloom.contracts import field_port
from pydantic import field_validator, model_validator

from .ports import MODEL, PICTURES

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr

    from ..domains import Domain
    from ..generator.model import Draw, Generator
    from ..trajectories import Sample

Sampler = Literal["flow-euler", "flow-heun", "ddim", "dpm-solver", "deis"]


class Prompted(StageParams):
    """What is asked for in words and numbers."""

    prompt: str | None = param(
        None, "What to simulate, in words: see the captions of the training set.", max_length=2000
    )
    numbers: dict[str, float] = param({}, "Physical numbers by name, SI units; they go before the prompt's.")
    extrapolate: bool = param(False, "Accept numbers outside of what the model has seen.")

    @field_validator("prompt")
    @classmethod
    def _says_something(cls, value: str | None) -> str | None:
        if value is not None and not value.strip():
            raise ValueError("the prompt is empty; leave it out, or say what to simulate")
        return value


class Generate(Stage):
    """Draw an ensemble of whole trajectories from a prompt, numbers, a first frame, or any of these together.

    With `start: frame` the first instant of `domain` is continued; with `start: prompt` the first frame is drawn, too.
    A mesh may be any in the box that the model was trained in, with obstacles where it likes. A population, or a grid
    with several samples, gives its number `sample`.
    """

    class Params(Prompted):
        """Conditions and sampling."""

        start: Literal["frame", "prompt"] = param("prompt", "Continue the domain's first instant, or draw that, too.")
        on: Literal["domain", "grid"] = param("domain", "Draw on the input `domain`, or on the model's own grid.")
        sample: int = param(0, "Which sample of the domain.", ge=0)
        members: int = param(8, "Trajectories in the ensemble.", ge=1, le=1024)
        sampler: Sampler = param("flow-euler", "How noise becomes data.")
        steps: int = param(2, "Evaluations of the network for each trajectory.", ge=1, le=1000)
        opening_steps: int = param(8, "The same for a first frame.", ge=1, le=1000)
        guidance: float = param(1.0, "Above 1, conditions are exaggerated (classifier-free guidance).", ge=0.0, le=20.0)
        check: bool = param(True, "Keep first frames that show what the prompt asks for, where it can be counted.")
        antithetic: bool = param(True, "Draw noise in pairs of opposite sign: a steadier mean.")

        @model_validator(mode="after")
        def _possible(self) -> Self:
            if self.start == "prompt" and self.prompt is None and not self.numbers:
                raise ValueError("`start: prompt` needs a `prompt` or `numbers`")
            if self.start == "frame" and self.on == "grid":
                raise ValueError("`start: frame` needs a `domain` whose first instant is continued")
            return self

    inputs: Mapping[str, Port] = {
        "model": MODEL,
        "domain": field_port(
            "The mesh or grid; with fields over time if its first instant is to be continued.", optional=True
        ),
    }
    outputs: Mapping[str, Port] = {
        "mean": field_port("Mean of the ensemble, and its standard deviation as <field>_std.", open=True),
        "first": field_port("One member.", open=True),
        "members": Port(description="All members: each field with `member` before its other dimensions.", open=True),
        "pictures": PICTURES,
    }
    resources = Resources(isolate=True, gpu="optional")
    affects = ("torch", "scipy")
    random = True

    @classmethod
    def input_ports(cls, params: Any) -> Mapping[str, Port]:
        """Leave the domain out where the model's own grid is drawn on."""
        return {"model": cls.inputs["model"]} if params.on == "grid" else cls.inputs

    def run(self, context: Context, params: Params, **inputs: Any) -> Mapping[str, xr.Dataset]:
        """Draw."""
        from fieldloom.files import png_files

        from .. import plots
        from ..fields import ensemble
        from .common import use_threads
        from .loading import generator_of

        use_threads(context)
        model = generator_of(inputs["model"]).to(context.device)
        numbers = asked_numbers(context, model, params)
        sample, domain = _domain(model, inputs.get("domain"), params)
        context.progress(0.2, 1.0, f"drawing {params.members} trajectories")
        drawn = draw_ensemble(model, domain, sample, params, numbers, _draw(context.seed, params))
        context.progress(0.9, 1.0, "writing")
        found = ensemble(model, sample, drawn)
        attrs = {"prompt": params.prompt or "", **{f"asked_{k}": v for k, v in numbers.items()}}
        rows = [(c.name, c.units, list(c.channels)) for c in model.setting.channels]
        columns = {"mean": drawn.mean(axis=0)[-1], "one member": drawn[0][-1]}
        if len(drawn) > 1:
            columns["standard deviation"] = drawn.std(axis=0)[-1]
        grid = getattr(model.autoencoder.config, "patch", None) and model.autoencoder.config.shape
        picture = (plots.fields(grid, sample, columns, rows), params.prompt or "generated; last instant")
        return {
            **{name: data.assign_attrs(attrs) for name, data in found.items()},
            "pictures": png_files(generated=picture),
        }


class ReadPrompt(Stage):
    """Read what prompts say: one row of physical numbers each, such as a solver takes.

    Numbers come out exactly as they were written, in SI units. What a prompt does not say is derived where it follows
    (a velocity from a Reynolds number), and else taken as the training set's mean.
    """

    class Params(StageParams):
        """The prompts."""

        prompts: str | list[str] = param(..., "One prompt, or several.", min_length=1)
        extrapolate: bool = param(False, "Accept numbers outside of what the model has seen.")

    inputs: Mapping[str, Port] = {"model": MODEL}
    outputs: Mapping[str, Port] = {
        "table": Port(
            {"prompt": Variable(("sample",), "string", description="prompt")},
            "Numbers that each prompt asks for.",
            open=True,
        )
    }
    resources = Resources(isolate=True)
    affects = ("torch",)

    def run(self, context: Context, params: Params, **inputs: Any) -> Mapping[str, xr.Dataset]:
        """Read."""
        import xarray as xr

        from ..rules import unit_of
        from .loading import generator_of

        model = generator_of(inputs["model"])
        prompts = [params.prompts] if isinstance(params.prompts, str) else params.prompts
        rows = []
        for prompt in prompts:
            asked = Prompted(prompt=prompt, extrapolate=params.extrapolate)
            rows.append(model.setting.complete(asked_numbers(context, model, asked)))
        units = {**dict(zip(model.setting.numbers.names, model.setting.numbers.units, strict=True))}
        columns = {
            name: ("sample", [row[name] for row in rows], {"units": units.get(name) or unit_of(name)})
            for name in rows[0]
        }
        return {"table": xr.Dataset({"prompt": ("sample", prompts), **columns}, attrs={"title": "What was asked for"})}


def asked_numbers(context: Context, model: Generator, params: Prompted) -> dict[str, float]:
    """Numbers named by parameters or prompt, within what the model has seen."""
    from ..text.reading import read

    given, named = dict(params.numbers), set(params.numbers)
    if params.prompt is not None:
        if model.text is None or model.tokenizer is None:
            raise ValueError("the model was trained without captions; it takes `numbers`, no `prompt`")
        reading = read(params.prompt, model.text, model.tokenizer)
        if reading.unread:
            context.log.warning("the prompt's number %s denotes nothing that the model knows", reading.unread[0])
        if reading.doubtful:
            context.log.warning("not sure what this number denotes: %s", reading.doubtful[0])
        if reading.unknown:
            context.log.warning("words that no caption used: %s", ", ".join(reading.unknown[:5]))
        known = {k: v for k, v in reading.values.items() if k in model.setting.numbers.names}
        given, named = model.setting.consistent(known) | given, named | set(known)
    if not params.extrapolate:
        model.setting.numbers.check(given, named)
    context.log.info("asked for: %s", ", ".join(f"{k} = {v:.4g}" for k, v in given.items()) or "no numbers")
    return given


def _draw(seed: int, params: Generate.Params) -> Draw:
    from ..generator.model import Draw

    return Draw(seed, params.sampler, params.steps, params.opening_steps, params.guidance, params.antithetic)


def _domain(model: Generator, data: xr.Dataset | None, params: Generate.Params) -> tuple[Sample, Domain]:
    """The sample that is drawn on, with its first instant if that is continued, and its ties to the latent grid."""
    from ..autoencoders.mesh import MeshAutoencoder
    from ..fields import sample_of

    sample = sample_of(model, data, params.sample, with_fields=params.start == "frame")
    if isinstance(model.autoencoder, MeshAutoencoder):
        return sample, model.mesh_domain(sample.points, sample.triangles)
    return sample, model.autoencoder.domain()


def draw_ensemble(
    model: Generator,
    domain: Domain,
    sample: Sample,
    params: Generate.Params,
    numbers: Mapping[str, float],
    draw: Draw,
) -> np.ndarray[Any, Any]:
    """Members (members, time, n, channels) in physical units."""
    from ..fidelity import wish

    if params.start == "frame":
        return model.continued(domain, sample.values[0], numbers, params.members, draw, params.prompt)
    wanted = wish(model, numbers) if params.check else None
    return model.imagined(domain, numbers, params.members, draw, params.prompt, wanted)
