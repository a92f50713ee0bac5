"""Commands on a flow spec: run, plan, validate, graph, schema."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

from fieldloom_storage import Profile, Store

from .. import printing
from ..errors import Cancelled, SpecError, StageFailed
from ..plan import Item, Plan, make_plan
from ..registry import Registry
from ..runs import Run, default_store
from ..spec import Spec, load, parse_overrides


def registry(arguments: Namespace) -> Registry:
    """Load the plugins that the command line allows."""
    return Registry(arguments.plugin, arguments.no_plugin)


def _spec(arguments: Namespace) -> Spec:
    return load(arguments.spec, parse_overrides(arguments.set), partial=True)


def run(arguments: Namespace) -> int:
    """``fieldloom run``."""
    from ..api import run as run_flow
    from .display import Display

    display = Display(quiet=arguments.quiet or arguments.json)
    failure: Exception | None = None
    with display:
        finished = run_flow(
            arguments.spec,
            set=parse_overrides(arguments.set),
            store=arguments.store,
            workers=arguments.workers,
            profile=Profile(arguments.profile),
            registry=registry(arguments),
            listeners=[display.event],
            check=False,
        )
    if arguments.json:
        printing.as_json(_run_document(finished))
    else:
        _summary(finished)
    if finished.status == "cancelled":
        failure = Cancelled("interrupted; the same command goes on from there")
    elif finished.status == "failed":
        failure = StageFailed(_failures(finished))
    if failure is not None:
        raise failure
    return 0


def _summary(run: Run) -> None:
    counts: dict[str, int] = {}
    for row in run.instances.values():
        counts[row["status"]] = counts.get(row["status"], 0) + 1
    if set(counts) == {"cached"}:
        printing.line(f"{run.flow}: nothing has changed; {counts['cached']} instances reused (run {run.id})")
        if (made := _last_report(run)) is not None:
            printing.line(f"report  {_relative(made)}")
        return
    words = {"done": "computed", "cached": "reused"}
    listed = ", ".join(f"{n} {words.get(status, status)}" for status, n in counts.items())
    printing.line(f"{run.flow}: {run.status} in {printing.seconds(run.seconds)}: {listed}")
    printing.line(f"run     {run.id}")
    if (report := run.folder / "report.html").exists():
        printing.line(f"report  {_relative(report)}")
    if (files := run.folder / "files").exists():
        printing.line(f"files   {_relative(files)}")


def _last_report(run: Run) -> Path | None:
    """The report of the last run of this flow that computed something."""
    for row in run.store.ledger.runs():
        path: Path = run.store.root / "runs" / row["id"] / "report.html"
        if row["flow"] == run.flow and path.exists():
            return path
    return None


def _relative(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _failures(run: Run) -> str:
    lines = []
    for name, row in run.instances.items():
        step = run.info["steps"][row["step"]]
        if row["status"] == "failed":
            lines.append(f"{step['place']}: stage {name} ({row['stage']}) failed: {row['info'].get('error', '')}")
    skipped = [name for name, row in run.instances.items() if row["status"] == "skipped"]
    if skipped:
        lines.append(
            f"skipped, because they need one that failed: {', '.join(skipped[:6])}"
            + (f" and {len(skipped) - 6} more" if len(skipped) > 6 else "")
        )
    return "\n".join([*lines, f"`fieldloom log {run.id}` has the details; the same command tries again what failed"])


def _run_document(run: Run) -> dict[str, Any]:
    keys = ("name", "stage", "status", "seconds", "stored", "key", "outputs")
    rows = [{key: row[key] for key in keys} for row in run.instances.values()]
    return {
        "run": run.id,
        "flow": run.flow,
        "status": run.status,
        "seconds": run.seconds,
        "folder": str(run.folder),
        "instances": rows,
    }


def plan(arguments: Namespace) -> int:
    """``fieldloom plan``."""
    root = Path(arguments.store or default_store())
    store = Store(root, create=False) if (root / "store.json").exists() else None
    made = make_plan(_spec(arguments), registry(arguments), store)
    if arguments.json:
        printing.as_json([_item_document(item) for item in made.items])
        return 0
    _print_plan(made, store is not None)
    return 0


def _print_plan(made: Plan, has_store: bool) -> None:
    shown = made.items if len(made.items) <= 200 else made.missing[:200]
    rows = []
    for item in shown:
        why = "; ".join(item.why) or ("" if item.status == "cached" else "never run before")
        rows.append(
            (
                item.instance.name,
                item.instance.stage_id,
                item.status,
                printing.seconds(item.seconds),
                printing.size(item.stored),
                why,
            )
        )
    printing.table(rows, ("instance", "stage", "status", "time", "size", "why"))
    counts = made.counts()
    known = [item for item in made.missing if item.seconds is not None]
    printing.line(f"{counts['cached']} cached, {counts['run']} to run, {counts['waits']} waiting for those")
    if len(shown) < len(made.items):
        printing.line(f"(the first {len(shown)} that are not cached, of {len(made.items)})")
    if known:
        total = sum(item.seconds or 0 for item in known), sum(item.stored or 0 for item in known)
        unknown = len(made.missing) - len(known)
        rest = f", plus {unknown} never measured" if unknown else ""
        printing.line(f"probably {printing.seconds(total[0])} of work and {printing.size(total[1])}{rest}")
    if not has_store:
        printing.line("there is no store here yet: everything would run")


def _item_document(item: Item) -> dict[str, Any]:
    return {
        "name": item.instance.name,
        "stage": item.instance.stage_id,
        "status": item.status,
        "why": item.why,
        "key": item.key,
        "seconds": item.seconds,
        "stored": item.stored,
        "outputs": item.outputs,
    }


def validate(arguments: Namespace) -> int:
    """``fieldloom validate``."""
    from ..expand import expand

    try:
        spec = _spec(arguments)
        instances = expand(spec, registry(arguments))
    except SpecError as error:
        if not arguments.json:
            raise
        printing.as_json(
            [
                {
                    "file": p.place.file,
                    "line": p.place.line,
                    "column": p.place.column,
                    "message": p.message,
                    "hint": p.hint,
                }
                for p in error.problems
            ]
        )
        return error.exit_code
    if arguments.json:
        printing.as_json([])
    else:
        printing.line(f"{arguments.spec}: valid; {len(spec.flow.stages)} stages, {len(instances)} instances")
    return 0


def graph(arguments: Namespace) -> int:
    """``fieldloom graph``."""
    from ..expand import expand
    from ..graph import draw, graph_of

    drawn = draw(graph_of(expand(_spec(arguments), registry(arguments))), arguments.format)
    _write(drawn, arguments.output)
    return 0


def schema(arguments: Namespace) -> int:
    """``fieldloom schema``."""
    import json

    from ..schema import flow_schema

    _write(json.dumps(flow_schema(registry(arguments)), indent=2) + "\n", arguments.output)
    return 0


def _write(text: str, path: str | None) -> None:
    if path:
        Path(path).write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text if text.endswith("\n") else text + "\n")
