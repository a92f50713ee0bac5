"""The buoyancy that smoke shows: the one with which the solver, started from one instant, meets the next ones best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.fft import dctn
from scipy.optimize import minimize_scalar

from .smoke import Array, Box, centred, simulate, start_from

RESOLUTION = 1e-3
"""Of the answer, as a share of the bounds' width."""


def estimate_buoyancy(
    density: Array, velocities: Sequence[Array], box: Box, every: int, bounds: tuple[float, float], modes: int = 6
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
    modes : int
        Cosine modes along each axis that are compared.

    Returns
    -------
    tuple of float
        The buoyancy, and the distance that is left, relative to the velocities' change.

    Notes
    -----
    Buoyancy drives the large scales. Small ones that are a little wrong at the start run away from any solution, the
    slower the weaker the buoyancy: if they are compared, too, the answer is too small (by 15 % for generated smoke
    whose large scales say 6 %). From a solver's own states the answer is within 1.5 % (32 x 32 cells; the velocities
    are known at the centres only). The minimum is found by Brent's method.
    """
    start = start_from(density, velocities[0], box.h)
    first, *later = (_large_scales(v, modes) for v in velocities)
    change = sum(float(((v - first) ** 2).sum()) for v in later)

    def misfit(buoyancy: float) -> float:
        states = list(simulate(start, replace(box, buoyancy=buoyancy), every * len(later)))[every - 1 :: every]
        found = (_large_scales(centred(s), modes) for s in states)
        return sum(float(((a - b) ** 2).sum()) for a, b in zip(found, later, strict=True))

    tolerance = RESOLUTION * (bounds[1] - bounds[0])
    best: Any = minimize_scalar(misfit, bounds=bounds, method="bounded", options={"xatol": tolerance})
    return float(best.x), float(np.sqrt(best.fun / max(change, 1e-300)))


def _large_scales(velocity: Array, modes: int) -> Array:
    """Lowest cosine modes of a velocity (ny, nx, 2)."""
    spectrum: Array = dctn(np.asarray(velocity, np.float64), axes=(0, 1), norm="ortho")
    return spectrum[:modes, :modes]
