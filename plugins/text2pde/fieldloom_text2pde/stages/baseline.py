"""Other methods on the same data and split."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from fieldloom import Context, Port, Resources, Stage, StageParams, param

from .evaluate import SCORES
from .ports import CAPTIONS, TRAJECTORIES

if TYPE_CHECKING:
    import xarray as xr


class Baseline(Stage):
    """Forecast test trajectories from their first frames by another method, trained on the same split.

    `persistence` repeats the first frame; `pod` is a linear regression of POD coefficients; `fno` and `unet` work on
    grids, `mesh-operator` (a GINO) on meshes.
    """

    class Params(StageParams):
        """Method and training."""

        method: Literal["persistence", "pod", "fno", "unet", "mesh-operator"] = param(..., "The method.")
        fields: list[str] | None = param(None, "Fields to learn; all over time if not given.", min_length=1)
        modes: int = param(60, "Modes of POD.", ge=1)
        steps: int = param(500, "Optimiser steps of networks.", ge=1)
        batch: int = param(16, "Trajectories in a batch.", ge=1)
        mirror: bool = param(False, "Also learn mirror images: of smoke along x, of wakes across the channel.")
        learning_rate: float = param(0.02, "Peak rate of the matrices (Muon).", gt=0.0, le=1.0)
        most: int = param(40, "Largest number of test trajectories.", ge=1)

    inputs: Mapping[str, Port] = {"fields": TRAJECTORIES, "captions": CAPTIONS}
    outputs: Mapping[str, Port] = {"scores": SCORES}
    resources = Resources(isolate=True, gpu="optional")
    affects = ("torch", "scipy")
    random = True

    def run(self, context: Context, params: Params, **inputs: Any) -> Mapping[str, xr.Dataset]:
        """Fit and score."""
        from fieldloom.contracts.table import table

        from .. import evaluation, pipeline
        from ..baselines import forecasters
        from ..training import Schedule
        from .common import checkpoint, reporter, splits, use_threads
        from .evaluate import score_row

        use_threads(context)
        parts = splits(inputs["fields"], inputs["captions"], params.fields)
        rules = inputs["captions"].attrs["rules"]
        train = pipeline.mirrored(parts["train"], rules) if params.mirror else parts["train"]
        test = parts["test"]
        test = test.some(range(min(params.most, len(test))))
        setting = pipeline.learn_setting(train)
        schedule = Schedule(params.steps, params.learning_rate, average=0.99)
        training: Any = {
            "after_step": reporter(context, params.method, 0.9),
            "resume": checkpoint(context, params.method),
            "batch": params.batch,
        }
        match params.method:
            case "persistence":
                fitted = forecasters.persistence(train)
            case "pod":
                fitted = forecasters.pod_ridge(train, setting, params.modes)
            case "mesh-operator":
                fitted = forecasters.mesh_operator(train, setting, schedule, context.seed, **training)
            case kind:
                fitted = forecasters.field_network(kind, train, setting, schedule, context.seed, **training)
        context.log.info("%d parameters, %.1f CPU s of training", fitted.parameters, fitted.seconds)
        forecast = fitted.forecast
        found = evaluation.score(test, setting.scaling.scale, [None] * len(test), lambda s, _: forecast(s)[None])
        return {"scores": table([score_row(params.method, found, len(test))], SCORES, "Scores on test trajectories")}
