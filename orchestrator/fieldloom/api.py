"""Running flows from Python, and looking at what they left. The command line is built on this."""

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
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fieldloom_storage import Artifact, Profile, Store

from .errors import Cancelled, StageFailed, UsageError, did_you_mean
from .events import RunEvent
from .expand import expand
from .plan import Plan, make_plan
from .recorder import Listener, Recorder, call_hook
from .registry import Registry
from .spec import Spec, load, mask

if TYPE_CHECKING:
    import xarray as xr

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


class Run(Mapping[str, Any]):
    """A finished (or unfinished) run: a mapping of ``step``, ``instance`` or ``instance.port`` to xarray data.

    ``run["wake[reynolds=60].fields"]`` opens lazily; the port may be left out where there is only one.
    """

    def __init__(self, store: Store, run_id: str, secrets: Mapping[str, str] | None = None) -> None:
        found = store.ledger.run(run_id)
        if found is None:
            raise UsageError(f"there is no run {run_id} in {store.root}")
        self.store, self.id, self._row, self._secrets = store, run_id, found, dict(secrets or {})

    @property
    def flow(self) -> str:
        return str(self._row["flow"])

    @property
    def status(self) -> str:
        """``running``, ``done``, ``failed``, ``cancelled`` or ``crashed``."""
        return str(self._row["status"])

    @property
    def info(self) -> dict[str, Any]:
        """Spec, parameters, versions, machine."""
        return dict(self._row["info"])

    @property
    def started(self) -> float:
        return float(self._row["started"])

    @property
    def seconds(self) -> float | None:
        """Wall seconds from start to end; None for a run that never ended."""
        return self._row["finished"] - self._row["started"] if self._row["finished"] else None

    @property
    def folder(self) -> Path:
        """Where report, log and files are."""
        return self.store.root / "runs" / self.id

    @cached_property
    def instances(self) -> dict[str, dict[str, Any]]:
        """The ledger's row of each instance."""
        return {row["name"]: row for row in self.store.ledger.instances(self.id)}

    def artifact(self, name: str) -> Artifact:
        """Find the artifact of ``instance`` or ``instance.port``.

        Raises
        ------
        UsageError
            If the run has no such instance or output, or it is not finished.
        """
        instance, port = self._split(name)
        row = self.instances[instance]
        outputs = row["outputs"]
        if not outputs:
            raise UsageError(f"{instance} has no output in run {self.id}: it is {row['status']}")
        if port is None and len(outputs) > 1:
            raise UsageError(f"{instance} has several outputs; write {instance}.<port>: {', '.join(outputs)}")
        if port is not None and port not in outputs:
            raise UsageError(f"{instance} has no output {port!r}; {did_you_mean(port, outputs)}")
        return self.store.artifact(outputs[port] if port else next(iter(outputs.values())))

    def __getitem__(self, name: str) -> xr.Dataset | xr.DataTree:
        return self.store.open(self.artifact(name).digest)

    def read(self, name: str, reader: str, registry: Registry | None = None) -> Any:
        """Open an artifact through a plugin's reader, such as ``"pyvista"``."""
        readers = (registry or Registry()).readers
        if reader not in readers:
            raise UsageError(f"there is no artifact reader {reader!r}; {did_you_mean(reader, readers)}")
        return readers[reader](self[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self.instances)

    def __len__(self) -> int:
        return len(self.instances)

    def __repr__(self) -> str:
        return f"<Run {self.id}: {self.status}, {len(self)} instances>"

    def _split(self, name: str) -> tuple[str, str | None]:
        if name in self.instances:
            return name, None
        instance, _, port = name.rpartition(".")
        if instance in self.instances:
            return instance, port
        raise UsageError(f"run {self.id} has no instance {name!r}; {did_you_mean(name, self.instances)}")


def default_store() -> Path:
    """``FIELDLOOM_STORE``, or ``.fieldloom`` in the working directory."""
    return Path(os.environ.get("FIELDLOOM_STORE") or ".fieldloom")


def open_run(run_id: str = "latest", store: str | os.PathLike[str] | None = None) -> Run:
    """Open a run by its id, a unique beginning of it, or ``"latest"``.

    Raises
    ------
    UsageError
        If no run, or more than one, fits.
    """
    opened = Store(store or default_store(), create=False)
    return find_run(opened, run_id)


def find_run(store: Store, run_id: str) -> Run:
    """Find a run in ``store``; see :func:`open_run`."""
    ids = [row["id"] for row in store.ledger.runs()]
    if run_id == "latest":
        matches = ids[:1]
    else:
        matches = [run_id] if run_id in ids else [known for known in ids if known.startswith(run_id)]
    if len(matches) == 1:
        return Run(store, matches[0])
    if not ids:
        raise UsageError(f"no flow has been run in {store.root}; `fieldloom run flow.yaml` does")
    if not matches:
        raise UsageError(f"there is no run {run_id!r} in {store.root}; {did_you_mean(run_id, ids)}")
    raise UsageError(f"{run_id!r} fits several runs: {', '.join(matches[:4])}")


def run(
    spec: str | os.PathLike[str],
    *,
    set: Mapping[str, Any] | None = None,  # noqa: A002, RUF100 - the command line's word
    store: str | os.PathLike[str] | None = None,
    workers: int | None = None,
    profile: Profile | None = None,
    registry: Registry | None = None,
    listeners: list[Listener] | None = None,
    check: bool = True,
) -> Run:
    """Run a flow spec to its end; what was done before is reused.

    Parameters
    ----------
    spec : path-like
        The YAML file.
    set : mapping, optional
        Overrides by dotted name, as ``--set`` of the command line.
    store : path-like, optional
        The store's folder; :func:`default_store` if not given.
    workers : int, optional
        How many instances run at once; the number of cores if not given.
    profile : Profile, optional
        How new artifacts are compressed.
    check : bool
        Raise if the run does not end well. Otherwise look at ``run.status``.

    Raises
    ------
    SpecError
        If the spec is wrong. Nothing has run then.
    StageFailed
        If a stage failed; the other branches were finished.
    Cancelled
        If the run was interrupted.
    """
    session = begin(
        spec, set=set, store=store, workers=workers, profile=profile, registry=registry, listeners=listeners
    )
    if session.plan.missing:
        _run_missing(session)
    else:
        end(session, "done")
    finished = Run(session.store, session.id, session.spec.secrets)
    if session.abandoned:
        os.environ["FIELDLOOM_ABANDONED"] = "1"  # a thread is stuck in a stage: the command line exits hard
    if check and finished.status == "cancelled":
        raise Cancelled(f"run {session.id} was interrupted; run the same command to go on from there")
    if check and finished.status == "failed":
        raise StageFailed("\n".join(f"{describe(session, name)}: {why}" for name, why in session.failed.items()))
    return finished


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
    loaded = load(spec, set)
    instances = expand(loaded, registry)  # a spec that is wrong leaves no trace
    opened = Store(store or default_store(), profile=profile)
    crashed = _reconcile(opened)
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


def _run_missing(session: Session) -> None:
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # threads that wait must not burn the cores of others
    try:
        from .engine.prefect_flow import run_in_prefect

        run_in_prefect(session)
    except KeyboardInterrupt:  # while Prefect was starting: nothing has run yet
        end(session, "cancelled")


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


def _reconcile(store: Store) -> list[str]:
    """Mark runs whose process died as crashed: nobody else will. Returns their ids in Prefect."""
    dead = [row for row in store.ledger.unfinished() if not store.is_leased(f"run-{row['id']}")]
    for row in dead:
        store.ledger.finish_run(row["id"], "crashed", time.time())
    return [row["info"]["prefect_run"] for row in dead if "prefect_run" in row["info"]]


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


__all__ = ["Run", "Session", "begin", "default_store", "describe", "end", "find_run", "mask", "open_run", "run"]
