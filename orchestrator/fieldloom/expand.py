"""From a spec to instances: matrix, references, parameters and port contracts, all checked without running.

Everything wrong is found at once and reported with its place in the spec.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from itertools import product
from typing import Any

from pydantic import ValidationError

from . import ports, units
from .errors import Place, PluginError, Problem, SpecError, StageNotFound, did_you_mean
from .references import REFERENCE, Coords, ExpandedStep, References, Source, axis_text, instance_name
from .registry import Registry
from .spec import Spec, StepSpec
from .spec.load import validate_model, validation_problems
from .spec.source import Node
from .spec.substitute import fill, mentions
from .stage import Port, Resources, Stage, StageParams


@dataclass(frozen=True, slots=True)
class Instance:
    """One computation to do: a step at one point of its matrix."""

    name: str
    step: str
    stage_id: str
    coords: Coords
    params: StageParams
    seed: int
    inputs: Mapping[str, tuple[Source, ...]]
    many: frozenset[str]
    after: tuple[str, ...]

    @property
    def upstream(self) -> set[str]:
        """Names of the instances that this one waits for."""
        return {source.instance for sources in self.inputs.values() for source in sources} | set(self.after)


def expand(spec: Spec, registry: Registry) -> list[Instance]:
    """Expand ``spec`` into its instances, in topological order.

    Raises
    ------
    SpecError
        With everything that is wrong: stages, matrix, references, cycles, parameters, ports.
    """
    return _Expansion(spec, registry).run()


def resources_of(step: StepSpec, stage: type[Stage], ranks: int = 1) -> Resources:
    """What an instance of ``step`` may use: the stage's declaration with the spec's changes."""
    declared, wanted = stage.resources, step.resources
    memory = wanted.memory or declared.memory
    gpu = declared.gpu if wanted.gpu is None else ("required" if wanted.gpu else "no")
    isolate = declared.isolate if step.isolate is None else step.isolate
    isolate = isolate or ranks > 1 or bool(memory or step.timeout)
    return Resources(wanted.cpus or declared.cpus, gpu, memory, isolate, ranks)


class _Expansion:
    def __init__(self, spec: Spec, registry: Registry) -> None:
        self._spec, self._registry = spec, registry
        self._problems: list[Problem] = list(spec.problems)
        self._steps: dict[str, ExpandedStep] = {}
        self._references = References({*spec.flow.stages, *spec.broken}, self._steps, self._problem)
        self._agreed: dict[tuple[Any, ...], tuple[Port, Port]] = {}  # checked pairs; holding them keeps ids unique

    def run(self) -> list[Instance]:
        for name, step in self._spec.flow.stages.items():
            if (stage := self._stage(name, step)) is not None:
                points = self._points(name, step)
                names = [instance_name(name, point) for point in points]
                self._steps[name] = ExpandedStep(name, step, stage, points, names)
        order = self._order()
        instances: list[Instance] = []
        for name in order:
            if name in self._steps:
                instances += self._instances(self._steps[name])
        if self._problems:
            raise SpecError(self._problems)
        return instances

    def _problem(self, place: Place, message: str, hint: str = "") -> None:
        self._problems.append(Problem(place, message, hint))

    def _stage(self, name: str, step: StepSpec) -> type[Stage] | None:
        try:
            return self._registry.stage(step.uses)
        except StageNotFound as error:
            message, _, hint = str(error).partition("; ")
            self._problem(self._spec.place("stages", name, "uses"), message, hint)
        except PluginError as error:
            self._problem(self._spec.place("stages", name, "uses"), str(error), "`fieldloom plugins` says more")
        return None

    def _points(self, name: str, step: StepSpec) -> list[dict[str, Any]]:
        for axis, values in step.matrix.items():
            place = self._spec.place("stages", name, "matrix", axis)
            if not values:
                self._problem(place, f"axis {axis!r} of the matrix is empty")
            if any(isinstance(value, dict | list) for value in values):
                self._problem(place, f"axis {axis!r} of the matrix should hold plain values")
            if len({axis_text(value) for value in values}) < len(values):
                self._problem(place, f"axis {axis!r} of the matrix repeats a value")
        return [dict(zip(step.matrix, values, strict=True)) for values in product(*step.matrix.values())]

    # -- order

    def _order(self) -> list[str]:
        graph = {name: self._upstream(name, step) for name, step in self._spec.flow.stages.items()}
        try:
            return list(TopologicalSorter(graph).static_order())
        except CycleError as error:
            cycle = list(reversed(error.args[1]))
            self._problem(
                self._spec.place("stages", cycle[0]),
                f"steps wait for each other: {' -> '.join(cycle)}",
                "an input or `after` of one of them must go",
            )
            raise SpecError(self._problems) from None

    def _upstream(self, name: str, step: StepSpec) -> set[str]:
        """Steps that ``name`` waits for; references that cannot be read are reported where they are resolved."""
        known = self._spec.flow.stages
        found = set()
        for i, other in enumerate(step.after):
            if other in known:
                found.add(other)
            elif other not in self._spec.broken:
                self._problem(
                    self._spec.place("stages", name, "after", i),
                    f"there is no step {other!r}",
                    did_you_mean(other, known),
                )
        for reference in step.inputs.values():
            for text in [reference] if isinstance(reference, str) else reference:
                match = REFERENCE.match(text)
                if match and match["step"] in known:
                    found.add(match["step"])
        return found

    # -- instances

    def _instances(self, step: ExpandedStep) -> Iterator[Instance]:
        self._validate_params(step)
        if not step.points or len(step.params) < len(step.points):  # already reported; the rest may be wrong, too
            self._check_input_names(step, step.stage.inputs)
            self._check_references(step)
            return
        inputs_vary = any(mentions(r, "matrix.") for r in step.spec.inputs.values())
        self._check_input_names(step, step.stage.input_ports(step.params[0]))
        after = tuple(n for other in step.spec.after if other in self._steps for n in self._steps[other].names)
        for i, point in enumerate(step.points):
            wanted = step.stage.input_ports(step.params[i])
            symbols: ports.Sizes = {}
            inputs = {
                port: tuple(self._sources(step, port, wanted[port], point, inputs_vary))
                for port in step.spec.inputs
                if port in wanted
            }
            for port, sources in inputs.items():
                self._check_ports(step, i, port, wanted[port], sources, symbols)
            offered = step.stage.output_ports(step.params[i])
            step.offers.append(offered)
            step.promises.append(ports.promised_sizes(offered, step.params[i], symbols))
            many = frozenset(port for port in inputs if wanted[port].many)
            yield Instance(
                step.names[i],
                step.name,
                step.spec.uses,
                point,
                step.params[i],
                self._seed(step, point),
                inputs,
                many,
                after,
            )

    def _validate_params(self, step: ExpandedStep) -> None:
        node = self._spec.root.find("stages", step.name)
        with_node = node.value.get("with") or Node({}, node.place)
        raw = step.spec.with_
        varies = mentions(raw, "matrix.")
        checked: StageParams | None = None
        for point in step.points:
            if checked is None or varies:
                checked = self._validated(
                    step, with_node, self._filled(step, raw, point, with_node.place) if varies else raw
                )
            if checked is not None:
                step.params.append(checked)

    def _filled(self, step: ExpandedStep, value: Any, point: Coords, place: Place) -> Any:
        filled = fill(value, {f"matrix.{axis}": item for axis, item in point.items()})
        if mentions(filled, "matrix."):
            text = next(self._unfilled(filled))
            axis = text.partition("matrix.")[2].partition("}")[0]
            self._problem(
                place,
                f"${{matrix.{axis}}}: step {step.name!r} has no matrix axis {axis!r}",
                did_you_mean(axis, point) or "the step has no matrix",
            )
        return filled

    def _unfilled(self, value: Any) -> Iterator[str]:
        if isinstance(value, str) and mentions(value, "matrix."):
            yield value
        for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            yield from self._unfilled(item)

    def _validated(self, step: ExpandedStep, node: Node, raw: dict[str, Any]) -> StageParams | None:
        model = step.stage.Params
        values = dict(raw)
        filled = Node(
            {
                k: Node(v, node.find(k).place) if not isinstance(v, dict | list) else node.value.get(k, node)
                for k, v in raw.items()
            },
            node.place,
            node.keys,
        )
        for name, info in model.model_fields.items():
            extra = info.json_schema_extra
            if isinstance(extra, dict) and "unit" in extra and isinstance(values.get(name), str):
                try:
                    values[name] = units.convert(values[name], str(extra["unit"]))
                except ValueError as error:
                    self._problem(node.find(name).place, f"{step.spec.uses}: {name}: {error}", info.description or "")
                    return None
        try:
            validated = validate_model(model, values)
        except ValidationError as error:
            self._problems += validation_problems(error, filled, model, (step.spec.uses,))
            return None
        except (TypeError, ValueError) as error:  # not JSON, or a model validator that raises something else
            self._problem(node.place, f"{step.spec.uses}: {error}")
            return None
        assert isinstance(validated, StageParams)
        return validated

    def _seed(self, step: ExpandedStep, point: Coords) -> int:
        seed = step.spec.seed
        if isinstance(seed, str):
            place = self._spec.place("stages", step.name, "seed")
            seed = self._filled(step, seed, point, place)
            if not isinstance(seed, int) or isinstance(seed, bool):
                self._problem(place, f"seed should be a whole number, got {seed!r}")
                return 0
        return self._spec.flow.seed if seed is None else seed

    # -- references

    def _check_references(self, step: ExpandedStep) -> None:
        for port, given in step.spec.inputs.items():
            for text in [given] if isinstance(given, str) else given:
                if not mentions(text, "matrix."):
                    self._references.parse(text, self._spec.place("stages", step.name, "inputs", port))

    def _check_input_names(self, step: ExpandedStep, wanted: Mapping[str, Port]) -> None:
        for port in step.spec.inputs:
            if port not in wanted:
                self._problem(
                    self._spec.place("stages", step.name, "inputs", port),
                    f"{step.spec.uses} has no input {port!r}",
                    did_you_mean(port, wanted),
                )
        for port in wanted:
            if port not in step.spec.inputs:
                offers = [f"{n}.{p}" for n, s in self._steps.items() if n != step.name for p in s.stage.outputs]
                self._problem(
                    self._spec.place("stages", step.name),
                    f"input {port!r} of {step.spec.uses} is not given",
                    f"write inputs: {{{port}: <step>.<port>}}; {did_you_mean(port, offers)}",
                )

    def _sources(self, step: ExpandedStep, port: str, contract: Port, point: Coords, vary: bool) -> Iterator[Source]:
        given = step.spec.inputs[port]
        place = self._spec.place("stages", step.name, "inputs", port)
        references = [given] if isinstance(given, str) else given
        if vary:
            references = [self._filled(step, text, point, place) for text in references]
        found = [source for text in references for source in self._references.resolve(text, point, place)]
        if len(found) > 1 and not contract.many:
            self._problem(
                place,
                f"input {port!r} of {step.spec.uses} takes one instance, not {len(found)}",
                "name one, step[axis=value], or give this step the same matrix",
            )
        yield from found

    def _check_ports(
        self, step: ExpandedStep, i: int, port: str, wanted: Port, sources: tuple[Source, ...], symbols: ports.Sizes
    ) -> None:
        place = self._spec.place("stages", step.name, "inputs", port)
        for source in sources:
            producer = self._steps[source.instance.partition("[")[0]]
            i_source = producer.index[source.instance]
            offered, promised = producer.offers[i_source][source.port], producer.promises[i_source][source.port]
            problems = [*ports.bind_symbols(wanted, promised, step.params[i], symbols)]
            pair = (id(offered), id(wanted), tuple(sorted(promised.items())))
            if pair not in self._agreed:
                self._agreed[pair] = (offered, wanted)
                problems += ports.disagreements(offered, wanted, promised)
            for problem in problems:
                label = f"input {port!r} of {step.spec.uses} does not fit {source.instance}.{source.port}"
                self._problem(place, f"{label}: {problem}")
