"""Power spectra of time series and their peaks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import periodogram

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Spectrum:
    """One-sided power spectral density.

    Attributes
    ----------
    frequency : ndarray, shape (f,)
        In the inverse of the time's unit, from 0.
    power : ndarray, shape (f, series)
        In the signal's unit squared per frequency; its integral is the variance.
    peak : ndarray, shape (series,)
        Frequency of the highest peak, refined by a parabola through three points; NaN of a constant.
    """

    frequency: Array
    power: Array
    peak: Array


def spectrum(times: Array, signals: Array) -> Spectrum:
    """Spectrum of signals, after the mean is taken off, with a Hann window.

    Parameters
    ----------
    times : ndarray, shape (k,)
        Increasing; signals are interpolated linearly where they are not equally spaced.
    signals : ndarray, shape (k, series)

    Raises
    ------
    ValueError
        For fewer than 8 instants, times that do not increase, or values that are not finite.
    """
    steps = np.diff(times)
    if len(times) < 8:
        raise ValueError(f"a spectrum needs at least 8 instants, got {len(times)}")
    if not (steps > 0).all():
        raise ValueError(f"time does not increase after instant {int((~(steps > 0)).argmax())}")
    if not np.isfinite(signals).all():
        raise ValueError("the signal is not finite everywhere; a probe outside the mesh gives NaN")
    if steps.max() > 1.001 * steps.min():
        even = np.linspace(times[0], times[-1], len(times))
        signals = np.stack([np.interp(even, times, column) for column in signals.T], axis=1)
    rate = (len(times) - 1) / (times[-1] - times[0])
    frequency, power = periodogram(signals, rate, window="hann", detrend="constant", axis=0)
    noise = (1e-12 * np.abs(signals).max(axis=0)) ** 2 * (times[-1] - times[0])  # what round-off leaves of a constant
    peaks = [_peak(frequency, column, floor) for column, floor in zip(power.T, noise, strict=True)]
    return Spectrum(frequency, power, np.array(peaks))


def _peak(frequency: Array, power: Array, floor: float) -> float:
    i = int(power[1:].argmax()) + 1
    if not power[i] > floor:
        return float("nan")
    if i == 1 or i + 1 == len(power):
        return float(frequency[i])
    a, b, c = np.log(np.maximum(power[i - 1 : i + 2], 1e-300))
    shift = 0.5 * (a - c) / (a - 2 * b + c)
    return float(frequency[i] + shift * (frequency[1] - frequency[0]))
