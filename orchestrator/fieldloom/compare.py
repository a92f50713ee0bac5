"""What differs between two runs: parameters, versions, outputs, metrics, timings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .runs import Run

Rows = list[dict[str, Any]]
_METRIC_BYTES = 100_000  # larger artifacts are compared by digest only


def compare(before: Run, after: Run) -> dict[str, Rows]:
    """Compare two runs.

    Returns
    -------
    dict
        For ``parameters``, ``versions``, ``outputs``, ``metrics`` and ``timings``: rows with ``name``,
        ``before`` and ``after``. The first differing output, in the order in which stages finished, is where
        the runs diverge. Metrics are the numbers in small tables that both runs have.
    """
    return {
        "parameters": _parameters(before, after),
        "versions": _differing(before.info["versions"], after.info["versions"]),
        "outputs": _outputs(before, after),
        "metrics": _metrics(before, after),
        "timings": _timings(before, after),
    }


def _differing(before: Mapping[str, Any], after: Mapping[str, Any], prefix: str = "") -> Rows:
    return [
        {"name": f"{prefix}{name}", "before": before.get(name), "after": after.get(name)}
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    ]


def _parameters(before: Run, after: Run) -> Rows:
    rows = _differing(before.info["params"], after.info["params"])
    for name in _common(before, after):
        old, new = (run.instances[name]["info"] for run in (before, after))
        rows += _differing(old.get("params", {}), new.get("params", {}), f"{name}: ")
        rows += _differing({"seed": old.get("seed")}, {"seed": new.get("seed")}, f"{name}: ")
    return rows


def _common(before: Run, after: Run) -> list[str]:
    return [name for name in after.instances if name in before.instances]


def _outputs(before: Run, after: Run) -> Rows:
    rows = []
    for name in [*before.instances, *(n for n in after.instances if n not in before.instances)]:
        old, new = (run.instances.get(name, {}).get("outputs", {}) for run in (before, after))
        rows += _differing({p: d[:12] for p, d in old.items()}, {p: d[:12] for p, d in new.items()}, f"{name}.")
    return rows


def _metrics(before: Run, after: Run) -> Rows:
    rows: Rows = []
    for name in _common(before, after):
        old, new = before.instances[name]["outputs"], after.instances[name]["outputs"]
        for port in old:
            if port in new and old[port] != new[port]:
                rows += _numbers(before, after, f"{name}.{port}")
    return rows


def _numbers(before: Run, after: Run, name: str) -> Rows:
    """Compare the numbers of small artifacts: scalars, and tables as the largest absolute difference."""
    if max(run.artifact(name).nbytes for run in (before, after)) > _METRIC_BYTES:
        return []
    import numpy as np

    old: Any = before[name]
    new: Any = after[name]
    rows: Rows = []
    for variable in getattr(old, "data_vars", {}):
        if variable not in new or old[variable].dtype.kind not in "fiu" or "filename" in old[variable].attrs:
            continue
        x, y = old[variable].values, new[variable].values
        if x.shape != y.shape:
            rows.append({"name": f"{name} {variable}", "before": f"shape {x.shape}", "after": f"shape {y.shape}"})
        elif not np.array_equal(x, y, equal_nan=x.dtype.kind == "f"):
            at = int(np.nanargmax(np.abs(x.astype(float) - y.astype(float)).ravel()))
            label = f"{name} {variable}" + (f" (largest change of {x.size}, at {at})" if x.size > 1 else "")
            rows.append({"name": label, "before": x.ravel()[at].item(), "after": y.ravel()[at].item()})
    return rows


def _timings(before: Run, after: Run) -> Rows:
    rows = []
    for name in _common(before, after):
        old, new = (run.instances[name] for run in (before, after))
        if old["seconds"] is not None and new["seconds"] is not None:
            rows.append({"name": name, "before": f"{old['seconds']:.3g} s", "after": f"{new['seconds']:.3g} s"})
        elif old["status"] != new["status"]:
            rows.append({"name": name, "before": old["status"], "after": new["status"]})
    return rows
