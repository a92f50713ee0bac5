"""Replace ``${...}`` in a spec. It looks names up; it never evaluates anything."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..errors import Problem, did_you_mean
from .source import Node

_REFERENCE = re.compile(r"\$\{\s*([^{}]*?)\s*\}")


def mentions(value: Any, prefix: str) -> bool:
    """Tell whether ``value`` (plain data) holds a reference that starts with ``prefix``."""
    if isinstance(value, str):
        return any(match[1].startswith(prefix) for match in _REFERENCE.finditer(value))
    if isinstance(value, dict):
        return any(mentions(item, prefix) for item in value.values())
    return isinstance(value, list) and any(mentions(item, prefix) for item in value)


def fill(value: Any, names: Mapping[str, Any]) -> Any:
    """Replace references to ``names`` in plain data; others stay. A value that is all reference keeps its type.

    Raises
    ------
    KeyError
        If a reference starts like one of ``names`` (``matrix.``) and is not among them.
    """
    if isinstance(value, dict):
        return {key: fill(item, names) for key, item in value.items()}
    if isinstance(value, list):
        return [fill(item, names) for item in value]
    if not isinstance(value, str) or "${" not in value:
        return value
    if (whole := _REFERENCE.fullmatch(value)) and whole[1] in names:
        return names[whole[1]]
    return _REFERENCE.sub(lambda m: str(names[m[1]]) if m[1] in names else m[0], value)


def fill_node(node: Node, names: Mapping[str, Node], problems: list[Problem], path: tuple[str, ...] = ()) -> Node:
    """Replace references in a node tree, keeping places. ``matrix.`` references stay for the expansion.

    Unknown names, and params that refer to themselves, become problems.
    """
    if isinstance(node.value, dict):
        items = {key: fill_node(item, names, problems, path) for key, item in node.value.items()}
        return Node(items, node.place, node.keys)
    if isinstance(node.value, list):
        return Node([fill_node(item, names, problems, path) for item in node.value], node.place)
    if not isinstance(node.value, str) or "${" not in node.value:
        return node
    if whole := _REFERENCE.fullmatch(node.value):
        found = _look_up(whole[1], node, names, problems, path)
        return node if found is None else Node(found.value, node.place, found.keys)

    def text(match: re.Match[str]) -> str:
        found = _look_up(match[1], node, names, problems, path)
        if found is None:
            return match[0]
        if isinstance(found.value, dict | list):
            problems.append(Problem(node.place, f"${{{match[1]}}} is a list or mapping and cannot be part of a text"))
        return str(found.value)

    return Node(_REFERENCE.sub(text, node.value), node.place)


def _look_up(
    name: str, node: Node, names: Mapping[str, Node], problems: list[Problem], path: tuple[str, ...]
) -> Node | None:
    if name.startswith("matrix."):
        return None
    full = name if name in names or name.startswith("env.") else f"params.{name}"
    if full in path:
        cycle = " -> ".join((*path[path.index(full) :], full)).replace("params.", "")
        problems.append(Problem(node.place, f"params refer to themselves: {cycle}"))
        return None
    if full not in names:
        hint = did_you_mean(name, [known.removeprefix("params.") for known in names])
        if name.startswith("env."):
            hint = f"list {name.removeprefix('env.')} under `env:` and set it in the environment"
        problems.append(Problem(node.place, f"${{{name}}} is not defined", hint))
        return None
    return fill_node(names[full], names, problems, (*path, full))
