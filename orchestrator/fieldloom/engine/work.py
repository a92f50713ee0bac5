"""One instance, in this process: open inputs, run the stage, check and store outputs, record the action."""

from __future__ import annotations

import logging
import resource
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fieldloom_storage import Profile, Store, checkpoints

from .. import outside, ports
from ..context import Collection, Context, labels_of
from ..errors import Cancelled, FieldloomError, PortError, StageFailed
from ..registry import import_stage
from ..spec.load import validate_model
from ..stage import Port, Stage

Emit = Callable[[str, dict[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Job:
    """Everything needed to run one instance, in JSON types.

    Of the ``ranks`` processes that run it, this is number ``rank``; they meet at the file ``rendezvous``.
    """

    name: str
    stage_id: str
    target: str
    params: dict[str, Any]
    seed: int
    key: str
    inputs: dict[str, list[tuple[dict[str, Any], str]]]
    many: list[str]
    store: str
    files: dict[str, str] = field(default_factory=dict)
    profile: dict[str, Any] = field(default_factory=lambda: {"name": "fast"})
    durable: bool = True
    threads: int = 1
    gpu: bool = False
    memory: int | None = None
    timeout: float | None = None
    isolate: bool = False
    rank: int = 0
    ranks: int = 1
    rendezvous: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class StageLog(logging.Handler):
    """Forwards a stage's log records as events."""

    def __init__(self, emit: Emit) -> None:
        super().__init__()
        self._emit = emit

    def emit(self, record: logging.LogRecord) -> None:
        self._emit("log", {"level": record.levelname.lower(), "message": record.getMessage()})


@dataclass(frozen=True, slots=True)
class _StoredCheckpoints:
    store: Store
    key: str

    writes: bool = True

    def save(self, step: int, data: Any) -> None:
        if self.writes:
            checkpoints.save(self.store, self.key, step, data)

    def latest(self) -> tuple[int, Any] | None:
        return checkpoints.latest(self.store, self.key)


def open_store(job: Job) -> Store:
    """Open the job's store with the job's profile."""
    return Store(job.store, create=False, profile=Profile(**job.profile), durable=job.durable)


def perform(job: Job, store: Store, emit: Emit, stopped: Callable[[], bool]) -> dict[str, Any]:
    """Run ``job`` here and commit what it makes; ranks above 0 commit nothing.

    Returns
    -------
    dict
        ``outputs`` (port to digest), ``seconds``, ``cpu_seconds``, ``peak_bytes``, ``nbytes``, ``stored``.

    Raises
    ------
    StageFailed
        If the stage raised or broke a contract; the cause is chained and its traceback emitted as a log.
    Cancelled
        If it was stopped.
    """
    started, cpu = time.perf_counter(), time.thread_time()
    try:
        with store.scratch() as scratch:
            outputs = _compute(job, store, emit, stopped, scratch)
    except (Cancelled, StageFailed):
        raise
    except MemoryError as error:
        cap = f" of {job.memory / 2**20:,.0f} MiB" if job.memory else ""
        raise StageFailed(
            f"it needs more memory than its cap{cap}; raise resources.memory, or stream the data"
        ) from error
    except PortError as error:
        raise StageFailed(str(error)) from error
    except Exception as error:
        emit("log", {"level": "error", "message": traceback.format_exc()})
        place = _innermost(error)
        message = str(error) if isinstance(error, FieldloomError) else f"{type(error).__name__}: {error}"
        raise StageFailed(f"{message}{place}") from error
    if job.rank == 0:
        checkpoints.clear(store, job.key)
    artifacts = [store.artifact(digest) for digest in outputs.values()]
    return {
        "outputs": outputs,
        "seconds": time.perf_counter() - started,
        "cpu_seconds": time.thread_time() - cpu,
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "nbytes": sum(a.nbytes for a in artifacts),
        "stored": sum(a.stored for a in artifacts),
    }


def _compute(job: Job, store: Store, emit: Emit, stopped: Callable[[], bool], scratch: Path) -> dict[str, str]:
    stage = import_stage(job.target, job.stage_id, job.stage_id.partition(".")[0])
    params = validate_model(stage.Params, job.params)
    inputs = _open_inputs(job, store, stage.input_ports(params))
    context = Context(
        name=job.name,
        seed=job.seed,
        scratch=scratch,
        threads=job.threads,
        gpu=job.gpu,
        checkpoints=_StoredCheckpoints(store, job.key, writes=job.rank == 0),
        log=_logger(job, emit),
        report=lambda done, total, message: emit("progress", {"done": done, "total": total, "message": message}),
        stopped=stopped,
        rank=job.rank,
        ranks=job.ranks,
        rendezvous=job.rendezvous,
    )
    produced = stage().run(context, params, **inputs)
    if job.rank:
        return {}
    digests = {}
    for port, data in _matched(stage, produced):
        digests[port] = _stored(job, store, port, data, stage.output_ports(params)[port])
    if job.files and outside.digests(stage.files(params)) != job.files:
        raise StageFailed("a file that it reads changed meanwhile; nothing was recorded: run again")
    record = store.record(job.key, digests, {"stage": job.stage_id})
    if record.outputs != digests:
        context.log.warning("another run got different content for the same key: the stage is not deterministic")
    return record.outputs


def _logger(job: Job, emit: Emit) -> logging.Logger:
    log = logging.Logger(f"fieldloom.stage.{job.name}", logging.INFO)  # not registered: it goes with the job
    log.addHandler(StageLog(emit))
    return log


def _open_inputs(job: Job, store: Store, wanted: Mapping[str, Port]) -> dict[str, Any]:
    opened: dict[str, Any] = {}
    for port, items in job.inputs.items():
        owner = f"input {port!r} of {job.name}"

        def load(digest: str, port: str = port, owner: str = owner) -> Any:
            data = store.open(digest)
            ports.check(data, wanted[port], owner)
            return data

        if port in job.many:
            labels = labels_of([coords for coords, _ in items])
            opened[port] = Collection(
                {
                    label: (coords, lambda d=digest, load=load: load(d))  # type: ignore[misc]  # defaults bind the loop's values
                    for label, (coords, digest) in zip(labels, items, strict=True)
                }
            )
        else:
            opened[port] = load(items[0][1])
    return opened


def _matched(stage: type[Stage], produced: Any) -> Iterator[tuple[str, Any]]:
    if not isinstance(produced, Mapping) or set(produced) != set(stage.outputs):
        got = sorted(produced) if isinstance(produced, Mapping) else type(produced).__name__
        raise PortError(f"run() should return a mapping with {sorted(stage.outputs)}, got {got}")
    yield from produced.items()


def _stored(job: Job, store: Store, port: str, data: Any, contract: Port) -> str:
    """Check one output and store it. A stream is checked block by block, on its way to the disk."""
    import xarray as xr
    from fieldloom_storage import Stream

    owner = f"output {port!r} of {job.name}"
    if isinstance(data, Stream):

        def checked() -> Iterator[xr.Dataset]:
            for block in data.blocks:
                ports.check(block, contract, owner)
                yield block

        return store.put(Stream(data.dim, checked())).digest
    if not isinstance(data, xr.Dataset | xr.DataTree):
        raise PortError(f"{owner} should be an xarray Dataset or DataTree, or a Stream, got {type(data).__name__}")
    ports.check(data, contract, owner)
    return store.put(data).digest


def _innermost(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    inner = [frame for frame in frames if "/fieldloom/engine/" not in frame.filename]
    return f" (in {inner[-1].name}, {Path(inner[-1].filename).name}:{inner[-1].lineno})" if inner else ""
