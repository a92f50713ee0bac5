"""Live progress in a terminal: one bar for the run, one line for each instance that runs. Elsewhere: plain lines."""

from __future__ import annotations

import sys
import threading
from typing import Any

from .. import printing
from ..events import InstanceEvent

_MARKS = {
    "done": "done",
    "cached": "reused",
    "failed": "FAILED",
    "skipped": "skipped",
    "retry": "retrying",
    "cancelled": "stopped",
}


class Display:
    """Listens to a run's events and shows them."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._live = sys.stderr.isatty() and not quiet
        self._lock = threading.Lock()
        self._progress: Any = None
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> Display:
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress is not None:
            self._progress.stop()

    def event(self, event: InstanceEvent) -> None:
        """Show one event."""
        if self._quiet:
            return
        with self._lock:
            if event.kind == "starting":
                self._say_start(event)
            elif self._live:
                self._show_live(event)
            elif event.kind in _MARKS:
                sys.stderr.write(_sentence(event) + "\n")

    def _say_start(self, event: InstanceEvent) -> None:
        data = event.data
        todo = data["run"] + data["waits"]
        sys.stderr.write(
            f"{event.name}: {todo} to compute, {data['cached']} reused, store {data['store']}; starting Prefect\n"
        )
        sys.stderr.flush()

    def _show_live(self, event: InstanceEvent) -> None:
        progress = self._started()
        if event.kind == "started":
            self._tasks[event.name] = progress.add_task(event.name, total=None)
        elif event.kind == "progress" and event.name in self._tasks:
            data = event.data
            progress.update(
                self._tasks[event.name],
                completed=data["done"],
                total=data["total"],
                description=f"{event.name} [dim]{data['message']}",
            )
        elif event.kind in _MARKS:
            if (bar := self._tasks.pop(event.name, None)) is not None:
                progress.remove_task(bar)
            progress.console.print(_sentence(event), highlight=False, markup=False)
        elif event.kind == "log" and event.data.get("level") in ("warning", "error"):
            progress.console.print(
                f"{event.name}: {event.data['message'].splitlines()[-1]}", highlight=False, markup=False
            )

    def _started(self) -> Any:
        if self._progress is None:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

            columns = TextColumn("{task.description}"), BarColumn(bar_width=30), TimeElapsedColumn()
            self._progress = Progress(*columns, console=Console(stderr=True), transient=True)
            self._progress.start()
        return self._progress


def _sentence(event: InstanceEvent) -> str:
    data = event.data
    text = f"{_MARKS[event.kind]:9}{event.name}"
    if event.kind == "done":
        text += f"  {printing.seconds(data.get('seconds'))}, {printing.size(data.get('stored'))}"
    elif event.kind in ("failed", "retry"):
        text += f"  {' '.join(data.get('error', '').split())}"
    elif event.kind == "skipped":
        text += f"  {data.get('reason', '')}"
    return text
