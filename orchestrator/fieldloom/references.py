"""References between steps: ``step``, ``step.port``, ``step[axis=value].port``, ``step.*``."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from . import ports
from .errors import Place, did_you_mean
from .spec import StepSpec
from .stage import Port, Stage, StageParams

REFERENCE = re.compile(r"(?P<step>[A-Za-z][\w-]*)(\[(?P<where>[^\]]*)\])?(?P<all>\.\*)?(\.(?P<port>[A-Za-z]\w*))?")
Coords = Mapping[str, Any]
Report = Callable[[Place, str, str], None]


@dataclass(frozen=True, slots=True)
class Source:
    """Where one item of an input comes from: an instance and its output port."""

    instance: str
    port: str


@dataclass(slots=True)
class ExpandedStep:
    """A step with its stage, the values of its matrix, and its instances."""

    name: str
    spec: StepSpec
    stage: type[Stage]
    points: list[dict[str, Any]]
    names: list[str]
    params: list[StageParams] = field(default_factory=list)
    offers: list[Mapping[str, Port]] = field(default_factory=list)
    promises: list[dict[str, ports.Sizes]] = field(default_factory=list)
    index: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        self.index = {name: i for i, name in enumerate(self.names)}


class References:
    """Resolves references among the steps of a spec; what is wrong goes to ``report``.

    Parameters
    ----------
    known : collection of str
        Every step of the spec, also those that could not be expanded.
    steps : dict
        The steps expanded so far.
    """

    def __init__(self, known: Collection[str], steps: dict[str, ExpandedStep], report: Report) -> None:
        self._known, self._steps, self._problem = known, steps, report
        self._index: dict[tuple[str, ...], dict[tuple[float | str, ...], list[int]]] = {}

    def parse(self, text: str, place: Place) -> re.Match[str] | None:
        """Read a reference; None if it is none, or to a step that does not exist."""
        match = REFERENCE.fullmatch(text)
        if match is None:
            hint = "write step, step.port, step[axis=value].port or step.*"
            self._problem(place, f"{text!r} is not a reference", hint)
        elif match["step"] not in self._known:
            self._problem(place, f"there is no step {match['step']!r}", did_you_mean(match["step"], self._known))
            return None
        return match

    def resolve(self, text: str, point: Coords, place: Place) -> Iterator[Source]:
        """Yield the sources that ``text`` means in an instance at ``point`` of its own step's matrix."""
        match = self.parse(text, place)
        if match is None:
            return
        source = self._steps.get(match["step"])
        if source is None or len(source.promises) < len(source.points):
            return  # already reported
        port = self._output_port(source, match["port"], place)
        where = self._selection(source, match["where"], place)
        if port is None or where is None:
            return
        if not match["all"]:  # axes that both steps have go together
            where = {axis: axis_text(point[axis]) for axis in source.spec.matrix if axis in point} | where
        index = self._matches(source, where)
        if not index:
            self._problem(
                place,
                f"{text!r}: step {source.name!r} has no instance with "
                + ", ".join(f"{k}={v}" for k, v in where.items()),
                f"it has {_few(source.names)}",
            )
        elif len(index) > 1 and not match["all"]:
            free = [axis for axis in source.spec.matrix if axis not in where]
            self._problem(
                place,
                f"{text!r}: step {source.name!r} fans out along {', '.join(free)}",
                f"collect all with {source.name}.*, name one with {source.name}[{free[0]}=...], "
                "or give this step the same axis",
            )
            return
        for i in index:
            yield Source(source.names[i], port)

    def _output_port(self, source: ExpandedStep, port: str | None, place: Place) -> str | None:
        outputs = source.stage.outputs
        if port is None and len(outputs) == 1:
            return next(iter(outputs))
        if port is None:
            self._problem(
                place, f"step {source.name!r} has several outputs", f"write {source.name}.<port>: {', '.join(outputs)}"
            )
        elif port not in outputs:
            self._problem(place, f"{source.spec.uses} has no output {port!r}", did_you_mean(port, outputs))
        else:
            return port
        return None

    def _selection(self, source: ExpandedStep, where: str | None, place: Place) -> dict[str, str] | None:
        selected: dict[str, str] = {}
        for part in where.split(",") if where else ():
            axis, equals, value = (text.strip() for text in part.partition("="))
            if not equals or axis not in source.spec.matrix:
                self._problem(
                    place,
                    f"[{where}]: step {source.name!r} has no axis {axis!r}",
                    did_you_mean(axis, source.spec.matrix) or "it does not fan out",
                )
                return None
            selected[axis] = value
        return selected

    def _matches(self, source: ExpandedStep, where: Mapping[str, str]) -> list[int]:
        """Instances at the given coordinates; an index makes it fast for thousands."""
        axes = tuple(sorted(where))
        if not axes:
            return list(range(len(source.points)))
        table = self._index.setdefault((source.name, *axes), {})
        if not table:
            for i, point in enumerate(source.points):
                table.setdefault(tuple(_comparable(axis_text(point[axis])) for axis in axes), []).append(i)
        return table.get(tuple(_comparable(where[axis]) for axis in axes), [])


def instance_name(step: str, point: Coords) -> str:
    """Name an instance: ``wake[reynolds=60]``, or the step's name if it does not fan out."""
    if not point:
        return step
    return f"{step}[{','.join(f'{axis}={axis_text(value)}' for axis, value in point.items())}]"


def axis_text(value: Any) -> str:
    """Write a matrix value as it stands in YAML."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return str(value)


def _few(names: list[str]) -> str:
    return ", ".join(names[:6]) + (f", ... ({len(names)} in all)" if len(names) > 6 else "")


def _comparable(text: str) -> float | str:
    """Compare numbers by value: ``60`` in a reference finds 60.0 in the matrix."""
    try:
        return float(text)
    except ValueError:
        return text
