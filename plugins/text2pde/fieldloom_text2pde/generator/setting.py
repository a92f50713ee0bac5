"""What a generator was trained on, and the sizes of its parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from .. import rules
from ..diffusion.process import FlowMatching, Process, VariancePreserving
from ..scaling import FieldScaling, NumberScaling
from ..trajectories import Channel
from .backbones import BackboneConfig


@dataclass(frozen=True, slots=True)
class Setting:
    """What a model was trained on.

    Attributes
    ----------
    channels : tuple of Channel
    times : tuple of float
        Instants of a trajectory, seconds.
    walls : tuple of bool
        Which sides of the box hold the flow.
    scaling : FieldScaling
    numbers : NumberScaling
    constants : dict of str to float
        Numbers that were the same in all trajectories.
    rules : str
        How captions were made: ``"cylinder"``, ``"smoke"`` or ``"table"``.
    text_model : str
        Folder or name of a Hugging Face encoder that embeds prompts in place of ours; empty for ours.
    """

    channels: tuple[Channel, ...]
    times: tuple[float, ...]
    walls: tuple[bool, bool, bool, bool]
    scaling: FieldScaling
    numbers: NumberScaling
    constants: Mapping[str, float] = field(default_factory=dict)
    rules: str = "table"
    text_model: str = ""

    def consistent(self, given: Mapping[str, float]) -> dict[str, float]:
        """Add the numbers that follow from those given; see :func:`fieldloom_text2pde.rules.consistent`."""
        return rules.consistent(self.rules, given, self.constants)

    def complete(self, given: Mapping[str, float]) -> dict[str, float]:
        """All numbers of a scenario; see :func:`fieldloom_text2pde.rules.complete`."""
        return rules.complete(self.rules, given, self.numbers, self.constants)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Setting:
        """Undo :meth:`to_json`."""
        return cls(
            tuple(Channel(**c) for c in values["channels"]),
            tuple(values["times"]),
            tuple(values["walls"]),  # type: ignore[arg-type]  # four of them, as written
            FieldScaling(**{k: tuple(v) for k, v in values["scaling"].items()}),
            NumberScaling(**{k: tuple(v) for k, v in values["numbers"].items()}),
            dict(values["constants"]),
            values["rules"],
            values["text_model"],
        )


@dataclass(frozen=True, slots=True)
class Design:
    """Sizes of the parts.

    Attributes
    ----------
    mean : str
        ``"latent"``, one of ``FIELD_MEANS`` (grids, in physical space), or ``"none"``: the paper's single part.
    mean_backbone, residual_backbone, opening_backbone : BackboneConfig
    process : str
        ``"flow"``, or ``"epsilon"``, ``"v"``: what the network predicts.
    field_widths, field_blocks : tuple of int, int
        Of the mean in physical space.
    condition : int
        Length of the condition vectors.
    """

    mean: str = "latent"
    mean_backbone: BackboneConfig = field(default_factory=BackboneConfig)
    residual_backbone: BackboneConfig = field(default_factory=BackboneConfig)
    opening_backbone: BackboneConfig = field(default_factory=lambda: BackboneConfig(widths=(64, 96)))
    process: str = "flow"
    field_widths: tuple[int, ...] = (64, 96, 128)
    field_blocks: int = 1
    condition: int = 64

    def make_process(self) -> Process:
        """The corruption process."""
        if self.process == "flow":
            return FlowMatching()
        return VariancePreserving(self.process, "scaled-linear" if self.process == "epsilon" else "cosine")  # type: ignore[arg-type]

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Design:
        """Undo :func:`dataclasses.asdict`."""
        backbones = {k: BackboneConfig.from_json(v) for k, v in values.items() if k.endswith("_backbone")}
        rest = {k: v for k, v in values.items() if k not in backbones}
        return cls(**{**rest, "field_widths": tuple(values["field_widths"])}, **backbones)
