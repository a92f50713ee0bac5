"""How far a flow is from another on the same mesh or grid, and from the laws that both should obey."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]


def distance(found: Floats, truth: Floats, weights: Floats) -> float:
    """``|found - truth| / |truth|`` of one instant, in the norm that weighs nodes by the area around them.

    Parameters
    ----------
    found, truth : ndarray, shape (n, components)
    weights : ndarray, shape (n,)
    """
    off, size = (float(np.sqrt((weights[:, None] * x.astype(np.float64) ** 2).sum())) for x in (found - truth, truth))
    return off / max(size, 1e-300)


def divergence_share(gradient: Floats, weights: Floats) -> float:
    """Root mean square of the divergence over that of the whole velocity gradient: 0 where the flow keeps volume.

    Parameters
    ----------
    gradient : ndarray, shape (n, d, d)
        ``d u_i / d x_j``.
    weights : ndarray, shape (n,)
    """
    trace = np.trace(gradient, axis1=1, axis2=2)
    size = (gradient**2).sum(axis=(1, 2))
    return float(np.sqrt((weights * trace**2).sum() / max(float((weights * size).sum()), 1e-300)))


def slip(velocity: Floats, walls: NDArray[np.bool_]) -> float:
    """Largest speed on the walls over the largest of all; NaN where no node lies on a wall.

    Parameters
    ----------
    velocity : ndarray, shape (n, d)
    walls : ndarray of bool, shape (n,)
    """
    if not walls.any():
        return float("nan")
    speed = np.linalg.norm(velocity, axis=1)
    return float(speed[walls].max() / max(float(speed.max()), 1e-300))


def over_time(
    found: Floats,
    truth: Floats,
    times: Floats,
    weights: Floats,
    differentiate: Callable[[Floats], Floats],
) -> list[dict[str, float]]:
    """One row an instant: time, distance, divergence of both, slip.

    Parameters
    ----------
    found, truth : ndarray, shape (time, n, d)
        Velocities, of which the second is a solver's: nodes where it always rests are walls.
    times : ndarray, shape (time,)
    weights : ndarray, shape (n,)
    differentiate : callable
        From a velocity (n, d) to its gradient (n, d, d).
    """
    walls = ~truth[1:].any(axis=(0, 2))
    return [
        {
            "time": float(t),
            "distance": distance(u, v, weights),
            "divergence": divergence_share(differentiate(u), weights),
            "divergence_of_solver": divergence_share(differentiate(v), weights),
            "slip": slip(u, walls),
        }
        for t, u, v in zip(times, found, truth, strict=True)
    ]
