"""Writes down what happens: the ledger's rows, the run's log, the plugins' hooks. Called from several threads."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fieldloom_storage import Store

from .events import InstanceEvent
from .expand import Instance
from .keys import Components
from .plan import Item, Planner

log = logging.getLogger("fieldloom")
Listener = Callable[[InstanceEvent], None]


class Recorder:
    """The system of record for one run.

    Parameters
    ----------
    folder : Path
        The run's folder, for ``log.jsonl``.
    listeners : list of callable
        Are told of every event as well (the display).
    """

    def __init__(self, run_id: str, store: Store, planner: Planner, folder: Path, listeners: list[Listener]) -> None:
        self._run_id, self._store, self._planner, self._listeners = run_id, store, planner, listeners
        self._lock = threading.Lock()
        self._log_path = folder / "log.jsonl"
        self._codes: set[str] = set()
        self._positions = {instance.name: i for i, instance in enumerate(planner.instances)}

    def plan(self, items: list[Item]) -> None:
        """Record what a plan found in the store."""
        self._store.ledger.write_instances(
            self._row(item.instance, "cached", {"outputs": item.outputs}, item.components, item.key)
            for item in items
            if item.status == "cached"
        )

    def instance(
        self,
        event: InstanceEvent,
        instance: Instance,
        components: Components | None = None,
        why: list[str] | None = None,
    ) -> None:
        """Record an event of one instance and pass it on."""
        data = self._planner.spec.masked(event.data)
        event = InstanceEvent(event.kind, event.name, event.stage, data)
        if event.kind in ("done", "cached", "failed", "skipped", "cancelled"):
            key = components.key if components else None
            self._store.ledger.write_instances([self._row(instance, event.kind, data, components, key, why)])
        if event.kind != "progress":
            self.write_log(event.name, event.kind, data)
        if event.kind == "started":
            self._call("before_stage", instance=event)
        elif event.kind in ("done", "failed"):
            self._call("after_stage", instance=event)
        for listener in self._listeners:
            listener(event)

    def write_log(self, name: str, kind: str, data: Mapping[str, Any]) -> None:
        """Append a line to the run's log."""
        line = json.dumps({"time": round(time.time(), 3), "instance": name, "event": kind, **data}, default=str)
        with self._lock, open(self._log_path, "a", encoding="utf-8") as file:
            file.write(line + "\n")

    def _call(self, hook: str, **arguments: Any) -> None:
        call_hook(self._planner.registry.hook, hook, **arguments)

    def _row(
        self,
        instance: Instance,
        status: str,
        data: Mapping[str, Any],
        components: Components | None,
        key: str | None,
        why: list[str] | None = None,
    ) -> dict[str, Any]:
        now = time.time()
        info: dict[str, Any] = {
            "coords": dict(instance.coords),
            "position": self._positions[instance.name],
            "upstream": sorted(instance.upstream),
            "why": why or [],
            **{
                k: data[k]
                for k in ("cpu_seconds", "peak_bytes", "nbytes", "error", "reason", "started", "tries")
                if k in data
            },
        }
        if components is not None:
            shown = self._planner.shown(components)
            info |= {
                "params": shown.params,
                "seed": shown.seed,
                "inputs": shown.inputs,
                "files": shown.files,
                "device": shown.code.device,
                "cache_version": shown.code.cache_version,
                "versions": shown.code.versions,
            }
            self._write_code(components)
        return {
            "run": self._run_id,
            "name": instance.name,
            "step": instance.step,
            "stage": instance.stage_id,
            "flow": self._planner.spec.flow.name,
            "key": key,
            "status": status,
            "seconds": data.get("seconds"),
            "stored": data.get("stored"),
            "finished": now,
            "outputs": data.get("outputs", {}),
            "code": components.code.code if components else None,
            "info": info,
        }

    def _write_code(self, components: Components) -> None:
        if components.code.code not in self._codes:
            self._store.ledger.write_code(components.code.code, components.code.functions)
            self._codes.add(components.code.code)


def call_hook(relay: Any, hook: str, **arguments: Any) -> None:
    """Call an observer hook of every plugin; one that raises is logged and stops nothing."""
    for implementation in getattr(relay, hook).get_hookimpls():
        try:
            implementation.function(*(arguments[name] for name in implementation.argnames))
        except Exception:  # a stranger's observer must not stop a run
            log.warning("hook %s of plugin %s failed", hook, implementation.plugin_name, exc_info=True)
