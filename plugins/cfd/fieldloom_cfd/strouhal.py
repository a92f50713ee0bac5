"""Strouhal number and force maxima from force histories."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Strouhal:
    """Result of `strouhal`.

    Attributes
    ----------
    value : float
        ``f D / U``, NaN without regular shedding.
    frequency : float
        Hz, NaN without regular shedding.
    amplitude : float
        Half the range of the lift in the analysed window, dimensionless.
    periods : int
        Whole periods in that window.
    reason : str
        Empty, or why ``value`` is NaN.
    """

    value: float
    frequency: float
    amplitude: float
    periods: int
    reason: str


def upward_crossings(t: Array, signal: Array) -> Array:
    """Times at which a signal crosses its mid-range upwards, linearly interpolated."""
    z = signal - 0.5 * (signal.max() + signal.min())
    i = np.flatnonzero((z[:-1] < 0) & (z[1:] >= 0))
    return t[i] - z[i] * (t[i + 1] - t[i]) / (z[i + 1] - z[i])


def strouhal(
    t: Array,
    lift: Array,
    diameter: float,
    speed: float,
    *,
    window: float = 0.4,
    min_amplitude: float = 0.02,
    max_jitter: float = 0.05,
) -> Strouhal:
    """Strouhal number of the last part of a lift history.

    Mean period between the first and the last upward crossing of the
    mid-range: exact to second order in the sampling step, whereas a spectrum's
    resolution is the inverse of the window.

    Parameters
    ----------
    t, lift : ndarray, shape (k,)
        Times (s, increasing) and lift coefficient.
    diameter, speed : float
        Reference length (m) and speed (m/s).
    window : float
        Analysed fraction of the history, counted from its end.
    min_amplitude : float
        Smallest half range that counts as shedding.
    max_jitter : float
        Largest relative standard deviation of the period.
    """
    late = t >= t[-1] - window * (t[-1] - t[0])
    t, lift = t[late], lift[late]
    amplitude = float(np.ptp(lift) / 2)
    crossings = upward_crossings(t, lift) if amplitude > 0 else np.empty(0)
    periods = max(len(crossings) - 1, 0)

    def none(reason: str) -> Strouhal:
        return Strouhal(np.nan, np.nan, amplitude, periods, reason)

    if not np.isfinite(lift).all():
        return none("the lift history is not finite")
    if amplitude < min_amplitude:
        return none(f"no shedding: lift amplitude {amplitude:.2g} < {min_amplitude}")
    if periods < 3:
        return none(f"{periods} periods in the window; at least 3 are needed")
    length = np.diff(crossings)
    if length.std() > max_jitter * length.mean():
        return none(f"irregular: the period varies by {length.std() / length.mean():.1%}")
    frequency = float(1 / length.mean())
    return Strouhal(frequency * diameter / speed, frequency, amplitude, periods, "")
