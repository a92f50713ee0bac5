"""The checkpoints that ship with the room."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fieldloom import Context, Port, Resources, Stage, StageParams, param

from .ports import MODEL

if TYPE_CHECKING:
    import xarray as xr

FOLDER = Path(__file__).parents[1] / "checkpoints"


class Pretrained(Stage):
    """A generator that ships with the room: wakes of cylinders, or smoke. Recipe and scores lie beside it, as JSON."""

    class Params(StageParams):
        """Which."""

        name: Literal["cylinder", "smoke"] = param("cylinder", "Name of the checkpoint.")

    outputs: Mapping[str, Port] = {"model": MODEL}
    resources = Resources()
    affects = ("torch",)

    @classmethod
    def files(cls, params: Any) -> Mapping[str, Path]:
        """The checkpoint's weights and configuration: their content enters the key."""
        return {name: FOLDER / name for name in (f"{params.name}.safetensors", f"{params.name}.json")}

    def run(self, context: Context, params: Params, **inputs: Any) -> Mapping[str, xr.Dataset]:
        """Read it."""
        from ..checkpoint import load

        return {"model": load(FOLDER / params.name)}
