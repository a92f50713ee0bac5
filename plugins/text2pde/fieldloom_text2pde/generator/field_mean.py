"""The deterministic part on a grid, in physical space: from a first frame and numbers to all frames at once."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..networks.fno import FNO
from ..networks.unet import PatchedUNet, UNet

FIELD_MEANS = ("patched-unet", "unet", "fno")


class FieldMean(nn.Module):
    """Map a scaled frame (batch, fields, ny, nx) to frames (batch, time, fields, ny, nx), the given one first.

    The network predicts differences from the given frame.

    Parameters
    ----------
    kind : {"patched-unet", "unet", "fno"}
        U-Net on patches of two by two cells, U-Net, or Fourier neural operator.
    fields, frames, walls, numbers : int
        Channels, frames in all, channels of the walls, length of the vector of numbers.
    widths, blocks : tuple of int, int
        Of the U-Net; of the FNO, the first of ``widths`` is its width and ``blocks`` its layers.
    """

    def __init__(
        self,
        kind: str,
        fields: int,
        frames: int,
        walls: int,
        numbers: int,
        widths: tuple[int, ...] = (32, 64, 96),
        blocks: int = 1,
    ) -> None:
        super().__init__()
        self.fields, self.frames = fields, frames
        inputs, outputs = fields + walls, (frames - 1) * fields
        vector = max(numbers, 1)
        if kind == "patched-unet":
            self.network: nn.Module = PatchedUNet(inputs, outputs, 2, widths, blocks, vector)
        elif kind == "unet":
            self.network = UNet(inputs, outputs, widths, blocks, condition=vector)
        else:
            self.network = FNO(inputs, outputs, widths[0], layers=blocks, condition=vector)

    def forward(self, frame: Tensor, walls: Tensor, numbers: Tensor) -> Tensor:
        if not numbers.shape[1]:
            numbers = numbers.new_zeros(len(frame), 1)
        change = self.network(torch.cat([frame, walls], dim=1), numbers)
        later = frame[:, None] + change.unflatten(1, (self.frames - 1, self.fields))
        return torch.cat([frame[:, None], later], dim=1)
