"""How good generated trajectories are. Arrays are physical values (time, n, channels); ensembles have members first."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]


def relative_error(found: Array, truth: Array) -> float:
    """``|found - truth| / |truth|`` over everything: the paper's score."""
    return float(np.linalg.norm(found - truth)) / max(float(np.linalg.norm(truth)), 1e-300)


def fluctuation_error(found: Array, truth: Array) -> float:
    """Relative error of the amplitude: the root mean square deviation from the mean over time."""
    size = [float(np.sqrt(((x - x.mean(axis=0)) ** 2).mean())) for x in (found, truth)]
    return abs(size[0] / max(size[1], 1e-300) - 1)


def crps(members: Array, truth: Array) -> Array:
    """Continuous ranked probability score of an ensemble at every point, shape of ``truth``.

    ``E|x - y| - E|x - x'| / 2`` over the empirical distribution (Gneiting & Raftery 2007, equation 20). With one
    member it is the absolute error.
    """
    count = len(members)
    skill = np.abs(members - truth).mean(axis=0)
    ordered = np.sort(members, axis=0)
    weights = 2 * np.arange(1, count + 1) - count - 1
    spread = np.tensordot(weights, ordered, axes=1) / count**2
    return np.asarray(skill - spread)


def spread_and_skill(members: Array, truth: Array) -> tuple[float, float]:
    """Spread and error of an ensemble, whose ratio is 1 where it knows its error.

    The spread is the root mean variance (with n - 1) times ``sqrt((n + 1) / n)`` (Fortin et al. 2014, equation 15), the
    error that of the mean.
    """
    count = len(members)
    variance = members.var(axis=0, ddof=1).mean() * (count + 1) / count
    error = ((members.mean(axis=0) - truth) ** 2).mean()
    return float(np.sqrt(variance)), float(np.sqrt(error))


def energy_spectrum(velocity: Array) -> Array:
    """Energy by wave number 1 to n / 2 - 1, shape (..., n / 2 - 1), of square periodic extensions.

    Parameters
    ----------
    velocity : ndarray, shape (..., n, n, 2)
    """
    n = velocity.shape[-2]
    power = (np.abs(np.fft.fft2(velocity, axes=(-3, -2))) ** 2).sum(axis=-1)
    k = np.fft.fftfreq(n) * n
    shell = np.rint(np.hypot(k[:, None], k[None, :])).astype(int)
    return np.stack([power[..., shell == i].sum(axis=-1) for i in range(1, n // 2)], axis=-1)


def spectrum_error(found: Array, truth: Array) -> float:
    """Mean absolute difference of the decimal logarithms of two spectra, each first averaged over time.

    Parameters
    ----------
    found, truth : ndarray, shape (time, n, n, 2)
    """
    a, b = (energy_spectrum(v).mean(axis=0) for v in (found, truth))
    return float(np.abs(np.log10(np.maximum(a, 1e-300)) - np.log10(np.maximum(b, 1e-300))).mean())


def dominant_frequency(signal: Array, step: float) -> float:
    """Frequency of the strongest oscillation of a signal (time,), by a sinusoid fitted with offset and slope; 1/s.

    Shorter signals than a few periods leave a Fourier transform too coarse; least squares over a fine set of
    frequencies does not.
    """
    count = len(signal)
    t = np.arange(count) * step
    frequencies = np.linspace(0.6 / (count * step), 0.45 / step, 600)
    flat = np.stack([np.ones(count), t], axis=1)
    best, found = -np.inf, float("nan")
    for f in frequencies:
        basis = np.concatenate([flat, np.stack([np.sin(2 * np.pi * f * t), np.cos(2 * np.pi * f * t)], 1)], axis=1)
        fitted = basis @ np.linalg.lstsq(basis, signal, rcond=None)[0]
        score = -float(((signal - fitted) ** 2).sum())
        if score > best:
            best, found = score, float(f)
    return found
