"""Which instance runs when: dependencies, early cut-off, batches, and what fits on the machine. No Prefect here."""

from __future__ import annotations

import queue
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from ..events import InstanceEvent
from ..expand import Instance
from ..keys import Components
from ..plan import Outputs, Plan, Planner
from ..stage import Resources

_BATCH_ABOVE = 32  # instances of a step that are each a task of their own; more are grouped
_PATIENCE = 8.0  # seconds for running stages to end after a stop
_BATCHES = 16  # tasks that a larger fan-out becomes


@dataclass(slots=True)
class Work:
    """An instance whose inputs are known and whose result is not."""

    instance: Instance
    components: Components
    key: str
    inputs: dict[str, list[tuple[dict[str, Any], str]]]
    resources: Resources
    why: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Batch:
    """Instances of one step that are run one after another as one task."""

    number: int
    step: str
    works: list[Work]
    upstream: set[str]
    results: dict[str, dict[str, Any]] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    attempts: int = 0
    reported: bool = False

    @property
    def name(self) -> str:
        first = self.works[0].instance.name
        return first if len(self.works) == 1 else f"{first} ... {self.works[-1].instance.name} ({len(self.works)})"


class Submit(Protocol):
    """Start a batch somewhere; put it into ``completed`` once it has ended."""

    def __call__(self, batch: Batch, completed: queue.SimpleQueue[Batch]) -> None: ...


@dataclass(slots=True)
class Limits:
    """How much runs at once."""

    workers: int
    cpus: int
    gpus: int = 0


class Scheduler:
    """Brings a plan to its end.

    Parameters
    ----------
    submit : Submit
        Starts a batch.
    observe : callable
        Is told of instances that are reused or skipped.
    stopped : callable
        Whether to start nothing more.
    """

    def __init__(
        self,
        plan: Plan,
        submit: Submit,
        limits: Limits,
        observe: Callable[[InstanceEvent, Work | None], None],
        stopped: Callable[[], bool],
    ) -> None:
        self._planner: Planner = plan.planner
        self._submit, self._limits, self._observe, self._stopped = submit, limits, observe, stopped
        self.outputs: dict[str, Outputs] = {i.instance.name: i.outputs for i in plan.items if i.status == "cached"}
        self.failed: dict[str, str] = {}
        self.skipped: dict[str, str] = {}
        self.instances = {item.instance.name: item.instance for item in plan.missing}
        self._pending = {n: {u for u in i.upstream if u in self.instances} for n, i in self.instances.items()}
        self._dependents: dict[str, list[str]] = {}
        for name, upstream in self._pending.items():
            for other in upstream:
                self._dependents.setdefault(other, []).append(name)
        self._ready: dict[str, deque[Work]] = {}
        self._step_sizes: dict[str, int] = {}
        for instance in self.instances.values():
            self._step_sizes[instance.step] = self._step_sizes.get(instance.step, 0) + 1
        self._running: dict[int, Resources] = {}
        self._batches = 0

    def run(self) -> bool:
        """Run until nothing is left that can; False if a stage did not end when it was told to stop."""
        give_up_at: float | None = None
        completed: queue.SimpleQueue[Batch] = queue.SimpleQueue()
        self._resolve([name for name, pending in self._pending.items() if not pending])
        while True:
            self._start(completed)
            if not self._running:
                break
            try:
                batch = completed.get(timeout=0.2)  # wakes up to notice a stop, and Ctrl-C
            except queue.Empty:
                if self._stopped():
                    give_up_at = give_up_at or time.monotonic() + _PATIENCE
                    if time.monotonic() > give_up_at:
                        break
                continue
            self._finish(batch)
        for name in self.instances:
            if name not in self.outputs and name not in self.failed and name not in self.skipped:
                self._skip(name, "the run was stopped")
        return not self._running

    def _resolve(self, names: list[str]) -> None:
        """Compute the keys of instances whose inputs are all there; reuse what is known by now."""
        waiting = deque(names)
        while waiting:
            name = waiting.popleft()
            instance = self.instances[name]
            blocked = next((u for u in sorted(instance.upstream) if u not in self.outputs), None)
            if blocked is not None:
                self._skip(name, f"{blocked} did not finish")
                waiting += self._release(name)
                continue
            components = self._planner.components(instance, self.outputs)
            inputs = {
                port: [(dict(c), d) for c, d in items]
                for port, items in self._planner.inputs(instance, self.outputs).items()
            }
            work = Work(instance, components, components.key, inputs, self._planner.resources(instance))
            record = self._planner.lookup(work.key, touch=True)
            if record is not None:
                self.outputs[name] = record.outputs
                self._observe(InstanceEvent("cached", name, instance.stage_id, {"outputs": record.outputs}), work)
                waiting += self._release(name)
            else:
                work.why = self._planner.reasons(instance, components)
                self._ready.setdefault(instance.step, deque()).append(work)

    def _release(self, name: str) -> list[str]:
        free = []
        for other in self._dependents.get(name, ()):
            self._pending[other].discard(name)
            if not self._pending[other]:
                free.append(other)
        return free

    def _skip(self, name: str, reason: str) -> None:
        self.skipped[name] = reason
        stage_id = self.instances[name].stage_id
        self._observe(InstanceEvent("skipped", name, stage_id, {"reason": reason}), None)

    def _start(self, completed: queue.SimpleQueue[Batch]) -> None:
        for step, works in self._ready.items():
            while works and not self._stopped() and self._fits(works[0].resources):
                size = self._batch_size(step)
                group = [works.popleft() for _ in range(min(size, len(works)))]
                upstream = {name for work in group for name in work.instance.upstream}
                batch = Batch(self._batches, step, group, upstream)
                self._batches += 1
                self._running[batch.number] = group[0].resources
                self._submit(batch, completed)

    def _batch_size(self, step: str) -> int:
        given = self._planner.spec.flow.stages[step].batch
        if given:
            return given
        size = self._step_sizes[step]
        return 1 if size <= _BATCH_ABOVE else -(-size // _BATCHES)

    def _fits(self, wanted: Resources) -> bool:
        if not self._running:
            return True  # alone, everything may run
        if len(self._running) >= self._limits.workers:
            return False
        used = sum(resources.cpus * resources.ranks for resources in self._running.values())
        gpus = sum(resources.ranks for resources in self._running.values() if resources.gpu != "no")
        fits_gpu = wanted.gpu == "no" or self._limits.gpus == 0 or gpus + wanted.ranks <= self._limits.gpus
        return used + wanted.cpus * wanted.ranks <= max(self._limits.cpus, self._limits.workers) and fits_gpu

    def _finish(self, batch: Batch) -> None:
        del self._running[batch.number]
        freed: list[str] = []
        for work in batch.works:
            name = work.instance.name
            if name in batch.results:
                self.outputs[name] = batch.results[name]["outputs"]
            else:
                self.failed[name] = batch.errors.get(name, "its task ended before it ran")
                if name not in batch.errors:  # the engine failed, not the stage: nobody has recorded it
                    event = InstanceEvent("failed", name, work.instance.stage_id, {"error": self.failed[name]})
                    self._observe(event, work)
            freed += self._release(name)
        self._resolve(freed)
