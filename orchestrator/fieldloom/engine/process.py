"""The parent's side of an isolated job: start the child, pass its events on, stop it in time."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from typing import IO, Any

from ..errors import Cancelled, StageFailed
from .work import Emit, Job

GRACE = 5.0  # seconds between SIGTERM, on which a stage may save a checkpoint, and SIGKILL
SETTLE = 1.0  # seconds in which the cause of a team's failure shows, after its first sign
_POLL = 0.1


def perform_in_child(job: Job, emit: Emit, stopped: Callable[[], bool]) -> dict[str, Any]:
    """Run ``job`` in a process of its own; the result is that of :func:`~fieldloom.engine.work.perform`.

    Raises
    ------
    StageFailed
        If the stage failed, ran out of time or memory, or its process died.
    Cancelled
        If the run was stopped.
    """
    deadline = time.monotonic() + job.timeout if job.timeout else None
    team: list[subprocess.Popen[bytes]] = []
    with tempfile.TemporaryDirectory(prefix="fieldloom-") as folder:
        try:
            for rank in range(job.ranks):
                team.append(_start(replace(job, rank=rank, rendezvous=f"{folder}/ranks")))
            result, why = _attend(team, emit, stopped, deadline)
        finally:
            for process in team:
                _kill(process)
    if why == "timeout":
        raise StageFailed(f"it was stopped after its timeout of {job.timeout:g} s")
    if why == "stopped":
        raise Cancelled(f"{job.name} was stopped")
    if result is None:
        codes = sorted((p.returncode for p in team), key=lambda code: (code == 0, code == -signal.SIGKILL))
        raise StageFailed(_death(codes[0], job))  # that of the rank which died first; the others were killed
    kind, data = result
    if kind == "cancelled":
        raise Cancelled(data["message"])
    if kind == "failed":
        raise StageFailed(data["message"])
    return data


def _start(job: Job) -> subprocess.Popen[bytes]:
    threads = str(job.threads)
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": threads,
        "OPENBLAS_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        "OMP_WAIT_POLICY": "passive",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "fieldloom.engine.child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        start_new_session=True,
    )
    assert process.stdin is not None
    order = {"parent": os.getpid(), "path": sys.path, "job": job.to_json()}
    try:
        process.stdin.write(json.dumps(order).encode() + b"\n")
        process.stdin.flush()  # and stays open: the child ends when it closes
    except BrokenPipeError:
        pass  # it died at once: its exit status says why
    return process


def _attend(
    team: list[subprocess.Popen[bytes]], emit: Emit, stopped: Callable[[], bool], deadline: float | None
) -> tuple[tuple[str, dict[str, Any]] | None, str | None]:
    """Pass events on until the children close their outputs; return the result and why they were told to stop.

    Of several ranks, number 0 speaks and has the result, unless another one fails: then all are ended. If one died,
    the others fail in what they do together; there is then no result, for its death is the cause.
    """
    result: tuple[str, dict[str, Any]] | None = None
    why: str | None = None
    kill_at = float("inf")  # -1 once they are killed
    died = False
    lines = _Lines(*(stream for process in team for stream in (process.stdout, process.stderr)))
    while lines.open:
        for stream, line in lines.read(_POLL):
            if any(stream is process.stderr for process in team):
                emit("log", {"level": "info", "message": line})
                continue
            event, first = json.loads(line), stream is team[0].stdout
            if event["kind"] == "failed" or (first and event["kind"] in ("done", "cancelled")):
                result = result or (event["kind"], event["data"])
            elif (event["kind"] == "log" and event["data"]["level"] == "error") or (first and event["kind"] != "done"):
                emit(event["kind"], event["data"])
        now = time.monotonic()
        if why is None and result is None and (stopped() or (deadline and now > deadline)):
            why = "stopped" if stopped() else "timeout"
            _signal(team, signal.SIGTERM)
            kill_at = now + GRACE
        if len(team) > 1 and why is None and kill_at != -1.0:
            died = died or any(process.poll() for process in team)
            if died or (result is not None and result[0] == "failed"):  # the others would wait for ever
                kill_at = min(kill_at, now + SETTLE)
        if now > kill_at >= 0:
            _signal(team, signal.SIGKILL)
            kill_at = -1.0
    for process in team:
        process.wait()
    if result is not None and result[0] == "done":
        return result, None
    return None if died else result, why


def _signal(team: list[subprocess.Popen[bytes]], number: signal.Signals) -> None:
    for process in team:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End what is left of the child and of what it started."""
    _signal([process], signal.SIGKILL)
    process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream:
            with contextlib.suppress(BrokenPipeError):
                stream.close()


def _death(code: int | None, job: Job) -> str:
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        hint = {"SIGKILL": "; the machine may have run out of memory", "SIGSEGV": "; compiled code crashed"}.get(
            name, ""
        )
        return f"its process was ended by {name}{hint}"
    cap = f"; its memory cap is {job.memory:,} bytes" if job.memory else ""
    return f"its process ended with exit code {code} and no result{cap}; the log has what it printed"


class _Lines:
    """Complete lines from several pipes, as they come."""

    def __init__(self, *streams: IO[bytes] | None) -> None:
        self._selector = selectors.DefaultSelector()
        self._buffers: dict[IO[bytes], bytes] = {}
        for stream in streams:
            assert stream is not None
            os.set_blocking(stream.fileno(), False)
            self._selector.register(stream, selectors.EVENT_READ)
            self._buffers[stream] = b""

    @property
    def open(self) -> bool:
        return bool(self._selector.get_map())

    def read(self, timeout: float) -> list[tuple[IO[bytes], str]]:
        lines: list[tuple[IO[bytes], str]] = []
        for ready, _ in self._selector.select(timeout):
            stream: Any = ready.fileobj
            data = os.read(ready.fd, 65536)
            *whole, rest = (self._buffers[stream] + data).split(b"\n")
            if not data:
                self._selector.unregister(stream)
                whole, rest = whole + ([rest] if rest else []), b""
            self._buffers[stream] = rest
            lines += [(stream, line.decode(errors="replace")) for line in whole if line]
        return lines
