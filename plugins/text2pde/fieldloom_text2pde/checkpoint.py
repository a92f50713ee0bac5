"""Checkpoints as two files: tensors in safetensors (half precision), everything else in JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from .weights import from_dataset, to_dataset

if TYPE_CHECKING:
    import xarray as xr


def save(data: xr.Dataset, path: Path, about: Mapping[str, Any] | None = None) -> None:
    """Write ``<path>.safetensors`` and ``<path>.json``.

    Parameters
    ----------
    data : Dataset
        A model as `text2pde.train-diffusion` writes it.
    about : mapping, optional
        Recipe and scores, kept beside the configuration.
    """
    from safetensors.torch import save_file

    tensors = {n: t.half() if t.dtype == torch.float32 else t for n, t in from_dataset(data).items()}
    save_file({n: t.contiguous() for n, t in tensors.items()}, path.with_suffix(".safetensors"))
    attrs = {name: json.loads(value) for name, value in data.attrs.items()}
    path.with_suffix(".json").write_text(json.dumps({"model": attrs, "about": dict(about or {})}, indent=1) + "\n")


def load(path: Path) -> xr.Dataset:
    """Read what :func:`save` wrote, in single precision."""
    from safetensors.torch import load_file

    described = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    tensors = load_file(path.with_suffix(".safetensors"))
    whole = {n: t.float() if t.dtype == torch.float16 else t for n, t in tensors.items()}
    return to_dataset(whole, described["model"])
