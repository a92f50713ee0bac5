"""Set the spread of ensembles so that it tells their error, on trajectories that no part was trained on."""

from __future__ import annotations

import numpy as np

from ..metrics import spread_and_skill
from ..pipeline import domains_of
from ..trajectories import Trajectories
from .model import Draw, Generator

LIMITS = (0.5, 4.0)


def set_spread(model: Generator, held_out: Trajectories, members: int, seed: int, steps: int = 2) -> float:
    """Multiply residuals by one factor, so that spread and error of ensembles from first frames agree.

    Returns
    -------
    float
        Their ratio before.
    """
    ratio = spread_over_error(model, held_out, members, seed, steps)
    model.continuation.inflation.mul_(float(np.clip(1 / ratio, *LIMITS)))
    return ratio


def spread_over_error(model: Generator, held_out: Trajectories, members: int, seed: int, steps: int) -> float:
    """Ratio of spread to error over all trajectories, in units of each channel's scale."""
    spread = error = 0.0
    scale = np.asarray(model.setting.scaling.scale)
    for i, (sample, domain) in enumerate(
        zip(held_out.samples, domains_of(model.autoencoder, model.setting, held_out), strict=True)
    ):
        numbers = sample.numbers_in(model.setting.numbers.names)
        drawn = model.continued(domain, sample.values[0], numbers, members, Draw(seed + i, steps=steps))
        a, b = spread_and_skill(drawn / scale, sample.values / scale)
        spread, error = spread + a**2, error + b**2
    return float(np.sqrt(spread / max(error, 1e-300)))
