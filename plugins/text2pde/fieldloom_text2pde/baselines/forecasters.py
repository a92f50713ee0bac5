"""Forecasts from a first frame by other methods: fitted on a training set, called on samples."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import Delaunay
from torch import Tensor

from ..autoencoders.grid import GridAutoencoder, GridAutoencoderConfig, frames_of, points_of
from ..autoencoders.mesh import MeshAutoencoder, MeshAutoencoderConfig
from ..generator.field_mean import FieldMean
from ..generator.learning import train_field_mean
from ..generator.setting import Setting
from ..pipeline import domains_of, sticking_channels, tensors_of
from ..training import Schedule, Training
from ..training import train as train_network
from ..trajectories import Sample, Trajectories
from .mesh_operator import MeshOperator
from .pod import fit_pod_ridge, principal_modes

Array = NDArray[np.floating[Any]]
Forecaster = Callable[[Sample], Array]
"""From a sample, of which only the first frame, mesh and numbers are read, to a trajectory (time, n, channels)."""
After = Callable[[Training], None]
GRID = (24, 96)
"""Points (ny, nx) onto which meshes are interpolated for POD, and on which the mesh operator works."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """A forecaster and what it took.

    Attributes
    ----------
    forecast : callable
    parameters : int
    seconds : float
        CPU time of its training.
    steps : int
        Optimiser steps; 0 where there are none.
    """

    forecast: Forecaster
    parameters: int
    seconds: float
    steps: int


def persistence(train: Trajectories) -> Fitted:
    """Repeat the first frame."""
    return Fitted(lambda s: np.repeat(s.values[:1], len(train.times), axis=0), 0, 0.0, 0)


def pod_ridge(train: Trajectories, setting: Setting, modes: int = 60) -> Fitted:
    """POD of trajectories on a common grid, ridge regression from numbers and the first frame's coefficients."""
    start = time.process_time()
    shape = train.grid or GRID
    scale, shift = (np.asarray(v) for v in (setting.scaling.scale, setting.scaling.shift))

    def flat(values: Array, sample: Sample) -> Array:
        scaled = (values - shift) / scale
        return (scaled if train.grid else _onto_grid(sample, scaled, train.box.centres(*shape))).reshape(-1)

    whole = np.stack([flat(s.values, s) for s in train.samples]).astype(np.float64)
    firsts = np.stack([flat(s.values[:1], s) for s in train.samples]).astype(np.float64)
    first_mean, first_modes = principal_modes(firsts, min(modes, len(firsts) - 1))
    names = setting.numbers.names

    def features(first: Array, sample: Sample) -> Array:
        numbers = np.array([sample.numbers.get(n, m) for n, m in zip(names, setting.numbers.mean, strict=True)])
        return np.concatenate([(first - first_mean) @ first_modes.T, numbers])

    x = np.stack([features(f, s) for f, s in zip(firsts, train.samples, strict=True)])
    model = fit_pod_ridge(x, whole, modes)

    def forecast(sample: Sample) -> Array:
        found = model(features(flat(sample.values[:1], sample), sample)[None])[0]
        frames = found.reshape(len(train.times), shape[0] * shape[1], -1)
        onto = frames if train.grid else _off_grid(sample, frames, train, shape)
        out = (onto * scale + shift).astype(np.float32)
        out[0] = sample.values[0]
        return np.asarray(out)

    return Fitted(forecast, model.modes.size + model.weights.size, time.process_time() - start, 0)


def field_network(
    kind: str,
    train: Trajectories,
    setting: Setting,
    schedule: Schedule,
    seed: int,
    *,
    batch: int = 16,
    widths: tuple[int, ...] | None = None,
    after_step: After | None = None,
    resume: dict[str, Tensor] | None = None,
) -> Fitted:
    """FNO or U-Net on a grid, from the first frame to all frames at once, the same networks as our mean may be."""
    from ..networks.blocks import parameter_count

    if train.grid is None:
        raise ValueError(f"{kind} works on grids; these trajectories lie on meshes: take mesh-operator")
    domain = GridAutoencoder(GridAutoencoderConfig(1, train.box.low, train.box.high, train.grid, 1, (8,))).domain()
    torch.manual_seed(seed)
    default = ((40,), 4) if kind == "fno" else ((32, 64, 96), 1)
    fields, names = sum(c.count for c in train.channels), setting.numbers.names
    network = FieldMean(kind, fields, len(train.times), len(domain.walls), len(names), widths or default[0], default[1])
    frames = torch.stack([frames_of(setting.scaling.apply(v), train.grid) for v in tensors_of(train)])
    numbers = setting.numbers.table(train.columns()) if names else torch.zeros(len(train), 0)
    training = train_field_mean(network, frames, domain.walls, numbers, schedule, batch, seed, after_step, resume)

    @torch.no_grad()
    def forecast(sample: Sample) -> Array:
        assert train.grid is not None
        start = frames_of(setting.scaling.apply(torch.from_numpy(sample.values[:1])), train.grid)
        values, _ = setting.numbers.standardise(sample.numbers_in(names))
        out = network(start, domain.walls[None], values[None])
        found: Array = setting.scaling.undo(points_of(out))[0].numpy()
        return found

    return Fitted(forecast, parameter_count(network), training.spent, training.step)


def mesh_operator(
    train: Trajectories,
    setting: Setting,
    schedule: Schedule,
    seed: int,
    *,
    batch: int = 4,
    shape: tuple[int, int] = GRID,
    after_step: After | None = None,
    resume: dict[str, Tensor] | None = None,
) -> Fitted:
    """GINO from the first frame to all frames at once."""
    from ..networks.blocks import parameter_count

    if train.grid is not None:
        raise ValueError("mesh-operator works on meshes; these trajectories lie on a grid: take fno or unet")
    fields, names = sum(c.count for c in train.channels), setting.numbers.names
    config = MeshAutoencoderConfig(
        fields, sticking_channels(train), train.box.low, train.box.high, shape=shape, k_in=6, k_out=6
    )
    ties = MeshAutoencoder(config)  # only for its neighbour lists
    domains, values = domains_of(ties, setting, train), [setting.scaling.apply(v) for v in tensors_of(train)]
    torch.manual_seed(seed)
    network = MeshOperator(fields, len(train.times) - 1, shape, len(names), config.velocity)
    numbers = setting.numbers.table(train.columns()) if names else torch.zeros(len(train), 0)

    def loss(generator: torch.Generator) -> Tensor:
        index = torch.randperm(len(values), generator=generator)[:batch]
        chosen = index.tolist()
        out = network([values[i][0] for i in chosen], [domains[i] for i in chosen], numbers[index])
        errors = [(o - values[i][1:]).square().mean() for o, i in zip(out, chosen, strict=True)]
        return torch.stack(errors).mean()

    training = train_network(network, loss, schedule, seed, after_step, resume)

    @torch.no_grad()
    def forecast(sample: Sample) -> Array:
        one = Trajectories((sample,), train.channels, train.times, train.units, None, train.box)
        first = setting.scaling.apply(torch.from_numpy(sample.values[0]))
        given, _ = setting.numbers.standardise(sample.numbers_in(names))
        later = network([first], domains_of(ties, setting, one), given[None])[0]
        found: Array = setting.scaling.undo(torch.cat([first[None], later])).numpy()
        return found

    return Fitted(forecast, parameter_count(network), training.spent, training.step)


def _onto_grid(sample: Sample, values: Array, grid: Array) -> Array:
    """Linear interpolation of (time, n, channels) to the points of a grid; the nearest value where there is no mesh."""
    index, weights = barycentric(sample.points, grid)
    return np.asarray((values[:, index] * weights[None, ..., None]).sum(axis=2))


def barycentric(points: Array, targets: Array) -> tuple[NDArray[np.int64], Array]:
    """Corners (targets, 3) and weights of the triangles in which points lie; outside, the nearest corner's."""
    triangulation = Delaunay(points)
    found = triangulation.find_simplex(targets)
    simplex = np.maximum(found, 0)
    transform = triangulation.transform[simplex]
    first = np.einsum("nij,nj->ni", transform[:, :2], targets - transform[:, 2])
    weights = np.concatenate([first, 1 - first.sum(axis=1, keepdims=True)], axis=1)
    index = triangulation.simplices[simplex].astype(np.int64)
    outside = found < 0
    if outside.any():
        from scipy.spatial import cKDTree

        index[outside] = cKDTree(points).query(targets[outside])[1][:, None]
        weights[outside] = [1.0, 0.0, 0.0]
    return index, weights


def _off_grid(sample: Sample, frames: Array, train: Trajectories, shape: tuple[int, int]) -> Array:
    """Bilinear interpolation of (time, ny * nx, channels) to the nodes of a sample."""
    from scipy.interpolate import RegularGridInterpolator

    centres = train.box.centres(*shape).reshape(*shape, 2)
    x, y = centres[0, :, 0], centres[:, 0, 1]
    whole = frames.reshape(len(frames), *shape, -1).transpose(1, 2, 0, 3)
    inside = np.clip(sample.points, (x[0], y[0]), (x[-1], y[-1]))[:, ::-1]
    return np.asarray(RegularGridInterpolator((y, x), whole)(inside).transpose(1, 0, 2))
