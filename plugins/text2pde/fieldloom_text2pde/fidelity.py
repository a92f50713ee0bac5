"""What a prompt says, and what the field drawn from it shows: numbers read from both sides."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .domains import Domain
from .generator.model import Draw, Generator
from .text.captions import spans_from_json
from .text.captions.plumes import describe
from .text.reading import read
from .trajectories import Sample, Trajectories

if TYPE_CHECKING:
    import xarray as xr

Array = NDArray[np.floating[Any]]
TOLERANCES: Mapping[str, float] = {"reynolds": 0.05, "mean_velocity": 0.05, "radius": 0.05, "plumes": 0.0}
"""Largest relative error of a quantity that counts as what was asked for."""
PLACE = 0.02
"""The same for places, metres."""
EXACT = 1e-6
STILL = 1e-3
"""Speed over its maximum below which a node rests."""


def numbers_in(model: Generator, prompt: str) -> dict[str, float]:
    """Numbers that a prompt names and the model knows, with what follows from them; none if it contradicts itself."""
    assert model.text is not None
    assert model.tokenizer is not None
    try:
        values = read(prompt, model.text, model.tokenizer).values
        return model.setting.consistent({k: v for k, v in values.items() if k in model.setting.numbers.names})
    except ValueError:
        return {}


def wake_in(values: Array, points: Array, segments: Array, viscosity: float) -> dict[str, float]:
    """Measure a wake: place and radius of the still nodes around the obstacle, inflow and Reynolds number.

    Parameters
    ----------
    values : ndarray, shape (time, n, channels)
        Velocity in the first two channels, m/s.
    points : ndarray, shape (n, 2)
    segments : ndarray, shape (s, 2, 2)
        Edges of the obstacle: still nodes are looked for around them.
    viscosity : float
        m2/s.
    """
    speed = np.linalg.norm(values[..., :2], axis=-1).mean(axis=0)
    middle = segments.reshape(-1, 2).mean(axis=0)
    reach = np.linalg.norm(segments.reshape(-1, 2) - middle, axis=1).max()
    near = np.linalg.norm(points - middle, axis=1) < 1.5 * reach
    still = points[near & (speed < STILL * speed.max())]
    inlet = np.abs(points[:, 0] - points[:, 0].min()) < 1e-6
    y = points[inlet, 1]
    order = np.argsort(y)
    profile = values[:, inlet, 0].mean(axis=0)[order]
    inflow = float(np.trapezoid(profile, y[order]) / np.ptp(y))
    if len(still) < 3:
        return {"mean_velocity": inflow}
    centre = still.mean(axis=0)
    radius = float(np.linalg.norm(still - centre, axis=1).max())
    found = {"centre_x": float(centre[0]), "centre_y": float(centre[1]), "radius": radius, "mean_velocity": inflow}
    return found | {"reynolds": 2 * radius * inflow / viscosity}


def plumes_in(model: Generator, first: Array) -> float:
    """Number of plumes in a first frame (n, channels)."""
    shape = model.autoencoder.config.shape
    channel = next(c.first for c in model.setting.channels if c.name == "smoke")
    return float(describe(np.maximum(first[:, channel], 0.0).reshape(shape)).count)


def measure(model: Generator, sample: Sample, domain: Domain, values: Array) -> dict[str, float]:
    """Everything that can be read back from one trajectory (time, n, channels)."""
    match model.setting.rules:
        case "cylinder":
            viscosity = model.setting.constants.get("viscosity", 1e-3)
            return wake_in(values, sample.points, domain.geometry.segments, viscosity)  # type: ignore[union-attr]
        case "smoke":
            return {"plumes": plumes_in(model, values[0])}
    return {}


def wish(model: Generator, numbers: Mapping[str, float]) -> Callable[[Array], bool] | None:
    """Check of first frames against the numbers asked for; None where nothing can be checked."""
    if model.setting.rules != "smoke" or "plumes" not in numbers:
        return None
    count = round(numbers["plumes"])
    return lambda first: plumes_in(model, first) == count


def rows(
    model: Generator, test: Trajectories, domains: Sequence[Domain], captions: xr.Dataset, draw: Draw
) -> list[dict[str, Any]]:
    """One row a quantity: how often prompts are read exactly, and how well generated fields show what was asked for.

    Fields are drawn from the prompt alone, one member, on the mesh of the test trajectory.
    """
    read_rate = {kind: _read(model, captions, kind) for kind in ("", "held_out_")}
    asked, shown = [], []
    for i, (sample, domain) in enumerate(zip(test.samples, domains, strict=True)):
        prompt = str(captions["held_out_caption"].to_numpy()[i, 0])
        numbers = numbers_in(model, prompt)
        own = replace(draw, seed=draw.seed + i)
        values = model.imagined(domain, numbers, 1, own, prompt, wish(model, numbers))[0]
        truth = {
            s.quantity: sample.numbers[s.quantity]
            for s in spans_from_json(str(captions["held_out_spans"].to_numpy()[i, 0]))
        }
        asked.append({k: v for k, v in model.setting.consistent(truth).items() if k in sample.numbers})
        shown.append(measure(model, sample, domain, values))
    return [_row(name, read_rate, asked, shown) for name in model.setting.numbers.names]


def _read(model: Generator, captions: xr.Dataset, kind: str) -> dict[str, float]:
    """Part of the captions in which a named quantity is read exactly, by quantity."""
    assert model.text is not None
    assert model.tokenizer is not None
    hits: dict[str, list[bool]] = {}
    texts, spans = captions[f"{kind}caption"].to_numpy(), captions[f"{kind}spans"].to_numpy()
    for text, written in zip(texts[:, :2].ravel(), spans[:, :2].ravel(), strict=True):
        wanted = _values(str(text), str(written))
        try:
            found = read(str(text), model.text, model.tokenizer).values
        except ValueError:
            found = {}
        for name, value in wanted.items():
            hits.setdefault(name, []).append(abs(found.get(name, np.inf) - value) <= EXACT * abs(value))
    return {name: float(np.mean(h)) for name, h in hits.items()}


def _values(text: str, spans: str) -> dict[str, float]:
    from .text.captions import Caption

    return Caption(text, spans_from_json(spans)).values()


def _row(
    name: str,
    read_rate: Mapping[str, Mapping[str, float]],
    asked: Sequence[Mapping[str, float]],
    shown: Sequence[Mapping[str, float]],
) -> dict[str, Any]:
    pairs = [(a[name], s[name]) for a, s in zip(asked, shown, strict=True) if name in a and name in s]
    errors = [abs(s / a - 1) if a else abs(s) for a, s in pairs]
    if name.startswith("centre"):
        fits = [abs(s - a) <= PLACE for a, s in pairs]
    else:
        fits = [e <= TOLERANCES.get(name, 0.1) for e in errors]
    return {
        "quantity": name,
        "read": read_rate[""].get(name, float("nan")),
        "held_out": read_rate["held_out_"].get(name, float("nan")),
        "error": float(np.median(errors)) if pairs else float("nan"),
        "within": float(np.mean(fits)) if pairs else float("nan"),
    }
