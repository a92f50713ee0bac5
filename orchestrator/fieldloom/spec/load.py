"""From a file to a checked :class:`Spec`: includes, overrides, substitution, structure."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from ..errors import Place, Problem, SpecError, did_you_mean
from .model import FlowSpec
from .source import Node, parse, read
from .substitute import fill_node

_MAX_INCLUDES = 50


@dataclass(frozen=True, slots=True)
class Spec:
    """A flow spec whose structure is valid, but for the steps in ``broken``, whose ``problems`` are known.

    ``root`` knows the places; ``secrets`` maps the values of environment variables to their names.
    """

    flow: FlowSpec
    root: Node
    path: Path
    text: str
    params: dict[str, Any]
    secrets: dict[str, str]
    problems: tuple[Problem, ...] = ()
    broken: frozenset[str] = frozenset()

    def place(self, *path: str | int) -> Place:
        """Place of a key of the spec, such as ``("stages", "wake", "with", "reynolds")``."""
        return self.root.place_of(*path)

    def masked(self, value: Any) -> Any:
        """Replace the values of environment variables in ``value`` by ``${env.NAME}``."""
        return mask(value, self.secrets)


def mask(value: Any, secrets: Mapping[str, str]) -> Any:
    """Replace secrets in texts, at any depth of plain data."""
    if not secrets:
        return value
    if isinstance(value, str):
        for secret, name in secrets.items():
            value = value.replace(secret, f"${{env.{name}}}")
        return value
    if isinstance(value, dict):
        return {key: mask(item, secrets) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [mask(item, secrets) for item in value]
    return value


def load(path: str | os.PathLike[str], overrides: Mapping[str, Any] | None = None, *, partial: bool = False) -> Spec:
    """Load the flow spec at ``path``.

    Parameters
    ----------
    overrides : mapping, optional
        Values by dotted name: a param (``reynolds``, ``mesh.size``) or a place in the spec
        (``stages.wake.with.duration``).
    partial : bool
        Return what can be read of a spec with errors, so that the expansion finds the rest and raises all.

    Raises
    ------
    SpecError
        With everything that is wrong.
    """
    file = Path(path)
    root = _with_includes(file, str(path), ())
    problems: list[Problem] = []
    for name, value in (overrides or {}).items():
        _override(root, name, value, problems)
    secrets, names = _names(root, problems)
    filled, broken = _filled(root, names, problems)
    flow = _validate(filled, problems, broken)
    if flow is None or (problems and not partial):
        raise SpecError(problems)
    text = file.read_text("utf-8-sig")
    return Spec(flow, filled, file, text, flow.params, secrets, tuple(problems), frozenset(broken))


def _filled(root: Node, names: dict[str, Node], problems: list[Problem]) -> tuple[Node, set[str]]:
    """Replace references, step by step; also return the steps in which one is wrong."""
    broken: set[str] = set()
    stages = root.find("stages")
    if not isinstance(root.value, dict) or "stages" not in root.value or not isinstance(stages.value, dict):
        return fill_node(root, names, problems), broken
    steps = {}
    for name, node in stages.value.items():
        before = len(problems)
        steps[name] = fill_node(node, names, problems)
        if len(problems) > before:
            broken.add(name)
    rest = Node({key: node for key, node in root.value.items() if key != "stages"}, root.place, root.keys)
    filled = fill_node(rest, names, problems)
    filled.value["stages"] = Node(steps, stages.place, stages.keys)
    return filled, broken


def parse_overrides(settings: list[str]) -> dict[str, Any]:
    """Parse ``["a.b=3", ...]`` of the command line; values are YAML.

    Raises
    ------
    SpecError
    """
    overrides: dict[str, Any] = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals or not name.strip():
            raise SpecError(
                [Problem(Place("--set", 0, 0), f"{setting!r} is not NAME=VALUE", "e.g. --set reynolds=100")]
            )
        overrides[name.strip()] = parse(value, f"--set {name.strip()}").plain()
    return overrides


def validation_problems(
    error: ValidationError, node: Node, model: type[BaseModel], prefix: tuple[str | int, ...] = ()
) -> list[Problem]:
    """Turn pydantic's errors about the value of ``node`` into problems with places and suggestions."""
    problems = []
    for item in error.errors(include_url=False, include_context=True):
        path = tuple(part for part in item["loc"] if part != "[key]")
        place = node.place_of(*path)
        label = ".".join(map(str, (*prefix, *path)))
        if item["type"] == "extra_forbidden":
            known = _known_fields(model, path[:-1])
            owner = label.rpartition(".")[0] or "the spec"
            problems.append(Problem(place, f"unknown key {path[-1]!r} in {owner}", did_you_mean(str(path[-1]), known)))
        elif item["type"] == "missing":
            problems.append(Problem(place, f"{label} is missing", _description(model, path)))
        else:
            if isinstance(node.find(*path[:-1]).value, dict):
                place = node.find(*path).place
            got = json.dumps(_short(item["input"]), default=str, ensure_ascii=False)
            message = item["msg"].removeprefix("Value error, ").replace("Input should", "should")
            if item["type"] == "too_short":
                message = "needs at least one entry"
            if not isinstance(item["input"], dict):  # what a model as a whole objects to says so itself
                message += f", got {got}"
            problems.append(Problem(place, f"{label}: {message}", _description(model, path)))
    return problems


def _short(value: Any) -> Any:
    text = str(value)
    return value if len(text) < 80 else text[:77] + "..."


def _known_fields(model: type[BaseModel], path: tuple[str | int, ...]) -> list[str]:
    for part in path:
        inner = _inner_model(model, part)
        if inner is not None:
            model = inner
    return [field.alias or name for name, field in model.model_fields.items()]


def _inner_model(model: type[BaseModel], part: str | int) -> type[BaseModel] | None:
    """The model behind a field, also behind ``dict[str, Model]``; None for anything else."""
    for name, field in model.model_fields.items():
        if part in (name, field.alias):
            candidates = [field.annotation, *getattr(field.annotation, "__args__", ())]
            return next((c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)), None)
    return None


def _description(model: type[BaseModel], path: tuple[str | int, ...]) -> str:
    for part in path[:-1]:
        model = _inner_model(model, part) or model
    field = next((f for n, f in model.model_fields.items() if path and path[-1] in (n, f.alias)), None)
    return (field.description or "") if field else ""


def validate_model(model: type[BaseModel], data: Any) -> BaseModel:
    """Validate plain data by JSON's strict rules: ``"3"`` is no number, a list is a tuple.

    Raises
    ------
    pydantic.ValidationError
    """
    return model.model_validate_json(json.dumps(data), strict=True)


def _validate(node: Node, problems: list[Problem], broken: set[str]) -> FlowSpec | None:
    """Validate the structure; steps with errors are added to ``broken`` and left out, if that is all that is wrong."""
    if not isinstance(node.value, dict):
        hint = "see docs/spec.md for an example"
        problems.append(Problem(node.place, "a flow spec is a mapping with `name:` and `stages:`", hint))
        return None
    data = node.plain()
    try:
        flow = validate_model(FlowSpec, data)
    except ValidationError as error:
        problems += validation_problems(error, node, FlowSpec)
        for item in error.errors(include_url=False, include_context=False):
            if item["loc"][0] == "stages" and len(item["loc"]) > 1:
                broken.add(str(item["loc"][1]))
            elif item["type"] == "extra_forbidden":
                data.pop(item["loc"][0])
            else:
                return None
    intact = {name: step for name, step in (data.get("stages") or {}).items() if name not in broken}
    if not intact:
        return None
    flow = validate_model(FlowSpec, {**data, "stages": intact})
    assert isinstance(flow, FlowSpec)
    return flow


def _with_includes(file: Path, shown: str, parents: tuple[Path, ...]) -> Node:
    """Read ``file`` and merge what it includes: its own params win, a stage may be defined once."""
    root = read(file, shown)
    included = root.find("include")
    if not isinstance(root.value, dict) or not isinstance(included.value, list):
        return root
    for item in included.value:
        target = (file.parent / str(item.value)).resolve()
        chain = (*parents, file.resolve())
        if target in chain or len(chain) > _MAX_INCLUDES:
            cycle = " -> ".join(p.name for p in (*chain, target))
            raise SpecError([Problem(item.place, f"includes form a cycle: {cycle}")])
        if not target.is_file():
            raise SpecError(
                [Problem(item.place, f"include {str(item.value)!r}: no file {target.name} in {file.parent}")]
            )
        _merge(root, _with_includes(target, str(file.parent / str(item.value)), chain), item.place)
    return root


def _merge(root: Node, other: Node, place: Place) -> None:
    for section in ("params", "env", "stages"):
        theirs = other.find(section) if isinstance(other.value, dict) else other
        if not isinstance(other.value, dict) or section not in other.value or theirs.value is None:
            continue
        if section not in root.value:
            root.value[section], root.keys[section] = Node(type(theirs.value)(), place), place
        ours = root.value[section]
        if isinstance(theirs.value, list):
            ours.value.extend(theirs.value)
            continue
        for key, node in theirs.value.items():
            if section == "stages" and key in ours.value:
                raise SpecError(
                    [
                        Problem(
                            ours.keys[key], f"stage {key!r} is also defined at {theirs.keys[key]}", "rename one of them"
                        )
                    ]
                )
            if key not in ours.value:
                ours.value[key], ours.keys[key] = node, theirs.keys[key]


def _override(root: Node, name: str, value: Any, problems: list[Problem]) -> None:
    parts = name.split(".")
    path = parts if parts[0] in ("stages", "seed", "params") else ["params", *parts]
    place = Place(f"--set {name}", 0, 0)
    parent = root
    for part in path[:-1]:
        if not isinstance(parent.value, dict) or part not in parent.value:
            if isinstance(parent.value, dict) and part == "with":  # a step may have no `with:` yet
                parent.value[part] = Node({}, place)
            else:
                problems.append(_unknown_override(root, name, place))
                return
        parent = parent.value[part]
    in_with = len(path) > 2 and path[0] == "stages" and path[-2] == "with"
    if not isinstance(parent.value, dict) or (path[-1] not in parent.value and not in_with and path[0] == "params"):
        problems.append(_unknown_override(root, name, place))
        return
    parent.value[path[-1]] = _node(value, place)
    parent.keys[path[-1]] = place


def _unknown_override(root: Node, name: str, place: Place) -> Problem:
    parts = name.split(".")
    if parts[0] == "stages" and len(parts) > 1:
        steps = root.find("stages").value
        hint = did_you_mean(parts[1], steps) if parts[1] not in steps else "write stages.<step>.with.<parameter>=..."
        return Problem(place, f"there is no {name!r} in the spec", hint)
    params = root.find("params").value
    known = list(params) if isinstance(params, dict) and "params" in root.value else []
    return Problem(place, f"the spec has no param {name!r}", did_you_mean(name, known) or "it declares no params")


def _node(value: Any, place: Place) -> Node:
    if isinstance(value, Mapping):
        return Node({str(k): _node(v, place) for k, v in value.items()}, place, {str(k): place for k in value})
    if isinstance(value, list | tuple):
        return Node([_node(item, place) for item in value], place)
    return Node(value, place)


def _names(root: Node, problems: list[Problem]) -> tuple[dict[str, str], dict[str, Node]]:
    """What ``${...}`` may refer to: params (nested ones by dotted name) and the listed environment variables."""
    names: dict[str, Node] = {}
    secrets: dict[str, str] = {}

    def walk(prefix: str, node: Node) -> None:
        names[prefix] = node
        if isinstance(node.value, dict):
            for key, item in node.value.items():
                walk(f"{prefix}.{key}", item)

    if not isinstance(root.value, dict):
        return secrets, names
    params = root.value.get("params")
    for key, node in params.value.items() if params and isinstance(params.value, dict) else ():
        walk(f"params.{key}", node)
    env = root.value.get("env")
    for node in env.value if env and isinstance(env.value, list) else ():
        value = os.environ.get(str(node.value))
        if value is None:
            problems.append(
                Problem(node.place, f"environment variable {node.value} is not set", f"export {node.value}=...")
            )
        else:
            names[f"env.{node.value}"] = Node(value, node.place)
            if value:
                secrets[value] = str(node.value)
    return secrets, names
