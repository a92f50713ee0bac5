"""Commands on runs: show, open, log, diff, report."""

from __future__ import annotations

import contextlib
import json
from argparse import Namespace
from pathlib import Path
from typing import Any

from fieldloom_storage import Store, StoreError

from .. import printing
from ..errors import UsageError, did_you_mean
from ..registry import Registry
from ..runs import Run, default_store, find_run, reconcile
from ..tables import declared, shown


def _store(arguments: Namespace) -> Store:
    return Store(arguments.store or default_store(), create=False)


def show(arguments: Namespace) -> int:
    """``fieldloom show``."""
    store = _store(arguments)
    with contextlib.suppress(StoreError):
        reconcile(store)
    if arguments.run is None:
        return _show_runs(store, arguments.json)
    run = find_run(store, arguments.run)
    if arguments.name:
        _show_data(run, arguments.name, Registry())
        printing.line(f"\nZarr: {run.artifact(arguments.name).path}")
    elif arguments.json:
        printing.as_json(
            {
                "id": run.id,
                "flow": run.flow,
                "status": run.status,
                "started": run.started,
                "seconds": run.seconds,
                "info": run.info,
                "instances": list(run.instances.values()),
            }
        )
    else:
        _show_run(run)
    return 0


def _show_data(run: Run, name: str, found: Registry) -> None:
    """A small table as such, anything else as xarray shows it."""
    data: Any = run[name]
    instance = name if name in run.instances else name.rpartition(".")[0]
    row = run.instances[instance]
    port = name.rpartition(".")[2] if name != instance else next(iter(row["outputs"]))
    table = None if hasattr(data, "children") else shown(data, declared(found, row["stage"], port))
    if table is None:
        printing.line(str(data))
    else:
        printing.table(table.rows, table.header)


def _show_runs(store: Store, as_json: bool) -> int:
    rows = store.ledger.runs()
    if as_json:
        printing.as_json([{k: row[k] for k in ("id", "flow", "status", "started", "finished")} for row in rows])
        return 0
    printing.table(
        [
            (
                row["id"],
                row["flow"],
                row["status"],
                printing.moment(row["started"]),
                printing.seconds(row["finished"] - row["started"]) if row["finished"] else "",
            )
            for row in rows
        ],
        ("run", "flow", "status", "started", "time"),
    )
    return 0


def _show_run(run: Run) -> None:
    printing.line(
        f"{run.id}: {run.flow}, {run.status}, started {printing.moment(run.started)}, {printing.seconds(run.seconds)}"
    )
    rows, made = [], run.store.ledger.made()
    for name, row in run.instances.items():
        seconds, stored = (
            made.get(row["key"], (None, None)) if row["status"] == "cached" else (row["seconds"], row["stored"])
        )
        outputs = ", ".join(f"{port} {digest[:12]}" for port, digest in row["outputs"].items())
        rows.append(
            (
                name,
                row["stage"],
                row["status"],
                printing.seconds(seconds),
                printing.size(stored),
                outputs or row["info"].get("error", row["info"].get("reason", "")),
            )
        )
    printing.table(rows, ("instance", "stage", "status", "time", "size", "outputs"))


def open_(arguments: Namespace) -> int:
    """``fieldloom open``."""
    from ..files import export

    run = find_run(_store(arguments), arguments.run)
    if arguments.to is None:
        printing.line(str(run.artifact(arguments.name).path))
        return 0
    instance = arguments.name if arguments.name in run.instances else arguments.name.rpartition(".")[0]
    if instance not in run.instances:
        raise UsageError(
            f"run {run.id} has no instance {arguments.name!r}; {did_you_mean(arguments.name, run.instances)}"
        )
    for path in sorted(export(run, instance, Path(arguments.to))):
        printing.line(str(path))
    return 0


def log(arguments: Namespace) -> int:
    """``fieldloom log``."""
    run = find_run(_store(arguments), arguments.run)
    path = run.folder / "log.jsonl"
    for text in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        entry = json.loads(text)
        if arguments.instance and entry["instance"] != arguments.instance:
            continue
        if arguments.json:
            printing.line(text)
        else:
            words = entry.get("message") or entry.get("error") or entry.get("reason") or ""
            printing.line(f"{printing.moment(entry['time'])}  {entry['instance']}  {entry['event']}  {words}".rstrip())
    return 0


def diff(arguments: Namespace) -> int:
    """``fieldloom diff``."""
    from ..compare import compare

    store = _store(arguments)
    found = compare(find_run(store, arguments.before), find_run(store, arguments.after))
    if arguments.json:
        printing.as_json(found)
        return 0
    for section, rows in found.items():
        printing.line(f"{section}:")
        _print_differences(rows)
    return 0


def _print_differences(rows: list[dict[str, Any]]) -> None:
    if not rows:
        printing.line("  no difference")
        return
    printing.table(
        [(f"  {row['name']}", _shown(row["before"]), _shown(row["after"])) for row in rows],
        ("  name", "before", "after"),
    )


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def report(arguments: Namespace) -> int:
    """``fieldloom report``."""
    from ..registry import Registry
    from ..report import write_report

    run = find_run(_store(arguments), arguments.run)
    printing.line(str(write_report(run, Registry(), Path(arguments.output) if arguments.output else None)))
    return 0
