"""The report of a run: one HTML file that needs nothing else, and the files that stages made beside it."""

from __future__ import annotations

import base64
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .. import printing
from ..events import RunEvent
from ..files import File, files_of
from ..graph import graph_of_run, svg
from ..registry import Registry
from ..runs import Run
from ..tables import declared, shown


def write_report(run: Run, registry: Registry, path: Path | None = None) -> Path:
    """Write ``files/`` and ``report.html`` into the run's folder (or the report to ``path``); return its path."""
    pictures: list[dict[str, str]] = []
    tables: list[dict[str, Any]] = []
    others: list[dict[str, str]] = []
    for instance, row in run.instances.items():
        for file in files_of(run, instance):
            target = run.folder / "files" / _folder_name(instance) / file.filename
            if not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(file.data)
            (pictures if file.is_picture else others).append(_shown_file(file, target.relative_to(run.folder)))
        tables += _tables(run, registry, instance, row)
    html = _render(run, registry, pictures=pictures, tables=tables, files=_few_files(others))
    path = path or run.folder / "report.html"
    path.write_text(html, encoding="utf-8")
    return path


def _folder_name(instance: str) -> str:
    return re.sub(r"[^\w.=,-]", "_", instance.replace("[", ",").replace("]", ""))


def _shown_file(file: File, path: Path) -> dict[str, str]:
    shown = {
        "instance": file.instance,
        "caption": file.caption,
        "path": str(path),
        "size": printing.size(len(file.data)),
    }
    if file.is_picture:
        shown["uri"] = f"data:{file.media_type};base64,{base64.b64encode(file.data).decode()}"
    return shown


def _few_files(files: list[dict[str, str]]) -> list[dict[str, str]]:
    """One line a folder: its first file and how many there are."""
    groups: dict[str, list[dict[str, str]]] = {}
    for file in files:
        groups.setdefault(str(Path(file["path"]).parent), []).append(file)
    return [
        {"folder": folder, "count": str(len(group)), "first": Path(group[0]["path"]).name}
        for folder, group in groups.items()
    ]


def _tables(run: Run, registry: Registry, instance: str, row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Small Datasets along one dimension are shown as tables."""
    for port, digest in row["outputs"].items():
        manifest = run.store.manifest(digest)
        if manifest["kind"] != "dataset" or manifest["nbytes"] > 100_000:
            continue
        data: Any = run.store.open(digest)
        if (table := shown(data, declared(registry, row["stage"], port))) is not None:
            about = run.info["steps"][row["step"]]["description"]
            classes = ["num" if numeric else "" for numeric in table.numeric]
            yield {
                "title": f"{instance}.{port}",
                "about": about,
                "header": table.header,
                "rows": table.rows,
                "classes": classes,
            }


def _render(run: Run, registry: Registry, **parts: Any) -> str:
    import jinja2

    environment = jinja2.Environment(loader=jinja2.PackageLoader(__name__, "."), autoescape=True, trim_blocks=True)
    event = RunEvent(run.id, run.flow, run.folder, run.status, run.store.root, tuple(run.instances.values()))
    sections: dict[str, str] = {}
    for found in registry.hook.report_sections(run=event):
        sections |= found or {}
    rows = [_stage_row(row) for row in run.instances.values()]
    counts = {
        status: sum(row["status"] == status for row in rows) for status in dict.fromkeys(r["status"] for r in rows)
    }
    return environment.get_template("report.html").render(
        run=run,
        info=run.info,
        started=printing.moment(run.started),
        seconds=printing.seconds(run.seconds),
        rows=rows,
        counts=counts,
        graph=svg(graph_of_run(run.instances)),
        sections=sections,
        params=json.dumps(run.info["params"], indent=2),
        command=_command(run),
        total=printing.seconds(sum(row["seconds"] or 0 for row in run.instances.values())),
        **parts,
    )


def _stage_row(row: dict[str, Any]) -> dict[str, Any]:
    info = row["info"]
    return {
        "name": row["name"],
        "stage": row["stage"],
        "status": row["status"],
        "seconds": printing.seconds(row["seconds"]),
        "cpu": printing.seconds(info.get("cpu_seconds")),
        "size": printing.size(row["stored"]),
        "share": row["seconds"] or 0.0,
        "note": info.get("error") or info.get("reason") or "; ".join(info.get("why", [])),
        "params": json.dumps(info.get("params", {})),
        "outputs": row["outputs"],
    }


def _command(run: Run) -> str:
    settings = "".join(
        f" --set {shlex.quote(f'{name}={json.dumps(value)}')}" for name, value in run.info["set"].items()
    )
    return f"fieldloom run {run.info['given']}{settings}"
