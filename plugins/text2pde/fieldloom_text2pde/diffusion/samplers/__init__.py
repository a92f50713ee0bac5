"""Samplers: from noise to data with a trained network, by name or as functions.

All share one signature, ``sampler(model, process, noise, steps, *, times=None, on_step=None, ...)``, see `sample`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from torch import Tensor

from ..process import Process
from ..words import one_of
from .ddim import ddim
from .deis import deis
from .dpm_solver import dpm_solver
from .flow_euler import flow_euler
from .flow_heun import flow_heun
from .stepping import Model

__all__ = ["SAMPLERS", "Model", "ddim", "deis", "dpm_solver", "flow_euler", "flow_heun", "sample"]

SAMPLERS: Mapping[str, Callable[..., Tensor]] = MappingProxyType(
    {"ddim": ddim, "dpm-solver": dpm_solver, "deis": deis, "flow-euler": flow_euler, "flow-heun": flow_heun}
)


def sample(name: str, model: Model, process: Process, noise: Tensor, steps: int, **options: Any) -> Tensor:
    """Turn noise into data by the sampler of that name, without gradients.

    Parameters
    ----------
    name : str
        One of `SAMPLERS`.
    model : callable
        ``model(x_t, t) -> output``, t of shape (batch,), float32 or wider; the output has the shape of x_t.
    process : Process
        With which the model was trained.
    noise : Tensor, shape (batch, ...)
        Standard normal numbers. With ``times`` that start below 1: what is to be continued from there.
    steps : int
        At least 1. One evaluation of the model each; two for "flow-heun", the last step excepted.
    **options
        ``times``: the ``steps + 1`` times to visit, falling, in [0, 1]; the process's own by default.
        ``on_step(i, steps)``: called after step i, counted from 1.
        Others as the sampler takes them: ``eta`` and ``generator`` of "ddim", ``order`` of "deis".

    Returns
    -------
    Tensor
        The shape and dtype of ``noise``.

    Raises
    ------
    ValueError
        If there is no such sampler, or for steps, times or outputs that do not fit.
    """
    one_of("sampler", name, SAMPLERS)
    return SAMPLERS[name](model, process, noise, steps, **options)
