"""A run that is going on: opened before anything runs, closed with its report, told to stop by signals."""

from __future__ import annotations

import contextlib
import os
import platform
import secrets
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from fieldloom_storage import Profile, Store

from .events import RunEvent
from .expand import expand
from .plan import Plan, make_plan
from .recorder import Listener, Recorder, call_hook
from .registry import Registry
from .runs import Run, default_store, reconcile
from .spec import Spec, load

_RECORDED_VERSIONS = ("fieldloom", "numpy", "xarray", "zarr", "prefect", "torch")


@dataclass(slots=True)
class Session:
    """A run that is going on: everything that the engine needs."""

    id: str
    spec: Spec
    store: Store
    registry: Registry
    plan: Plan
    recorder: Recorder
    folder: Path
    workers: int
    stop: threading.Event = field(default_factory=threading.Event)
    info: dict[str, Any] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    abandoned: bool = False

    def event(self, status: str) -> RunEvent:
        """Describe the run to hooks."""
        rows = tuple(self.store.ledger.instances(self.id)) if status != "running" else ()
        return RunEvent(self.id, self.spec.flow.name, self.folder, status, self.store.root, rows)


def begin(
    spec: str | os.PathLike[str],
    *,
    set: Mapping[str, Any] | None = None,  # noqa: A002, RUF100 - as in run()
    store: str | os.PathLike[str] | None = None,
    workers: int | None = None,
    profile: Profile | None = None,
    registry: Registry | None = None,
    listeners: list[Listener] | None = None,
) -> Session:
    """Load, plan and open the records of a run, without running anything. :func:`run` and schedules start here."""
    registry = registry or Registry()
    loaded = load(spec, set, partial=True)
    instances = expand(loaded, registry)  # a spec that is wrong leaves no trace
    opened = Store(store or default_store(), profile=profile)
    crashed = reconcile(opened)
    plan = make_plan(loaded, registry, opened, instances=instances, touch=True)
    now = time.time()
    run_id = f"{datetime.fromtimestamp(now, UTC):%Y%m%d-%H%M%S}-{loaded.flow.name}-{secrets.token_hex(2)}"
    folder = opened.root / "runs" / run_id
    folder.mkdir(parents=True)
    recorder = Recorder(run_id, opened, plan.planner, folder, listeners or [])
    lease = opened.lease(f"run-{run_id}")  # tells others that this run lives; the kernel frees it with us
    session = Session(
        run_id,
        loaded,
        opened,
        registry,
        plan,
        recorder,
        folder,
        workers or os.cpu_count() or 1,
        info={"lease": lease, "crashed": crashed},
    )
    opened.ledger.start_run(
        {"id": run_id, "flow": loaded.flow.name, "status": "running", "started": now, "info": _info(session, set or {})}
    )
    recorder.plan(plan.items)
    call_hook(registry.hook, "before_run", run=session.event("running"))
    return session


def end(session: Session, status: str) -> None:
    """Close the records of a run, tell the hooks, and write its report if anything ran."""
    session.store.ledger.finish_run(session.id, status, time.time())
    if session.plan.missing:
        from .report import write_report

        write_report(Run(session.store, session.id), session.registry)
    call_hook(session.registry.hook, "after_run", run=session.event(status))
    session.info["lease"].release()


def describe(session: Session, name: str) -> str:
    """Name an instance in the user's terms: place in the spec, instance, stage."""
    instance = next(i for i in session.plan.planner.instances if i.name == name)
    return f"{session.spec.place('stages', instance.step)}: stage {name} ({instance.stage_id})"


def _info(session: Session, overrides: Mapping[str, Any]) -> dict[str, Any]:
    spec = session.spec
    plugins = {p.distribution: p.version for p in session.registry.plugins if not p.problem}
    found: dict[str, Any] = spec.masked(
        {
            "spec": str(spec.path.absolute()),
            "given": str(spec.path),
            "text": spec.text,
            "description": spec.flow.description,
            "params": spec.params,
            "set": dict(overrides),
            "seed": spec.flow.seed,
            "workers": session.workers,
            "pid": os.getpid(),
            "versions": {"python": platform.python_version(), **_versions(), **plugins},
            "machine": {
                "host": platform.node(),
                "system": f"{os.uname().sysname} {os.uname().release}",
                "machine": platform.machine(),
                "cores": os.cpu_count(),
            },
            "steps": {
                name: {"stage": step.uses, "description": step.description, "place": str(spec.place("stages", name))}
                for name, step in spec.flow.stages.items()
            },
        }
    )
    return found


def _versions() -> dict[str, str]:
    found = {}
    for name in _RECORDED_VERSIONS:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


@contextlib.contextmanager
def stopping_on_signals(session: Session) -> Iterator[None]:
    """First Ctrl-C: start nothing more, stop what runs, close the records. Second: leave at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: Any) -> None:
        if session.stop.is_set():
            os._exit(130)
        session.stop.set()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
