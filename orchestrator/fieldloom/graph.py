"""The graph of a flow: steps and what flows between them, as text, Mermaid, DOT or SVG."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from html import escape
from typing import Any

_WIDTH, _HEIGHT, _GAP_X, _GAP_Y = 178, 52, 56, 18  # pixels


@dataclass(slots=True)
class Step:
    """A step in the graph: its stage, and how many of its instances have each status."""

    name: str
    stage: str
    count: int = 0
    upstream: set[str] = field(default_factory=set)
    statuses: dict[str, int] = field(default_factory=dict)


def graph_of(instances: Iterable[Any]) -> dict[str, Step]:
    """Group instances (of a plan) by step, in topological order."""
    steps: dict[str, Step] = {}
    for instance in instances:
        step = steps.setdefault(instance.step, Step(instance.step, instance.stage_id))
        step.count += 1
        step.upstream |= {name.partition("[")[0] for name in instance.upstream}
    return _sorted(steps)


def graph_of_run(rows: Mapping[str, Mapping[str, Any]]) -> dict[str, Step]:
    """Group the ledger's rows of a run by step, in topological order."""
    steps: dict[str, Step] = {}
    for row in rows.values():
        step = steps.setdefault(row["step"], Step(row["step"], row["stage"]))
        step.count += 1
        step.upstream |= {name.partition("[")[0] for name in row["info"].get("upstream", [])}
        step.statuses[row["status"]] = step.statuses.get(row["status"], 0) + 1
    return _sorted(steps)


def draw(steps: Mapping[str, Step], form: str) -> str:
    """Draw the graph as ``text``, ``mermaid``, ``dot`` or ``svg``."""
    return {"text": _text, "mermaid": _mermaid, "dot": _dot, "svg": svg}[form](steps)


def _sorted(steps: dict[str, Step]) -> dict[str, Step]:
    order = TopologicalSorter({name: step.upstream & set(steps) for name, step in steps.items()}).static_order()
    return {name: steps[name] for name in order}


def _label(step: Step) -> str:
    return f"{step.name} x {step.count}" if step.count > 1 else step.name


def _text(steps: Mapping[str, Step]) -> str:
    lines = []
    for step in steps.values():
        source = f"  <- {', '.join(sorted(step.upstream))}" if step.upstream else ""
        lines.append(f"{_label(step)}  ({step.stage}){source}")
    return "\n".join(lines)


def _mermaid(steps: Mapping[str, Step]) -> str:
    lines = ["flowchart LR"]
    lines += [f'  {step.name}["{_label(step)}<br/>{step.stage}"]' for step in steps.values()]
    lines += [f"  {other} --> {step.name}" for step in steps.values() for other in sorted(step.upstream)]
    return "\n".join(lines)


def _dot(steps: Mapping[str, Step]) -> str:
    lines = ["digraph flow {", "  rankdir=LR; node [shape=box];"]
    lines += [f'  "{step.name}" [label="{_label(step)}\\n{step.stage}"];' for step in steps.values()]
    lines += [f'  "{other}" -> "{step.name}";' for step in steps.values() for other in sorted(step.upstream)]
    return "\n".join([*lines, "}"])


def svg(steps: Mapping[str, Step]) -> str:
    """Draw the graph left to right: a step stands right of everything that it needs."""
    column: dict[str, int] = {}
    for name, step in steps.items():
        column[name] = 1 + max((column[other] for other in step.upstream if other in column), default=-1)
    columns: list[list[str]] = [[] for _ in range(max(column.values(), default=-1) + 1)]
    for name, index in column.items():
        columns[index].append(name)
    tallest = max(map(len, columns), default=1)
    place: dict[str, tuple[float, float]] = {}
    for i, names in enumerate(columns):
        offset = (tallest - len(names)) * (_HEIGHT + _GAP_Y) / 2
        for j, name in enumerate(_ordered(names, steps, place)):
            place[name] = (2 + i * (_WIDTH + _GAP_X), 2 + offset + j * (_HEIGHT + _GAP_Y))
    width = len(columns) * (_WIDTH + _GAP_X) - _GAP_X + 4
    height = tallest * (_HEIGHT + _GAP_Y) - _GAP_Y + 4
    edges = [
        _edge(place[other], place[name]) for name, s in steps.items() for other in sorted(s.upstream) if other in place
    ]
    boxes = [_box(step, *place[name]) for name, step in steps.items()]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="graph" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" height="{height:.0f}" role="img" aria-label="graph of the flow">'
        f"{''.join(edges)}{''.join(boxes)}</svg>"
    )


def _ordered(names: list[str], steps: Mapping[str, Step], place: Mapping[str, tuple[float, float]]) -> list[str]:
    """Put steps at the mean height of what they need: fewer crossings."""

    def height(name: str) -> float:
        heights = [place[other][1] for other in steps[name].upstream if other in place]
        return sum(heights) / len(heights) if heights else 0.0

    return sorted(names, key=height)


def _edge(start: tuple[float, float], end: tuple[float, float]) -> str:
    x0, y0, x1, y1 = start[0] + _WIDTH, start[1] + _HEIGHT / 2, end[0], end[1] + _HEIGHT / 2
    bend = max((x1 - x0) / 2, 20)
    return (
        f'<path class="edge" fill="none" stroke="#8894a6" stroke-width="1.5" '
        f'd="M{x0:.0f},{y0:.0f} C{x0 + bend:.0f},{y0:.0f} {x1 - bend:.0f},{y1:.0f} {x1:.0f},{y1:.0f}"/>'
    )


def _box(step: Step, x: float, y: float) -> str:
    status = _worst(step.statuses)
    return (
        f'<g class="step {status}"><rect x="{x:.0f}" y="{y:.0f}" width="{_WIDTH}" height="{_HEIGHT}" rx="7" '
        f'fill="#fff" stroke="{_COLOURS.get(status, "#8894a6")}" stroke-width="1.8"/>'
        f'<text x="{x + 12:.0f}" y="{y + 22:.0f}" font-size="13.5" font-weight="600" '
        f'fill="#1d2733">{escape(_label(step))}</text>'
        f'<text x="{x + 12:.0f}" y="{y + 40:.0f}" font-size="11.5" fill="#5b6878">{escape(step.stage)}</text></g>'
    )


_COLOURS = {"failed": "#c0392b", "skipped": "#b9a04a", "cancelled": "#b9a04a", "done": "#2c7a57", "cached": "#3d6fb4"}


def _worst(statuses: Mapping[str, int]) -> str:
    return next((status for status in _COLOURS if statuses.get(status)), "")
