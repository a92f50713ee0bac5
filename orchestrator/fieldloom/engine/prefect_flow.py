"""The one Prefect flow, ``run_spec``, and its task. The only module that imports Prefect.

Only names and digests travel through Prefect: its result persistence is off, ours is the store. What it
records is a view for its UI; the ledger is the system of record.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import time
from typing import Any
from uuid import UUID

os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")  # both switches, and before the import:
if os.environ.get("FIELDLOOM_TELEMETRY") != "1":  # otherwise Prefect reports usage from every terminal
    os.environ.setdefault("DO_NOT_TRACK", "1")

import prefect.settings as prefect_settings
from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext
from prefect.events.worker import EventsWorker
from prefect.futures import PrefectFuture
from prefect.logging.handlers import APILogWorker, PrefectConsoleHandler
from prefect.settings import temporary_settings
from prefect.states import Cancelled as PrefectCancelled
from prefect.states import Completed, Crashed, Failed
from prefect.task_runners import ThreadPoolTaskRunner

from ..devices import gpu_count
from ..errors import EngineError
from ..events import InstanceEvent
from ..session import Session, begin, end, stopping_on_signals
from . import prefect_artifacts
from .batch import run_batch
from .scheduler import Batch, Limits, Scheduler, Work
from .server import embedded_server

_SESSIONS: dict[str, Session] = {}
_BATCHES: dict[tuple[str, int], Batch] = {}
_DRAIN = 10.0  # seconds in which the server may write down what it was told
_FINAL = ["COMPLETED", "FAILED", "CRASHED", "CANCELLED"]


def run_in_prefect(session: Session) -> None:
    """Bring ``session`` to its end as one Prefect flow run, on the user's server or on one of our own."""
    _quiet_console()
    with contextlib.ExitStack() as stack:
        url = prefect_settings.PREFECT_API_URL.value()
        settings: dict[Any, Any] = {}
        if not url:
            settings = {
                prefect_settings.PREFECT_API_URL: stack.enter_context(embedded_server(session.store)),
                prefect_settings.PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None,  # costs a second at the end of each flow
            }
        stack.enter_context(temporary_settings(settings))
        _SESSIONS[session.id] = session
        named = run_spec.with_options(flow_run_name=session.id)
        try:
            state = named(str(session.spec.path), str(session.store.root), session=session.id, return_state=True)
        except Exception as error:
            end(session, "failed")
            raise EngineError(f"Prefect cannot run the flow: {error}. {_server_hint(url)}") from error
        finally:
            _SESSIONS.pop(session.id, None)
        if not url:
            _drain(state)


@flow(name="fieldloom", persist_result=False, task_runner=ThreadPoolTaskRunner(max_workers=64))  # type: ignore[arg-type]  # Prefect's stubs want another result type
def run_spec(
    spec: str,
    store: str | None = None,
    set: dict[str, Any] | None = None,  # noqa: A002, RUF100 - the command line's word
    workers: int | None = None,
    session: str | None = None,
) -> State[Any]:
    """Run a flow spec: the static flow behind ``fieldloom run``, ``serve`` and deployments.

    Parameters
    ----------
    spec : str
        Path of the YAML file.
    store : str, optional
        The store's folder.
    set : dict, optional
        Overrides by dotted name.
    workers : int, optional
        Instances at once.
    session : str, optional
        Id of a run that this process has begun; not for callers.
    """
    live = _SESSIONS.get(session or "")
    if live is None:
        live = begin(spec, set=set, store=store, workers=workers)
    if not live.plan.missing:
        end(live, "done")
        return Completed(message="nothing has changed")
    context = FlowRunContext.get()
    assert context is not None
    assert context.flow_run is not None
    live.store.ledger.update_run(live.id, {"prefect_run": str(context.flow_run.id)})
    _close_dead_runs(live.info.get("crashed", []))
    return _drive(live, context)


@task(persist_result=False, cache_policy=NO_CACHE)
def execute(run: str, batch: int, instances: list[str]) -> Any:
    """Run one batch of instances; returns their outputs' digests."""
    work = _BATCHES[run, batch]
    session = _SESSIONS[run]
    retries = session.spec.flow.stages[work.step].retries
    reused = run_batch(session, work, retries)
    digests = {name: result["outputs"] for name, result in work.results.items()} if len(instances) <= 8 else None
    return Completed(name="Cached", message="found in the store", data=digests) if reused else digests


def _drive(session: Session, context: FlowRunContext) -> State[Any]:
    """Run the scheduler with Prefect tasks, then say how it went."""
    _SESSIONS[session.id] = session
    futures: dict[str, PrefectFuture[Any]] = {}

    def submit(batch: Batch, completed: queue.SimpleQueue[Batch]) -> None:
        _BATCHES[session.id, batch.number] = batch
        step = session.spec.flow.stages[batch.step]
        names = [work.instance.name for work in batch.works]
        upstream = {id(f): f for name in batch.upstream if (f := futures.get(name)) is not None}
        named: Any = execute.with_options(
            name=step.uses,
            task_run_name=batch.name,
            retries=step.retries,
            retry_delay_seconds=step.retry_delay,
            retry_condition_fn=lambda *_: not session.stop.is_set(),
        )
        future = named.submit(session.id, batch.number, names[:8], wait_for=list(upstream.values()))

        def ended(future: PrefectFuture[Any]) -> None:
            _BATCHES.pop((session.id, batch.number), None)
            if not batch.errors:
                futures.update(dict.fromkeys(names, future))
            completed.put(batch)

        future.add_done_callback(ended)

    def observe(event: InstanceEvent, work: Work | None) -> None:
        instance = scheduler.instances[event.name]
        session.recorder.instance(event, instance, work.components if work else None)

    _import_in_one_thread(session)
    cores = os.cpu_count() or 1
    limits = Limits(session.workers, cores, gpu_count())
    scheduler = Scheduler(session.plan, submit, limits, observe, session.stop.is_set)
    with stopping_on_signals(session):
        session.abandoned = not scheduler.run()
        session.failed = scheduler.failed
        if session.abandoned:
            _detach(context)
        status = "cancelled" if session.stop.is_set() else "failed" if scheduler.failed else "done"
        end(session, status)
        with contextlib.suppress(Exception):  # a view only: the run must not fail because a server is slow
            prefect_artifacts.publish(session, status)
    if status == "cancelled":
        return PrefectCancelled(message="interrupted; run it again to go on from there")
    if status == "failed":
        failed, skipped = len(scheduler.failed), len(scheduler.skipped)
        return Failed(message=f"{failed} failed, {skipped} skipped: {', '.join(list(scheduler.failed)[:4])}")
    return Completed(message=f"{len(session.plan.items)} instances, {session.plan.counts()['cached']} reused")


def _import_in_one_thread(session: Session) -> None:
    """Load what every stage needs before there are threads.

    xarray's modules import each other in circles; two threads that meet there see half of one.
    """
    from fieldloom_storage import reader, writer  # noqa: F401, RUF100 - for their imports

    if session.store.profile.compresses:
        from numcodecs import bitround, blosc  # noqa: F401, RUF100 - for their imports
    for stage_id in {item.instance.stage_id for item in session.plan.missing}:
        session.registry.stage(stage_id)


def _detach(context: FlowRunContext) -> None:
    """Leave a thread that is stuck in a stage behind: the flow ends without it, and the process will."""
    runner: Any = context.task_runner
    executor, runner._executor = runner._executor, None
    executor.shutdown(wait=False, cancel_futures=True)


def drain_client() -> None:
    """Send what Prefect's client still holds back: its workers hang at exit if their server has gone."""
    APILogWorker.drain_all(timeout=5)
    EventsWorker.drain_all(timeout=5, at_exit=False)


def _drain(state: State[Any]) -> None:
    """Wait until our server has written down the task runs, and empty the client's queues before it stops."""
    drain_client()
    run_id = state.state_details.flow_run_id
    if run_id is None:
        return
    mine = {"flow_runs": {"id": {"any_": [str(run_id)]}}}
    done = {**mine, "task_runs": {"state": {"type": {"any_": _FINAL}}}}
    deadline = time.monotonic() + _DRAIN
    with contextlib.suppress(Exception), get_client(sync_client=True) as client:
        while time.monotonic() < deadline:
            if _count(client, done) >= _count(client, mine) > 0:
                return
            time.sleep(0.1)


def _count(client: SyncPrefectClient, query: dict[str, Any]) -> int:
    return int(client._client.post("/task_runs/count", json=query).json())


def _close_dead_runs(run_ids: list[str]) -> None:
    """Tell Prefect of runs whose process died: it would show them as running for ever."""
    with contextlib.suppress(Exception), get_client(sync_client=True) as client:
        for run_id in run_ids:
            client.set_flow_run_state(UUID(run_id), Crashed(message="the process that ran it is gone"), force=True)


def _server_hint(url: str | None) -> str:
    if url:
        return f"PREFECT_API_URL is {url}: is that server running? Unset it to use the embedded server."
    return "`fieldloom doctor` checks the installation."


class _NotPrefect(logging.Filter):
    """Keeps Prefect's own lines off the terminal; they still go to its server."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not record.name.startswith(("prefect", "EventsWorker", "APILogWorker"))


def _quiet_console() -> None:
    found = logging.Logger.manager.loggerDict.values()
    loggers = [logging.getLogger(), *(logger for logger in found if isinstance(logger, logging.Logger))]
    for handler in {handler for logger in loggers for handler in logger.handlers}:
        is_prefects = isinstance(handler, PrefectConsoleHandler) or type(handler).__name__ == "_SafeStreamHandler"
        if is_prefects and not any(isinstance(f, _NotPrefect) for f in handler.filters):
            handler.addFilter(_NotPrefect())


__all__ = ["run_in_prefect", "run_spec"]
