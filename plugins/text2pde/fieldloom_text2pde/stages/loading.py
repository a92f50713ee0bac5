"""Networks out of artifacts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import weights
from ..generator.model import Generator, make_autoencoder
from ..generator.setting import Setting

if TYPE_CHECKING:
    import xarray as xr

    from ..autoencoders.learning import Autoencoder


def autoencoder_of(data: xr.Dataset) -> tuple[Autoencoder, Setting]:
    """The autoencoder that `text2pde.train-autoencoder` wrote, or that of a whole generator, ready for use."""
    model = make_autoencoder(weights.attribute(data, "kind"), weights.attribute(data, "autoencoder"))
    tensors = weights.from_dataset(data)
    if "design" in data.attrs:
        tensors = {n.removeprefix("autoencoder."): t for n, t in tensors.items() if n.startswith("autoencoder.")}
    weights.load(model, tensors)
    return model.eval(), Setting.from_json(weights.attribute(data, "setting"))


def generator_of(data: xr.Dataset) -> Generator:
    """The generator that `text2pde.train-diffusion` wrote."""
    if "design" not in data.attrs:
        raise ValueError("the model is an autoencoder alone; a generator comes out of text2pde.train-diffusion")
    return Generator.from_dataset(data)
