"""Pictures of force histories."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import xarray as xr

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
    lift.set(xlabel="t [s]", ylabel="lift coefficient", ylim=(-1.6, 1.6))
    drag.set(xlabel="t [s]", ylabel="drag coefficient", ylim=(2.5, 5.0))
    drag.legend(fontsize=8, frameon=False)
    law.plot(table["reynolds"], table["strouhal"], "o-", ms=4)
    reynolds, low, high = BENCHMARK
    law.plot([reynolds, reynolds], [low, high], lw=6, alpha=0.35, color="tab:red", solid_capstyle="butt")
    law.set(xlabel="Re", ylabel="Strouhal number")
    out = io.BytesIO()
    figure.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()
