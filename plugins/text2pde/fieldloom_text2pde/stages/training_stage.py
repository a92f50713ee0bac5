"""What stages that train networks share."""

from __future__ import annotations

from typing import Any

from fieldloom import Resources, Stage, StageParams, param


class TrainingParams(StageParams):
    """How the computing is divided."""

    ranks: int = param(
        1, "Processes that train together, each on batches of its own; with GPUs, each has its own.", ge=1, le=64
    )
    compile: bool = param(False, "Compile the networks (torch.compile): for GPUs; on CPUs it gained nothing.")


class TrainingStage(Stage):
    """A stage that trains in as many processes as its parameters say."""

    resources = Resources(isolate=True, gpu="optional")
    affects = ("torch", "scipy")
    random = True

    @classmethod
    def ranks(cls, params: Any) -> int:
        """As many as the parameters say."""
        return int(params.ranks)
