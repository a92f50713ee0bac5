"""Direction models as Datasets, and back."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InvalidProblem
from ..parameters import LevelParameters, MultigridParameters

if TYPE_CHECKING:
    import xarray as xr

    from ..directions.base import DirectionModel
    from ..directions.cnn import DirectionNetwork
    from ..problem import Poisson


def of_parameters(parameters: MultigridParameters) -> xr.Dataset:
    """Keep the parameters of a multigrid cycle: one entry a level."""
    import xarray as xr

    levels = parameters.levels
    variables = {
        "omega": (("level", "sweep", "colour"), np.array([level.omega for level in levels])),
        **{name: ("level", np.array([getattr(v, name) for v in levels])) for name in ("kappa", "bound", "dirichlet")},
    }
    about = {"dimension": parameters.dimension, "gamma": parameters.gamma, "recipe": dict(parameters.recipe)}
    return xr.Dataset(variables, attrs={"model": "learned-multigrid", "config": json.dumps(about)})


def of_network(network: DirectionNetwork) -> xr.Dataset:
    """Keep a network: its weights, dimensions named by their places."""
    import xarray as xr

    tensors = {name: value.detach().numpy() for name, value in network.state_dict().items()}
    variables = {name: ([f"{name}_{i}" for i in range(v.ndim)], v) for name, v in tensors.items()}
    return xr.Dataset(variables, attrs={"model": "cnn", "config": json.dumps(asdict(network.config))})


def model_of(data: xr.Dataset, problem: Poisson, threads: int) -> DirectionModel:
    """Make the direction model that a Dataset keeps, for one system.

    Raises
    ------
    InvalidProblem
        If the Dataset keeps none.
    WrongDimension
        If it is for grids of another dimension.
    """
    kind = data.attrs.get("model")
    if kind == "learned-multigrid":
        from ..directions.learned_multigrid import LearnedMultigrid

        return LearnedMultigrid(problem, parameters_of(data), threads)
    if kind == "cnn":
        from ..directions.cnn import Cnn

        return Cnn(problem, _network_of(data), threads)
    raise InvalidProblem(f"this holds no direction model (its 'model' is {kind!r}): was it written by dcdm.train?")


def parameters_of(data: xr.Dataset) -> MultigridParameters:
    """Undo :func:`of_parameters`."""
    about: dict[str, Any] = json.loads(data.attrs["config"])
    columns = {name: data[name].to_numpy().tolist() for name in ("omega", "kappa", "bound", "dirichlet")}
    levels = tuple(
        LevelParameters(tuple((first, second) for first, second in omega), *rest)
        for omega, *rest in zip(*columns.values(), strict=True)
    )
    return MultigridParameters(about["dimension"], about["gamma"], levels, about["recipe"])


def _network_of(data: xr.Dataset) -> DirectionNetwork:
    import torch

    from ..directions.cnn import CnnConfig, DirectionNetwork

    network = DirectionNetwork(CnnConfig(**json.loads(data.attrs["config"])))
    network.load_state_dict({str(n): torch.from_numpy(v.to_numpy().copy()) for n, v in data.data_vars.items()})
    return network
