"""The DFG benchmark of Schäfer & Turek: their values, ours, and the order at which ours converge.

References
----------
M. Schäfer, S. Turek, "Benchmark computations of laminar flow around a cylinder", 1996 (2D-1 and 2D-2, tables 3 and 4).
G. Nabh, "On high order methods for the stationary incompressible Navier-Stokes equations", Heidelberg, 1998
(2D-1 to ten digits).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Reference:
    """A benchmark value.

    Attributes
    ----------
    low, high : float
        The range in which the participants' best values lie.
    value : float
        What is compared with: the accurate value where one is known, else the middle.
    """

    low: float
    high: float
    value: float


STEADY = {
    "drag": Reference(5.57, 5.59, 5.57953523384),
    "lift": Reference(0.0104, 0.0110, 0.010618948146),
    "pressure_drop": Reference(0.1172, 0.1176, 0.11752016697),
}
"""DFG 2D-1, Re 20. The pressure drop in m2/s2 at a mean inflow of 0.2 m/s."""
PERIODIC = {
    "strouhal": Reference(0.295, 0.305, 0.300),
    "drag": Reference(3.22, 3.24, 3.23),
    "lift": Reference(0.99, 1.01, 1.00),
}
"""DFG 2D-2, Re 100; drag and lift are maxima."""
STEADY_SPEED = 0.2
"""Mean inflow of DFG 2D-1 in m/s, to which the pressure drop belongs."""


def pressure_drop(nodes: Array, ring: NDArray[np.int64], pressure: Array, mean: float) -> float:
    """Pressure before less behind the cylinder, scaled to the benchmark's mean inflow of 0.2 m/s.

    Parameters
    ----------
    nodes : ndarray, shape (n, 2)
    ring : ndarray of int
        Nodes on the cylinder.
    pressure : ndarray, shape (n,)
        Kinematic pressure, m2/s2.
    mean : float
        Mean inflow of the simulation, m/s.
    """
    x, y = nodes[ring].T
    middle = (x.min() + x.max()) / 2, (y.min() + y.max()) / 2
    angle = np.arctan2(y - middle[1], x - middle[0])
    order = np.argsort(angle)
    front, back = np.interp([np.pi, 0.0], angle[order], pressure[ring][order], period=2 * np.pi)
    return float((front - back) * (STEADY_SPEED / mean) ** 2)


def observed_order(h: Array, error: Array) -> float:
    """Slope of the error over the mesh size, both logarithmic, by least squares; NaN unless there are two sizes."""
    if len(np.unique(h)) < 2 or not (error > 0).all():
        return float("nan")
    return float(np.polyfit(np.log(h), np.log(error), 1)[0])
