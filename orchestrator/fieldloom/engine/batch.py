"""Running the instances of a batch: one at a time, each under its lease, in this process or in a child."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import Cancelled, StageFailed
from ..events import InstanceEvent
from ..session import Session, describe
from .process import perform_in_child
from .scheduler import Batch, Work
from .work import Emit, Job, perform


class BatchFailed(StageFailed):
    """Some instances of a batch failed; the others are finished and stay so."""


def run_batch(session: Session, batch: Batch, retries: int) -> bool:
    """Run what is left of ``batch``; returns whether everything was found finished by somebody else.

    Raises
    ------
    BatchFailed
        If an instance failed; calling again tries those only.
    Cancelled
        If the run was stopped.
    """
    batch.attempts += 1
    batch.errors.clear()
    last = batch.attempts > retries
    reused = True
    for work in batch.works:
        if work.instance.name in batch.results:
            continue
        try:
            result, found = _run(session, work, batch.attempts)
        except StageFailed as error:
            batch.errors[work.instance.name] = session.spec.masked(str(error))
            _tell(session, work, "failed" if last else "retry", {"error": str(error), "tries": batch.attempts})
        except Cancelled as error:
            batch.errors[work.instance.name] = "it was stopped"
            _tell(session, work, "cancelled", {"reason": "it was stopped"})
            raise error
        else:
            batch.results[work.instance.name] = result
            reused = reused and found
    if batch.errors:
        raise BatchFailed("\n".join(f"{describe(session, name)}: {why}" for name, why in batch.errors.items()))
    return reused


def _run(session: Session, work: Work, attempt: int) -> tuple[dict[str, Any], bool]:
    """Run one instance, unless a living process does or a dead one did; returns the result and whether it was there."""
    stopped = session.stop.is_set
    if stopped():
        raise Cancelled(f"{work.instance.name} was stopped")
    lease = session.store.wait_for_lease(work.key, lambda: stopped() or _known(session, work))
    try:
        record = session.store.lookup(work.key)
        if record is not None:
            result: dict[str, Any] = {"outputs": record.outputs}
            _tell(session, work, "cached", result)
            return result, True
        if lease is None:
            raise Cancelled(f"{work.instance.name} was stopped")
        _tell(session, work, "started", {"try": attempt})
        result = _perform(session, work, stopped)
        _tell(session, work, "done", result)
        return result, False
    finally:
        if lease is not None:
            lease.release()


def _known(session: Session, work: Work) -> bool:
    return session.store.lookup(work.key, touch=False) is not None


def _perform(session: Session, work: Work, stopped: Callable[[], bool]) -> dict[str, Any]:
    job = _job(session, work)
    emit = _emitter(session, work)
    if job.isolate:
        return perform_in_child(job, emit, stopped)
    return perform(job, session.store, emit, stopped)


def _job(session: Session, work: Work) -> Job:
    instance, resources = work.instance, work.resources
    profile = session.store.profile
    return Job(
        name=instance.name,
        stage_id=instance.stage_id,
        target=session.registry.target(instance.stage_id),
        params=instance.params.model_dump(mode="json"),
        seed=instance.seed,
        key=work.key,
        inputs=work.inputs,
        files=work.components.files,
        many=sorted(instance.many),
        store=str(session.store.root),
        profile={"name": profile.name, "keepbits": profile.keepbits},
        durable=session.store.durable,
        threads=resources.cpus,
        gpu=resources.gpu != "no",
        memory=resources.memory,
        timeout=session.spec.flow.stages[instance.step].timeout,
        isolate=resources.isolate,
        ranks=resources.ranks,
    )


def _emitter(session: Session, work: Work) -> Emit:
    return lambda kind, data: _tell(session, work, kind, data)


def _tell(session: Session, work: Work, kind: str, data: dict[str, Any]) -> None:
    event = InstanceEvent(kind, work.instance.name, work.instance.stage_id, data)
    session.recorder.instance(event, work.instance, work.components, work.why)
