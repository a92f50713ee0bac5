"""Pictures of force histories."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

    from .spectra import Spectrum

BENCHMARK = (100.0, 0.295, 0.305)
"""Reynolds number and range of the Strouhal number, DFG 2D-2 (Schäfer & Turek 1996, table 4)."""


def plot_forces(wakes: Sequence[xr.Dataset], table: xr.Dataset) -> bytes:
    """Draw lift(t), drag(t) and St(Re).

    Parameters
    ----------
    wakes : sequence of xarray.Dataset
        With ``force_time`` (s), ``lift`` and ``drag``.
    table : xarray.Dataset
        With ``reynolds`` and ``strouhal``.

    Returns
    -------
    bytes
        A PNG.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.2), dpi=100, layout="constrained")
    lift, drag, law = figure.subplots(1, 3)
    for wake in sorted(wakes, key=lambda wake: float(wake.attrs["reynolds"])):
        label = f"Re {wake.attrs['reynolds']:g}"
        time = wake["force_time"].to_numpy().ravel()
        lift.plot(time, wake["lift"].to_numpy().ravel(), lw=0.8, label=label)
        drag.plot(time, wake["drag"].to_numpy().ravel(), lw=0.8, label=label)
    lift.set(xlabel="t [s]", ylabel="lift coefficient", ylim=_late_range(wakes, "lift"))
    drag.set(xlabel="t [s]", ylabel="drag coefficient", ylim=_late_range(wakes, "drag"))
    drag.legend(fontsize=8, frameon=False, loc="upper right", ncols=2)
    law.plot(table["reynolds"], table["strouhal"], "o-", ms=4)
    reynolds, low, high = BENCHMARK
    law.plot([reynolds, reynolds], [low, high], lw=6, alpha=0.35, color="tab:red", solid_capstyle="butt")
    law.set(xlabel="Re", ylabel="Strouhal number")
    return _png(figure)


def _late_range(wakes: Sequence[xr.Dataset], name: str) -> tuple[float, float]:
    """Range of the second half of the histories, with a margin: the start's peaks may leave the panel."""
    late = [wake[name].to_numpy().ravel() for wake in wakes]
    late = [values[len(values) // 2 :] for values in late]
    low, high = min(float(v.min()) for v in late), max(float(v.max()) for v in late)
    margin = 0.25 * (high - low) or 0.1 * abs(high) or 1.0
    return low - margin, high + margin


def _png(figure: Figure) -> bytes:
    out = io.BytesIO()
    figure.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()


def plot_spectrum(found: Spectrum, name: str, unit: str, labels: Sequence[str]) -> bytes:
    """Draw power over frequency, both logarithmic, with the peaks marked; a PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.6), dpi=100, layout="constrained")
    axes = figure.subplots()
    for i, (column, peak) in enumerate(zip(found.power.T, found.peak, strict=True)):
        (line,) = axes.loglog(found.frequency[1:], column[1:], lw=1)
        line.set_label(f"{labels[i]}: peak at {peak:.4g} {unit}" if i < 10 else "_")
        if i < 10 and peak == peak:
            axes.axvline(peak, color=line.get_color(), lw=0.8, ls=":")
    top = found.power[1:].max(initial=1e-300)
    axes.set(xlabel=f"frequency {f'[{unit}]' if unit else ''}", ylabel=f"power of {name}", ylim=(1e-12 * top, 3 * top))
    axes.legend(fontsize=8, frameon=False)
    return _png(figure)


def plot_agreement(rows: Sequence[Mapping[str, float]]) -> bytes:
    """Draw distance from the solver's flow and divergence over time; a PNG.

    Parameters
    ----------
    rows : sequence of mapping
        With ``time`` (s), ``distance``, ``divergence`` and ``divergence_of_solver``.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 2.8), dpi=100, layout="constrained")
    far, loss = figure.subplots(1, 2)
    time = [row["time"] for row in rows]
    far.plot(time, [row["distance"] for row in rows], "o-", ms=3)
    far.set(xlabel="t [s]", ylabel="distance from the solver", ylim=(0, None))
    for name, label in (("divergence", "this flow"), ("divergence_of_solver", "the solver's")):
        loss.plot(time, [row[name] for row in rows], "o-", ms=3, label=label)
    loss.set(xlabel="t [s]", ylabel="divergence / gradient", ylim=(0, None))
    loss.legend(fontsize=8, frameon=False)
    return _png(figure)


def plot_convergence(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Draw the error of every quantity over the mesh size, a line an element.

    Parameters
    ----------
    rows : sequence of mapping
        With ``case``, ``quantity``, ``element``, ``nodes``, ``error`` (percent) and ``order``.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullFormatter

    panels = sorted({(row["case"], row["quantity"]) for row in rows})
    columns = max(1, (len(panels) + 1) // 2)
    figure = Figure(figsize=(3.4 * columns, 6.2), dpi=100, layout="constrained")
    axes = figure.subplots(2, columns, squeeze=False).ravel()
    for panel, (case, quantity) in zip(axes, panels, strict=False):
        for element, marker in (("linear", "o-"), ("quadratic", "s-")):
            some = [r for r in rows if (r["case"], r["quantity"], r["element"]) == (case, quantity, element)]
            if some:
                label = f"{element}, order {some[0]['order']:.1f}" if len(some) > 1 else str(element)
                panel.loglog(
                    [r["nodes"] ** -0.5 for r in some], [abs(r["error"]) for r in some], marker, ms=4, label=label
                )
        panel.set(title=f"{case}: {quantity.replace('_', ' ')}", xlabel="1 / sqrt(nodes)", ylabel="error [%]")
        panel.legend(fontsize=8, frameon=False)
        panel.grid(alpha=0.25)
        panel.xaxis.set_minor_formatter(NullFormatter())
        panel.yaxis.set_minor_formatter(NullFormatter())
    for panel in axes[len(panels) :]:
        panel.set_axis_off()
    return _png(figure)
