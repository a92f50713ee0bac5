"""Running flows from Python. The command line is built on this."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from fieldloom_storage import Profile

from .errors import Cancelled, StageFailed
from .events import InstanceEvent
from .recorder import Listener
from .registry import Registry
from .runs import Run
from .session import Session, begin, describe, end


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
        counts = session.plan.counts()
        for listener in listeners or []:
            listener(
                InstanceEvent("starting", session.spec.flow.name, "", {**counts, "store": str(session.store.root)})
            )
        _run_missing(session)
    else:
        end(session, "done")
    finished = Run(session.store, session.id)
    if session.abandoned:
        os.environ["FIELDLOOM_ABANDONED"] = "1"  # a thread is stuck in a stage: the command line exits hard
    if check and finished.status == "cancelled":
        raise Cancelled(f"run {session.id} was interrupted; run the same command to go on from there")
    if check and finished.status == "failed":
        raise StageFailed("\n".join(f"{describe(session, name)}: {why}" for name, why in session.failed.items()))
    return finished


def _run_missing(session: Session) -> None:
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # threads that wait must not burn the cores of others
    try:
        from .engine.prefect_flow import run_in_prefect

        run_in_prefect(session)
    except KeyboardInterrupt:  # while Prefect was starting: nothing has run yet
        end(session, "cancelled")
