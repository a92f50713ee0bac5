"""Networks as Datasets: a state dict becomes variables, its configuration JSON in the attributes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    import xarray as xr


def to_dataset(tensors: Mapping[str, Tensor], attrs: Mapping[str, Any] | None = None) -> xr.Dataset:
    """Make a Dataset of named tensors; dimensions are named by their sizes."""
    import xarray as xr

    variables = {}
    for name, tensor in tensors.items():
        values = tensor.detach().cpu().numpy()
        variables[name.replace("/", ":")] = ([f"size_{n}_{i}" for i, n in enumerate(values.shape)], values)
    return xr.Dataset(variables, attrs={k: json.dumps(v) for k, v in (attrs or {}).items()})


def from_dataset(data: xr.Dataset) -> dict[str, Tensor]:
    """Undo :func:`to_dataset`."""
    return {str(name).replace(":", "/"): torch.from_numpy(v.to_numpy().copy()) for name, v in data.data_vars.items()}


def attribute(data: xr.Dataset, name: str) -> Any:
    """Read an attribute written by :func:`to_dataset`.

    Raises
    ------
    ValueError
        If there is none: the Dataset is no model of this room.
    """
    if name not in data.attrs:
        raise ValueError(f"the model has no {name!r}: was it written by a stage of text2pde?")
    return json.loads(data.attrs[name])


def load(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Fill a network.

    Raises
    ------
    ValueError
        If names or shapes are those of another network.
    """
    wanted = {name: tuple(t.shape) for name, t in module.state_dict().items()}
    got = {name: tuple(t.shape) for name, t in tensors.items()}
    if wanted != got:
        odd = sorted(set(wanted.items()) ^ set(got.items()))[0]
        raise ValueError(f"the weights belong to another network: {odd[0]!r} with shape {odd[1]} is not in both")
    module.load_state_dict(dict(tensors))
