"""What a run would do, and why: pure, and light enough to answer before anything heavy is imported."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from fieldloom_storage import Record, Store

from . import keys, outside
from .devices import device_class
from .errors import Problem, SpecError
from .expand import Instance, expand, resources_of
from .keys import Components, StageCode
from .references import Coords
from .registry import Registry
from .spec import Spec
from .stage import Resources, StageParams, path_fields

Outputs = dict[str, str]


@dataclass(slots=True)
class Item:
    """One instance in a plan.

    Parameters
    ----------
    status : {"cached", "run", "waits"}
        ``waits``: something upstream must run first; if that gives the same content as before, this is reused.
    why : list of str
        Reasons for running, in words.
    components : Components, optional
        What ``key`` is made of; neither is known while something upstream is not.
    seconds, stored : float, int, optional
        What earlier runs of the stage cost, on average.
    """

    instance: Instance
    status: str
    why: list[str] = field(default_factory=list)
    components: Components | None = None
    key: str | None = None
    outputs: Outputs = field(default_factory=dict)
    seconds: float | None = None
    stored: int | None = None


class Planner:
    """Resolves keys of instances as the outputs that they need become known."""

    def __init__(
        self, spec: Spec, registry: Registry, store: Store | None, instances: list[Instance] | None = None
    ) -> None:
        self.spec, self.registry, self.store = spec, registry, store
        self.instances = expand(spec, registry) if instances is None else instances
        self._codes: dict[str, StageCode] = {}
        self._dumped: dict[int, tuple[StageParams, dict[str, Any], dict[str, str]]] = {}
        self._coords = {instance.name: instance.coords for instance in self.instances}

    def code(self, stage_id: str) -> StageCode:
        """Fingerprint of a stage, computed once."""
        if stage_id not in self._codes:
            stage = self.registry.stage(stage_id)
            self._codes[stage_id] = keys.stage_code(
                stage_id, self.registry.target(stage_id), stage, device_class(stage)
            )
        return self._codes[stage_id]

    def resources(self, instance: Instance) -> Resources:
        """What the instance may use."""
        stage = self.registry.stage(instance.stage_id)
        return resources_of(self.spec.flow.stages[instance.step], stage, stage.ranks(instance.params))

    def inputs(self, instance: Instance, outputs: Mapping[str, Outputs]) -> dict[str, list[tuple[Coords, str]]]:
        """Digest of each input, with the coordinates of where it comes from."""
        return {
            port: [(self._coords[s.instance], outputs[s.instance][s.port]) for s in sources]
            for port, sources in instance.inputs.items()
        }

    def components(self, instance: Instance, outputs: Mapping[str, Outputs]) -> Components:
        """What the key of ``instance`` is made of, once everything upstream is known."""
        code = self.code(instance.stage_id)
        inputs = {
            port: keys.input_component(items, port in instance.many)
            for port, items in self.inputs(instance, outputs).items()
        }
        params, files = self._params(instance)
        return Components(code, params, instance.seed if code.random else None, inputs, files)

    def _params(self, instance: Instance) -> tuple[dict[str, Any], dict[str, str]]:
        """Canonical parameters, and digests of the files that they name; instances that share them share the work."""
        known = self._dumped.get(id(instance.params))
        if known is None:
            stage = self.registry.stage(instance.stage_id)
            places = set(path_fields(stage.Params))
            files = outside.digests(stage.files(instance.params)) if places else {}
            known = (instance.params, instance.params.model_dump(mode="json", exclude=places or None), files)
            self._dumped[id(instance.params)] = known
        return known[1], known[2]

    def check_files(self) -> None:
        """Look at the files outside the store that the instances read.

        Raises
        ------
        SpecError
            With every instance whose files are missing or cannot be read.
        """
        problems = []
        for instance in self.instances:
            try:
                self._params(instance)
            except (OSError, ValueError) as error:
                place = self.spec.place("stages", instance.step, "with")
                problems.append(Problem(place, f"{instance.stage_id}: {error}", "paths start at the current folder"))
        if problems:
            raise SpecError(problems)

    def shown(self, components: Components) -> Components:
        """The same with the values of environment variables masked: what may be stored and printed."""
        return replace(components, params=self.spec.masked(components.params))

    def reasons(self, instance: Instance, components: Components) -> list[str]:
        """Say why ``instance`` must run, by what was recorded when it last succeeded."""
        if self.store is None:
            return ["never run before"]
        before = self._last.get(instance.name)
        if before is None:
            return ["never run before"]
        if before["stage"] != instance.stage_id:
            return [f"stage {before['stage']} -> {instance.stage_id}"]
        functions = self.store.ledger.functions(before["code"] or "")
        changes = keys.differences(self.shown(components), before["info"], functions)
        return changes or ["its artifact is no longer in the store"]

    @cached_property
    def _last(self) -> dict[str, dict[str, Any]]:
        return self.store.ledger.last_of_flow(self.spec.flow.name) if self.store else {}

    def lookup(self, key: str, *, touch: bool) -> Record | None:
        """Find what was computed for ``key`` before."""
        return self.store.lookup(key, touch=touch) if self.store else None


@dataclass(slots=True)
class Plan:
    """The items of a plan in topological order, with the planner that resolves the rest during a run."""

    planner: Planner
    items: list[Item]
    seconds: float

    @property
    def missing(self) -> list[Item]:
        """Items that are not simply reused."""
        return [item for item in self.items if item.status != "cached"]

    def counts(self) -> dict[str, int]:
        """How many items have each status."""
        counts = {"cached": 0, "run": 0, "waits": 0}
        for item in self.items:
            counts[item.status] += 1
        return counts


def make_plan(
    spec: Spec,
    registry: Registry,
    store: Store | None,
    *,
    instances: list[Instance] | None = None,
    touch: bool = False,
) -> Plan:
    """Plan a run of ``spec`` against ``store``.

    Parameters
    ----------
    instances : list of Instance, optional
        The expanded spec, if it has been expanded already.
    touch : bool
        Keep what is found fresh for the garbage collector: for runs, not for a look.

    Raises
    ------
    SpecError
    """
    started = time.perf_counter()
    planner = Planner(spec, registry, store, instances)
    planner.check_files()
    outputs: dict[str, Outputs] = {}
    items = [_item(planner, instance, outputs, touch) for instance in planner.instances]
    if store is not None:
        _explain(planner, store, items)
    return Plan(planner, items, time.perf_counter() - started)


def _item(planner: Planner, instance: Instance, outputs: dict[str, Outputs], touch: bool) -> Item:
    waiting = sorted(name for name in instance.upstream if name not in outputs)
    if waiting:
        return Item(instance, "waits", [f"waits for {_listed(waiting)}"])
    components = planner.components(instance, outputs)
    key = components.key
    record = planner.lookup(key, touch=touch)
    if record is None:
        return Item(instance, "run", components=components, key=key)
    outputs[instance.name] = record.outputs
    return Item(instance, "cached", components=components, key=key, outputs=record.outputs)


def _explain(planner: Planner, store: Store, items: Iterable[Item]) -> None:
    missing = [item for item in items if item.status != "cached"]
    costs = store.ledger.costs() if missing else {}
    for item in missing:
        item.seconds, item.stored = costs.get(item.instance.stage_id, (None, None))
        if item.components is not None:
            item.why = planner.reasons(item.instance, item.components)


def _listed(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
