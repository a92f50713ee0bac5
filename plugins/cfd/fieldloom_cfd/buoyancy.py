"""The buoyancy that smoke shows: the one with which the solver, started from one instant, meets the next ones best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.optimize import minimize_scalar

from .smoke import Array, Box, centred, simulate, start_from

RESOLUTION = 1e-3
"""Of the answer, as a share of the bounds' width."""


def estimate_buoyancy(
    density: Array, velocities: Sequence[Array], box: Box, every: int, bounds: tuple[float, float]
) -> tuple[float, float]:
    """Fit the buoyancy to what the velocity does after an instant.

    Parameters
    ----------
    density : ndarray, shape (ny, nx)
        Smoke at the first instant.
    velocities : sequence of ndarray, shape (ny, nx, 2)
        At the cells' centres, at the first instant and at one or more later ones.
    box : Box
        Fluid and numerics; its buoyancy is not used.
    every : int
        Steps between two instants.
    bounds : tuple of float
        Between which the buoyancy is looked for.

    Returns
    -------
    tuple of float
        The buoyancy, and the distance that is left, relative to the velocities' change.

    Notes
    -----
    Brent's method on one number. From a solver's own states the answer is within 1.5 % (32 x 32 cells; the velocities
    are known at the centres only), from others it says what they show.
    """
    start = start_from(density, velocities[0], box.h)
    later = [np.asarray(v, np.float64) for v in velocities[1:]]
    change = sum(float(((v - velocities[0]) ** 2).sum()) for v in later)

    def misfit(buoyancy: float) -> float:
        states = list(simulate(start, replace(box, buoyancy=buoyancy), every * len(later)))[every - 1 :: every]
        return sum(float(((centred(s) - v) ** 2).sum()) for s, v in zip(states, later, strict=True))

    tolerance = RESOLUTION * (bounds[1] - bounds[0])
    found = minimize_scalar(misfit, bounds=bounds, method="bounded", options={"xatol": tolerance})
    return float(found.x), float(np.sqrt(found.fun / max(change, 1e-300)))
