"""Fourier neural operator on a rectangle (Li et al., ICLR 2021), the grid's baseline."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class SpectralConvolution(nn.Module):
    """Multiply the lowest Fourier modes by learned matrices, equation 4 of the paper.

    Parameters
    ----------
    channels : int
    modes : int
        Kept along each axis, on either side of zero along y.
    """

    def __init__(self, channels: int, modes: int) -> None:
        super().__init__()
        self.modes = modes
        scale = 1 / channels
        self.weight = nn.Parameter(scale * torch.randn(2, channels, channels, modes, modes, 2))

    def forward(self, x: Tensor) -> Tensor:
        ny, nx = x.shape[-2:]
        my, mx = min(self.modes, ny // 2), min(self.modes, nx // 2 + 1)
        weight = torch.view_as_complex(self.weight)[:, :, :, :my, :mx]
        spectrum = torch.fft.rfft2(x.float())  # there is no transform in half precision
        out = torch.zeros_like(spectrum)
        out[:, :, :my, :mx] = torch.einsum("bcyx,cdyx->bdyx", spectrum[:, :, :my, :mx], weight[0])
        out[:, :, -my:, :mx] = torch.einsum("bcyx,cdyx->bdyx", spectrum[:, :, -my:, :mx], weight[1])
        return torch.fft.irfft2(out, s=(ny, nx))


class FNO(nn.Module):
    """Map (batch, inputs, ny, nx) to (batch, outputs, ny, nx).

    Coordinates are appended to the input. Domains that are not periodic are padded by a quarter.

    Parameters
    ----------
    inputs, outputs : int
    width : int
    modes : int
    layers : int
    condition : int
        Length of the condition vector, which scales and shifts each layer.
    """

    def __init__(
        self, inputs: int, outputs: int, width: int = 40, modes: int = 12, layers: int = 4, condition: int = 0
    ) -> None:
        super().__init__()
        self.lift = nn.Conv2d(inputs + 2, width, 1)
        self.spectral = nn.ModuleList(SpectralConvolution(width, modes) for _ in range(layers))
        self.local = nn.ModuleList(nn.Conv2d(width, width, 1) for _ in range(layers))
        self.film = nn.ModuleList(nn.Linear(max(condition, 1), 2 * width) for _ in range(layers))
        self.project = nn.Sequential(nn.Conv2d(width, 4 * width, 1), nn.GELU(), nn.Conv2d(4 * width, outputs, 1))

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        ny, nx = x.shape[-2:]
        y, z = (torch.linspace(-1, 1, n, dtype=x.dtype, device=x.device) for n in (ny, nx))
        place = torch.stack(torch.meshgrid(y, z, indexing="ij")).expand(len(x), -1, -1, -1)
        h = self.lift(torch.cat([x, place], dim=1))
        h = nn.functional.pad(h, (0, nx // 4, 0, ny // 4))
        condition = x.new_zeros(len(x), 1) if condition is None else condition
        for spectral, local, film in zip(self.spectral, self.local, self.film, strict=True):
            scale, shift = film(condition)[..., None, None].chunk(2, dim=1)
            h = h + nn.functional.gelu((spectral(h) + local(h)) * (1 + scale) + shift)
        out: Tensor = self.project(h[..., :ny, :nx])
        return out  # (batch, outputs, ny, nx)
