"""Proper orthogonal decomposition of trajectories, with ridge regression onto its coefficients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class PodRidge:
    """A linear map from features to trajectories.

    Attributes
    ----------
    mean : ndarray, shape (values,)
    modes : ndarray, shape (modes, values)
        Orthonormal.
    feature_mean, feature_scale : ndarray, shape (features,)
    weights : ndarray, shape (features + 1, modes)
    """

    mean: Array
    modes: Array
    feature_mean: Array
    feature_scale: Array
    weights: Array

    def __call__(self, features: Array) -> Array:
        """Trajectories (samples, values) of features (samples, features)."""
        return _with_one((features - self.feature_mean) / self.feature_scale) @ self.weights @ self.modes + self.mean


def principal_modes(values: Array, count: int) -> tuple[Array, Array]:
    """Mean (values,) and leading modes (count, values) of snapshots (samples, values), by the method of snapshots.

    Sirovich, "Turbulence and the dynamics of coherent structures", 1987.
    """
    mean = values.mean(axis=0)
    centred = values - mean
    _, vectors = np.linalg.eigh(centred @ centred.T)
    modes = vectors[:, ::-1][:, :count].T @ centred
    size = np.linalg.norm(modes, axis=1, keepdims=True)
    kept = size[:, 0] > 1e-6 * size.max()
    return mean, modes[kept] / size[kept]


def fit_pod_ridge(features: Array, values: Array, modes: int = 60) -> PodRidge:
    """Fit on samples; the strength of the ridge is chosen on every fifth of them.

    Parameters
    ----------
    features : ndarray, shape (samples, features)
    values : ndarray, shape (samples, values)
        Trajectories, flat.
    """
    mean, found = principal_modes(values, min(modes, len(values) - 1))
    coefficients = (values - mean) @ found.T
    centre, scale = features.mean(axis=0), np.maximum(features.std(axis=0), 1e-9)
    x = _with_one((features - centre) / scale)
    held = np.arange(len(x)) % 5 == 0

    def error(strength: float) -> float:
        weights = _ridge(x[~held], coefficients[~held], strength)
        return float(((x[held] @ weights - coefficients[held]) ** 2).sum())

    best = min(10.0 ** np.arange(-3, 6), key=error)
    return PodRidge(mean, found, centre, scale, _ridge(x, coefficients, best))


def _ridge(x: Array, y: Array, strength: float) -> Array:
    return np.asarray(np.linalg.solve(x.T @ x + strength * np.eye(x.shape[1]), x.T @ y))


def _with_one(x: Array) -> Array:
    return np.concatenate([x, np.ones((len(x), 1))], axis=1)
