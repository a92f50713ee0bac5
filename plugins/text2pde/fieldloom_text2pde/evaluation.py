"""Scores of generated ensembles on trajectories that were not trained on; stages and benchmarks share them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import metrics
from .domains import Domain
from .generator.model import Draw, Generator
from .pipeline import domains_of
from .trajectories import Sample, Trajectories

Array = NDArray[np.floating[Any]]
Drawer = Callable[[Sample, Domain], Array]
"""From a sample and its domain to members (members, time, n, channels)."""


@dataclass(frozen=True, slots=True)
class Scores:
    """Means over the test trajectories.

    Attributes
    ----------
    error, error_of_one : float
        Relative L2 error of the ensemble's mean, and of one member, over all frames and fields.
    field_errors : dict of str to float
        Of the mean, by field, the components of vectors besides.
    fluctuation, fluctuation_of_one : float
        Median relative error of the amplitude of fluctuations over time.
    absolute, crps : float
        Mean absolute error of the mean and CRPS, in units of each channel's scale.
    spread_over_error : float
    spectrum : float
        Of one member's velocity in the last four frames (square grids; NaN elsewhere).
    seconds : float
        CPU time a member.
    """

    error: float
    error_of_one: float
    field_errors: dict[str, float]
    fluctuation: float
    fluctuation_of_one: float
    absolute: float
    crps: float
    spread_over_error: float
    spectrum: float
    seconds: float


def score(
    data: Trajectories, scale: Sequence[float], domains: Sequence[Domain | None], draw: Callable[..., Array]
) -> Scores:
    """Draw for every sample and compare.

    Parameters
    ----------
    scale : sequence of float
        Of each channel.
    draw : callable
        From a sample and its domain to members (members, time, n, channels).
    """
    rows: list[dict[str, float]] = []
    unit = np.asarray(scale)
    for sample, domain in zip(data.samples, domains, strict=True):
        start = time.process_time()
        members = draw(sample, domain)
        spent = (time.process_time() - start) / len(members)
        rows.append(_row(data, sample.values, members, unit) | {"seconds": spent})

    def mean(name: str) -> float:
        return float(np.mean([row[name] for row in rows]))

    def median(name: str) -> float:
        return float(np.median([row[name] for row in rows]))

    names = [name.removeprefix("field ") for name in rows[0] if name.startswith("field ")]
    spread, error = (np.sqrt(mean(name)) for name in ("spread2", "error2"))
    return Scores(
        mean("error"),
        mean("one"),
        {name: mean(f"field {name}") for name in names},
        median("fluctuation"),
        median("fluctuation_one"),
        mean("absolute"),
        mean("crps"),
        float(spread / error) if len(members) > 1 else float("nan"),
        mean("spectrum"),
        mean("seconds"),
    )


def _row(data: Trajectories, truth: Array, members: Array, unit: Array) -> dict[str, float]:
    mean = members.mean(axis=0)
    row = {
        "error": metrics.relative_error(mean, truth),
        "one": metrics.relative_error(members[0], truth),
        "fluctuation": metrics.fluctuation_error(mean, truth),
        "fluctuation_one": metrics.fluctuation_error(members[0], truth),
        "absolute": float((np.abs(mean - truth) / unit).mean()),
        "crps": float((metrics.crps(members, truth) / unit).mean()),
        "spectrum": _spectrum(data, members[0], truth),
    }
    if len(members) > 1:
        spread, error = metrics.spread_and_skill(members / unit, truth / unit)
        row |= {"spread2": spread**2, "error2": error**2}
    else:
        row |= {"spread2": 0.0, "error2": 1.0}
    for c in data.channels:
        row[f"field {c.name}"] = metrics.relative_error(mean[..., list(c.channels)], truth[..., list(c.channels)])
        for k, channel in enumerate(c.channels if c.count > 1 else ()):
            row[f"field {c.name}_{'xyz'[k]}"] = metrics.relative_error(mean[..., channel], truth[..., channel])
    return row


def _spectrum(data: Trajectories, found: Array, truth: Array) -> float:
    if data.grid is None or not data.vectors or data.grid[0] != data.grid[1]:
        return float("nan")
    a, b = (x[-4:, :, list(data.vectors[0])].reshape(-1, *data.grid, 2) for x in (found, truth))
    return metrics.spectrum_error(a, b)


def from_frames(model: Generator, members: int, draw: Draw) -> Drawer:
    """Continue each sample's first frame, its numbers known."""
    names = model.setting.numbers.names
    return lambda sample, domain: model.continued(domain, sample.values[0], sample.numbers_in(names), members, draw)


def from_prompts(
    model: Generator, prompts: Sequence[str], numbers: Sequence[dict[str, float]], members: int, draw: Draw
) -> Drawer:
    """Draw from prompts alone, one for each sample in order, with the numbers that were read from them."""
    following = iter(zip(prompts, numbers, strict=True))

    def drawn(sample: Sample, domain: Domain) -> Array:
        prompt, given = next(following)
        return model.imagined(domain, given, members, draw, prompt)

    return drawn


def by_steps(
    model: Generator,
    data: Trajectories,
    domains: Sequence[Domain],
    draw: Draw,
    counts: Sequence[int] = (1, 2, 4, 8, 16, 100),
) -> dict[int, dict[str, float]]:
    """Errors of the mean of 4 members, of one member, and its spectrum, by the number of sampling steps."""
    found = {}
    for n in counts:
        s = score(data, model.setting.scaling.scale, domains, from_frames(model, 4, replace(draw, steps=n)))
        found[n] = {"error": s.error, "error_of_one": s.error_of_one, "spectrum": s.spectrum, "crps": s.crps}
    return found


def ties(model: Generator, data: Trajectories) -> list[Domain]:
    """Ties of test samples to the latent grid."""
    return domains_of(model.autoencoder, model.setting, data)
