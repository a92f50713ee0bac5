"""The networks that a generator may be made of, behind one interface: series, maps and conditions in, series out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from ..networks.dit import DiT
from ..networks.unet import UNet


@dataclass(frozen=True, slots=True)
class BackboneConfig:
    """What to build.

    Attributes
    ----------
    kind : {"unet", "dit"}
        Time as channels of a convolutional U-Net, or the paper's transformer over space-time patches.
    widths, blocks : tuple of int, int
        Of the U-Net.
    width, depth, heads, patch : int, int, int, tuple of int
        Of the transformer.
    """

    kind: Literal["unet", "dit"] = "unet"
    widths: tuple[int, ...] = (96, 128)
    blocks: int = 2
    width: int = 128
    depth: int = 4
    heads: int = 4
    patch: tuple[int, int, int] = (2, 2, 2)

    @classmethod
    def from_json(cls, values: dict[str, object]) -> BackboneConfig:
        """Undo :func:`dataclasses.asdict` and JSON."""
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})  # type: ignore[arg-type]


class Backbone(nn.Module):
    """Map a series (batch, time, series, ny, nx) and maps (batch, maps, ny, nx) to (batch, time, outputs, ny, nx).

    Parameters
    ----------
    series, maps, outputs : int
        Channels of a frame in, of what does not change over time, of a frame out; ``series`` may be 0.
    size : tuple of int
        (time, ny, nx) of what comes out.
    condition : int
        Length of the condition vector.
    text : int
        Width of the prompt's tokens, to which only the transformer attends; 0 for none.
    """

    def __init__(
        self,
        config: BackboneConfig,
        series: int,
        maps: int,
        outputs: int,
        size: tuple[int, int, int],
        condition: int,
        text: int = 0,
    ) -> None:
        super().__init__()
        self.kind, self.size, self.outputs = config.kind, size, outputs
        if config.kind == "unet":
            time = size[0]
            self.network: nn.Module = UNet(
                time * series + maps, time * outputs, config.widths, config.blocks, condition=condition
            )
        else:
            self.network = DiT(
                series + maps, outputs, size, config.patch, config.width, config.depth, config.heads, condition, text
            )

    def forward(
        self,
        series: Tensor | None,
        maps: Tensor,
        condition: Tensor,
        text: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        if self.kind == "unet":
            parts = [maps] if series is None else [series.flatten(1, 2), maps]
            out: Tensor = self.network(torch.cat(parts, dim=1), condition)
            return out.unflatten(1, (self.size[0], self.outputs))
        repeated = maps[:, None].expand(-1, self.size[0], -1, -1, -1)
        whole = repeated if series is None else torch.cat([series, repeated], dim=2)
        out = self.network(whole, condition, text, mask)
        return out
