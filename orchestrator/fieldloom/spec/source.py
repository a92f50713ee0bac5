"""Read YAML into nodes that know where they stand, without constructing anything.

The subset is what a flow spec needs: mappings with string keys, sequences, and scalars by YAML 1.2's core
schema (``1e-4`` is a number, ``no`` and ``1:30`` are strings). Tags, duplicate keys, merge keys, deep
nesting, and anchors that multiply are refused with their place.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ..errors import Place, Problem, SpecError

MAX_BYTES = 2**20
MAX_DEPTH = 40
MAX_NODES = 200_000
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INT = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_CONSTANTS: dict[str, Any] = {
    "": None,
    "~": None,
    "null": None,
    "Null": None,
    "NULL": None,
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
    ".inf": float("inf"),
    "+.inf": float("inf"),
    "-.inf": float("-inf"),
    ".nan": float("nan"),
}


@dataclass(slots=True)
class Node:
    """A YAML value and its place; mappings hold nodes by key, and the places of the keys."""

    value: Any
    place: Place
    keys: dict[str, Place] = field(default_factory=dict)
    size: int = 1

    def plain(self) -> Any:
        """Return the value without places."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value

    def find(self, *path: str | int) -> Node:
        """Follow ``path`` as far as it goes."""
        node = self
        for step in path:
            try:
                node = node.value[step]
            except (KeyError, IndexError, TypeError):
                break
        return node

    def place_of(self, *path: str | int) -> Place:
        """Place of the key (or item) at the end of ``path``; of the nearest parent if it is not there."""
        parent = self.find(*path[:-1])
        if path and isinstance(parent.value, dict) and path[-1] in parent.keys:
            return parent.keys[str(path[-1])]
        return self.find(*path).place


def read(path: Path, shown: str | None = None) -> Node:
    """Parse the file at ``path``; ``shown`` is its name in messages.

    Raises
    ------
    SpecError
        If it cannot be read or is not in the accepted subset of YAML.
    """
    name = shown or str(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise _error(
                Place(name, 1, 1),
                f"the file has {path.stat().st_size:,} bytes; a spec may have {MAX_BYTES:,}",
                "keep data in files that a stage reads, not in the spec",
            )
        data = path.read_bytes()
    except OSError as error:
        raise _error(Place(name, 1, 1), f"cannot read the file: {error.strerror}") from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise _error(Place(name, line, 1), "the file is not UTF-8", "save it as UTF-8 text") from error
    return parse(text, name)


def parse(text: str, name: str) -> Node:
    """Parse ``text``; ``name`` stands for the file in places."""
    try:
        return _Parser(name).document(yaml.parse(text, Loader=_LOADER))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(name, mark.line + 1, mark.column + 1) if mark else Place(name, 1, 1)
        message = ", ".join(str(part) for part in (error.context, error.problem) if part)
        raise _error(place, f"not YAML: {message}", _syntax_hint(text, place)) from error
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n") + 1
        raise _error(Place(name, line, 1), f"a character that YAML forbids: {error.character!r}") from error


def _syntax_hint(text: str, place: Place) -> str:
    lines = text.splitlines()
    line = lines[place.line - 1] if place.line <= len(lines) else ""
    if line.lstrip().startswith("\t") or line.startswith("\t"):
        return "indent with spaces, not tabs"
    if ": " in line.partition(": ")[2] and not line.strip().startswith(("{", "[")):
        return "check the indentation, and quote a text that holds ': '"
    if "${" in line and "{" in line.replace("${", ""):
        return 'inside {...} write references in quotes: "${matrix.x}"'
    return ""


def _error(place: Place, message: str, hint: str = "") -> SpecError:
    return SpecError([Problem(place, message, hint)])


class _Parser:
    """Build nodes from PyYAML's events, counting depth and size as it goes."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._anchors: dict[str, Node] = {}
        self._nodes = 0

    def document(self, events: Iterator[Any]) -> Node:
        root = Node(None, Place(self._name, 1, 1))
        documents = 0
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise _error(self._place(event), "a second YAML document", "one spec a file: remove the '---'")
                root = self._node(next(events), events, 0)
        return root

    def _place(self, event: Any) -> Place:
        return Place(self._name, event.start_mark.line + 1, event.start_mark.column + 1)

    def _node(self, event: Any, events: Iterator[Any], depth: int) -> Node:
        place = self._place(event)
        if depth > MAX_DEPTH:
            raise _error(place, f"nested deeper than {MAX_DEPTH} levels")
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                raise _error(place, f"alias *{event.anchor} stands before, or inside, its anchor")
            target = self._anchors[event.anchor]
            self._count(target.size, place)
            return Node(target.value, place, target.keys, target.size)
        if event.tag is not None and event.tag != "!":
            raise _error(place, f"tag {event.tag!r} is not allowed", "a spec is data: write a plain value")
        self._count(1, place)
        if isinstance(event, yaml.ScalarEvent):
            node = Node(_scalar(event.value) if event.implicit[0] and not event.style else event.value, place)
        elif isinstance(event, yaml.SequenceStartEvent):
            node = self._sequence(place, events, depth)
        else:
            node = self._mapping(place, events, depth)
        if event.anchor:
            self._anchors[event.anchor] = node
        return node

    def _count(self, size: int, place: Place) -> None:
        self._nodes += size
        if self._nodes > MAX_NODES:
            raise _error(place, f"anchors expand to more than {MAX_NODES:,} values", "write fewer aliases")

    def _sequence(self, place: Place, events: Iterator[Any], depth: int) -> Node:
        items = []
        while not isinstance(event := next(events), yaml.SequenceEndEvent):
            items.append(self._node(event, events, depth + 1))
        return Node(items, place, size=1 + sum(item.size for item in items))

    def _mapping(self, place: Place, events: Iterator[Any], depth: int) -> Node:
        items: dict[str, Node] = {}
        keys: dict[str, Place] = {}
        while not isinstance(event := next(events), yaml.MappingEndEvent):
            key = self._node(event, events, depth + 1)
            if isinstance(key.value, bool | int | float):
                key.value = event.value  # `2: x` has the key "2"
            if not isinstance(key.value, str):
                raise _error(key.place, "a key must be a word", 'references in {...} want quotes: "${matrix.x}"')
            if key.value == "<<":
                raise _error(key.place, "merge keys are not supported", "use `include:` or repeat the entries")
            if key.value in items:
                raise _error(key.place, f"duplicate key {key.value!r}, first at line {keys[key.value].line}")
            items[key.value] = self._node(next(events), events, depth + 1)
            keys[key.value] = key.place
        return Node(items, place, keys, 1 + sum(item.size for item in items.values()))


def _scalar(text: str) -> Any:
    """Resolve a plain scalar by the core schema of YAML 1.2."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INT.fullmatch(text) and len(text) < 40:
        return int(text)
    if _FLOAT.fullmatch(text) and math.isfinite(float(text)):
        return float(text)
    return text
