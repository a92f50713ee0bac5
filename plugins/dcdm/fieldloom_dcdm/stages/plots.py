"""Pictures: learning curves, convergence, and projections over time."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Picture = tuple[bytes, str]
"""A PNG and its caption."""


def learning_curve(losses: Sequence[float], what: str) -> Picture:
    """Draw the loss over the steps, and its running mean."""
    figure = _figure(4.6, 3.0)
    axes = figure.subplots()
    width = max(1, len(losses) // 20)
    smooth = np.convolve(losses, np.ones(width) / width, "valid")
    axes.plot(losses, lw=0.6, alpha=0.4)
    axes.plot(np.arange(len(smooth)) + (width - 1) / 2, smooth, lw=1.5, color="C0")
    axes.set(xlabel="step", ylabel="loss", title=what)
    return _png(figure), f"loss of {what} over the optimiser's steps"


def convergence(histories: Mapping[str, Mapping[str, Any]]) -> Picture:
    """Draw residuals over iterations: a panel for each system, a line for each method.

    Parameters
    ----------
    histories : mapping of title to mapping of method to ndarray
        Relative residuals from the start on.
    """
    figure = _figure(4.2 * len(histories), 3.6)
    methods = list(dict.fromkeys(m for lines in histories.values() for m in lines))
    colours = {method: f"C{i % 10}" for i, method in enumerate(methods)}
    panels = figure.subplots(1, len(histories), squeeze=False, sharey=True)[0]
    for axes, (title, lines) in zip(panels, histories.items(), strict=True):
        for method, residuals in lines.items():
            axes.loglog(np.arange(len(residuals)) + 1, residuals, color=colours[method], lw=1.5, label=method)
        axes.set(title=title, xlabel="iteration + 1")
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("relative residual")
    panels[-1].legend(fontsize=8)
    return _png(figure), "residual over iterations on the first system of each kind"


def over_steps(values: Mapping[str, Mapping[str, Sequence[float]]]) -> Picture:
    """Draw quantities over time steps: a panel for each quantity, a line for each method."""
    figure = _figure(4.2 * len(values), 3.2)
    for axes, (quantity, lines) in zip(figure.subplots(1, len(values), squeeze=False)[0], values.items(), strict=True):
        for method, series in lines.items():
            axes.plot(np.arange(1, len(series) + 1), series, lw=1.2, label=method)
        axes.set(xlabel="time step", ylabel=quantity, yscale="log" if "second" in quantity else "linear")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    return _png(figure), ", ".join(values) + " of the projection in each time step"


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=100, layout="constrained")


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
