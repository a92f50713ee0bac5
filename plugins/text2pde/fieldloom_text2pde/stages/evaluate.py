"""Score a generator on trajectories that it has not seen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fieldloom import Context, Port, Resources, Stage, StageParams, Variable, param

from .generate import Sampler
from .ports import CAPTIONS, MODEL, PICTURES, TRAJECTORIES

if TYPE_CHECKING:
    import xarray as xr

SCORES = Port(
    {
        "task": Variable(("row",), "string", description="what was given"),
        "error": Variable(("row",), "float64", "1", "relative L2 error of the mean"),
        "error_of_one": Variable(("row",), "float64", "1", "the same of one member"),
        "fluctuation": Variable(("row",), "float64", "1", "error of fluctuations' amplitude, one member"),
        "crps": Variable(("row",), "float64", "1", "CRPS in standard deviations"),
        "absolute": Variable(("row",), "float64", "1", "mean absolute error of the mean"),
        "spread_over_error": Variable(("row",), "float64", "1", "spread over error"),
        "spectrum": Variable(("row",), "float64", "1", "spectrum error, decades"),
        "trajectories": Variable(("row",), "int64", description="test trajectories"),
    },
    "Scores on test trajectories.",
    extra=False,
)
FIDELITY = Port(
    {
        "quantity": Variable(("row",), "string", description="quantity"),
        "read": Variable(("row",), "float64", "1", "part of the prompts read exactly"),
        "held_out": Variable(("row",), "float64", "1", "the same in phrasings that were not trained on"),
        "error": Variable(("row",), "float64", "1", "median relative error of the generated fields"),
        "within": Variable(("row",), "float64", "1", "part of the fields within tolerance"),
    },
    "What prompts asked for, and what the generated fields show.",
    extra=False,
)


class Evaluate(Stage):
    """Compare ensembles with simulations: from first frames, from numbers, and from prompts in unseen phrasing.

    Prompt fidelity reads back from the generated fields what the prompts asked for: the Reynolds number by the inflow
    and the cylinder's width, its place by where the fluid rests, plumes by counting them.
    """

    class Params(StageParams):
        """Sampling."""

        members: int = param(8, "Members of each ensemble.", ge=1, le=256)
        steps: int = param(2, "Evaluations of the network for each trajectory.", ge=1, le=1000)
        sampler: Sampler = param("flow-euler", "How noise becomes data.")
        most: int = param(40, "Largest number of test trajectories.", ge=1)

    inputs: Mapping[str, Port] = {"fields": TRAJECTORIES, "captions": CAPTIONS, "model": MODEL}
    outputs: Mapping[str, Port] = {"scores": SCORES, "fidelity": FIDELITY, "pictures": PICTURES}
    resources = Resources(isolate=True, gpu="optional")
    affects = ("torch", "scipy")
    random = True

    def run(self, context: Context, params: Params, **inputs: Any) -> Mapping[str, xr.Dataset]:
        """Score."""
        from dataclasses import replace

        from fieldloom.contracts.table import table
        from fieldloom.files import png_files

        from .. import evaluation, fidelity, plots
        from ..generator.model import Draw
        from .common import members_of, splits, use_threads
        from .loading import generator_of

        use_threads(context)
        model = generator_of(inputs["model"]).to(context.device)
        test = splits(inputs["fields"], inputs["captions"], [c.name for c in model.setting.channels])["test"]
        test = test.some(range(min(params.most, len(test))))
        rows_of = members_of(inputs["captions"], "test")[: params.most]
        domains = evaluation.ties(model, test)
        draw = Draw(context.seed, params.sampler, params.steps)
        prompts = [str(inputs["captions"]["held_out_caption"].to_numpy()[i, 0]) for i in rows_of]
        readings = [fidelity.numbers_in(model, prompt) for prompt in prompts]
        tasks = {
            "first frame": evaluation.from_frames(model, params.members, draw),
            "prompt alone": evaluation.from_prompts(model, prompts, readings, params.members, draw),
        }
        if model.design.mean != "none":
            tasks["mean alone"] = evaluation.from_frames(model, 1, replace(draw, members_share_mean=True))
        found, rows = {}, []
        for k, (task, drawer) in enumerate(tasks.items()):
            context.progress(k, len(tasks) + 1, task)
            found[task] = evaluation.score(test, model.setting.scaling.scale, domains, drawer)
            rows.append(score_row(task, found[task], len(test)))
            context.log.info("%s: error %.4f, %.3f CPU s a trajectory", task, found[task].error, found[task].seconds)
        context.progress(len(tasks), len(tasks) + 1, "prompts")
        captions = inputs["captions"].isel(sample=rows_of)
        faithful = fidelity.rows(model, test, domains, captions, draw)
        worst, columns = _columns(test, domains, tasks["first frame"])
        named = [(c.name, c.units, list(c.channels)) for c in test.channels]
        pictures = png_files(
            first_frame=(
                plots.fields(test.grid, test.samples[worst], columns, named),
                "a test trajectory continued from its first frame: last instant",
            ),
            over_time=plots.error_over_time(test, domains, tasks["first frame"]),
        )
        return {
            "scores": table(rows, SCORES, "Scores on test trajectories"),
            "fidelity": table(faithful, FIDELITY, "Prompt fidelity"),
            "pictures": pictures,
        }


def score_row(task: str, s: Any, count: int) -> dict[str, Any]:
    """One row of the table of scores."""
    return {
        "task": task,
        "error": s.error,
        "error_of_one": s.error_of_one,
        "fluctuation": s.fluctuation_of_one,
        "crps": s.crps,
        "absolute": s.absolute,
        "spread_over_error": s.spread_over_error,
        "spectrum": s.spectrum,
        "trajectories": count,
    }


def _columns(test: Any, domains: Any, drawer: Any) -> tuple[int, dict[str, Any]]:
    """The trajectory that changes most, true and generated, at its last instant."""
    import numpy as np

    change = [float(np.abs(np.diff(s.values, axis=0)).mean()) for s in test.samples]
    chosen = int(np.argmax(change))
    members = drawer(test.samples[chosen], domains[chosen])
    return chosen, {
        "true": test.samples[chosen].values[-1],
        "mean": members.mean(axis=0)[-1],
        "one member": members[0][-1],
        "standard deviation": members.std(axis=0)[-1],
    }
