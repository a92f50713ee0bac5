"""Pictures: learning curves, and generated fields beside true ones."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .trajectories import Sample, Trajectories

Picture = tuple[bytes, str]
"""A PNG and its caption."""


def learning_curves(losses: Mapping[str, Sequence[float]]) -> Picture:
    """Draw the loss of each part over its steps, smoothed over a hundredth of them."""
    from matplotlib.figure import Figure

    shown = {name: np.asarray(v) for name, v in losses.items() if len(v)}
    figure = Figure(figsize=(3.6 * max(1, len(shown)), 2.8), dpi=100, layout="constrained")
    for axes, (name, values) in zip(
        figure.subplots(1, max(1, len(shown)), squeeze=False)[0], shown.items(), strict=False
    ):
        width = max(1, len(values) // 100)
        smooth = np.convolve(values, np.ones(width) / width, "valid")
        axes.semilogy(np.arange(len(values)), values, lw=0.5, alpha=0.3)
        axes.semilogy(np.arange(len(smooth)) + width / 2, smooth, lw=1.2, color="C0")
        axes.set(title=name, xlabel="step", ylabel="loss")
    return png(figure), "loss over the steps of each training"


def comparison(data: Trajectories, found: tuple[int, Any], what: str) -> Picture:
    """Draw truth, what was found, and their difference at the last instant, one row a field."""
    number, values = found
    sample = data.samples[number]
    rows = [(c.name, c.units, list(c.channels)) for c in data.channels]
    columns = {"true": sample.values[-1], "found": values[-1], "difference": values[-1] - sample.values[-1]}
    return fields(data.grid, sample, columns, rows), f"{what}: last instant"


def fields(
    grid: tuple[int, int] | None,
    sample: Sample,
    columns: Mapping[str, Any],
    rows: Sequence[tuple[str, str, list[int]]],
) -> bytes:
    """Draw fields (n, channels) in columns; vectors by their magnitude, differences by that of the difference."""
    from matplotlib.figure import Figure

    aspect = np.ptp(sample.points[:, 0]) / max(np.ptp(sample.points[:, 1]), 1e-12)
    width = min(5.2, 2.6 * max(1.0, aspect / 2))
    height = width / aspect + 0.5
    figure = Figure(figsize=(width * len(columns), height * len(rows)), dpi=90, layout="constrained")
    panels = figure.subplots(len(rows), len(columns), squeeze=False)
    for line, (name, unit, channels) in zip(panels, rows, strict=True):
        first = _shown(next(iter(columns.values())), channels)
        limits = _limits(first)
        for axes, (title, values) in zip(line, columns.items(), strict=True):
            own = title in ("difference", "standard deviation")
            shown = _shown(values, channels)
            drawn = draw(axes, grid, sample, shown, _limits(shown) if own else limits, "magma" if own else None)
            axes.set_title(f"{title}: {name}" + (f" [{unit}]" if unit not in ("", "1") else ""), fontsize=9)
            figure.colorbar(drawn, ax=axes, shrink=0.85)
    return png(figure)


def draw(
    axes: Axes, grid: tuple[int, int] | None, sample: Sample, values: Any, limits: tuple[float, float], cmap: str | None
) -> Any:
    """Draw one scalar field (n,) on a mesh or grid."""
    low, high = limits
    cmap = cmap or ("RdBu_r" if low < 0 < high else "viridis")
    axes.set_aspect("equal")
    axes.set_axis_off()
    if grid is not None:
        (x0, y0), (x1, y1) = sample.points.min(axis=0), sample.points.max(axis=0)
        return axes.imshow(
            values.reshape(grid), origin="lower", extent=(x0, x1, y0, y1), vmin=low, vmax=high, cmap=cmap
        )
    x, y = sample.points.T
    return axes.tripcolor(x, y, sample.triangles, values, shading="gouraud", vmin=low, vmax=high, cmap=cmap)


def _shown(values: Any, channels: list[int]) -> Any:
    return np.linalg.norm(values[:, channels], axis=1) if len(channels) > 1 else values[:, channels[0]]


def _limits(values: Any) -> tuple[float, float]:
    low, high = np.percentile(values, [0.5, 99.5])
    if low < 0 < high and min(-low, high) > 0.1 * max(-low, high):
        low, high = -max(-low, high), max(-low, high)
    return float(low), float(max(high, low + 1e-9))


def png(figure: Figure) -> bytes:
    """Bytes of a figure."""
    out = io.BytesIO()
    figure.savefig(out, format="png")
    return out.getvalue()


def error_over_time(data: Trajectories, domains: Sequence[Any], drawer: Any, most: int = 12) -> Picture:
    """Draw relative error and spread of ensembles over time, mean over some trajectories, beside persistence."""
    from matplotlib.figure import Figure

    curves = []
    for sample, domain in list(zip(data.samples, domains, strict=True))[:most]:
        members, truth = drawer(sample, domain), sample.values
        size = np.sqrt((truth**2).mean())
        error = np.sqrt(((members.mean(axis=0) - truth) ** 2).mean(axis=(1, 2))) / size
        spread = np.sqrt(members.var(axis=0, ddof=min(1, len(members) - 1)).mean(axis=(1, 2))) / size
        still = np.sqrt(((truth[:1] - truth) ** 2).mean(axis=(1, 2))) / size
        curves.append((error, spread, still))
    figure = Figure(figsize=(5, 3), dpi=100, layout="constrained")
    axes = figure.subplots()
    for values, label in zip(
        np.mean(curves, axis=0), ("error of the mean", "spread", "first frame repeated"), strict=True
    ):
        axes.plot(data.times - data.times[0], values, label=label)
    axes.set(xlabel="time after the first frame [s]", ylabel="relative to the trajectory's size", ylim=(0, None))
    axes.legend(frameon=False, fontsize=8)
    return png(figure), "error and spread over time, from the first frame"
