"""What is installed, documented from the code: stages with their parameters and ports."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from .registry import Registry
from .stage import Port, Stage


def stage_document(registry: Registry, stage_id: str) -> dict[str, Any]:
    """Describe a stage in JSON types.

    Raises
    ------
    StageNotFound, PluginError
    """
    stage = registry.stage(stage_id)
    plugin = registry.plugin_of(stage_id)
    text = inspect.cleandoc(stage.__doc__ or "")
    return {
        "id": stage_id,
        "plugin": f"{plugin.distribution} {plugin.version}",
        "summary": text.partition("\n")[0],
        "description": text,
        "parameters": _parameters(stage),
        "inputs": _ports(stage.inputs),
        "outputs": _ports(stage.outputs),
        "random": stage.random,
        "cache_version": stage.cache_version,
        "affects": list(stage.affects),
        "cpus": stage.resources.cpus,
        "gpu": stage.resources.gpu,
        "isolated": stage.resources.isolate,
    }


def _parameters(stage: type[Stage]) -> list[dict[str, Any]]:
    schema = stage.Params.model_json_schema()
    required = set(schema.get("required", []))
    found = []
    for name, field in schema.get("properties", {}).items():
        found.append(
            {
                "name": name,
                "type": _type(field),
                "unit": field.get("unit", ""),
                "required": name in required,
                "default": field.get("default"),
                "bounds": _bounds(field),
                "description": field.get("description", ""),
            }
        )
    return found


def _type(field: Mapping[str, Any]) -> str:
    if "enum" in field:
        return " | ".join(map(repr, field["enum"]))
    if "const" in field:
        return repr(field["const"])
    if "anyOf" in field:
        return " | ".join(_type(option) for option in field["anyOf"])
    if field.get("type") == "array":
        items = field.get("prefixItems")
        return f"[{', '.join(map(_type, items))}]" if items else f"list of {_type(field.get('items', {}))}"
    return str(field.get("type", "object"))


def _bounds(field: Mapping[str, Any]) -> str:
    words = {
        "exclusiveMinimum": "> {}",
        "minimum": "≥ {}",
        "exclusiveMaximum": "< {}",
        "maximum": "≤ {}",
        "minLength": "at least {} long",
        "pattern": "like {}",
    }
    return ", ".join(text.format(field[key]) for key, text in words.items() if key in field)


def _ports(ports: Mapping[str, Port]) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "description": port.description,
            "many": port.many,
            "tree": port.tree,
            "files": port.files,
            "sizes": dict(port.sizes),
            "attrs": list(port.attrs),
            "variables": [
                {
                    "name": v,
                    "dims": [str(d) if d is not ... else "..." for d in variable.dims],
                    "dtype": variable.dtype,
                    "units": variable.units,
                    "optional": variable.optional,
                    "description": variable.description,
                }
                for v, variable in port.variables.items()
            ],
        }
        for name, port in ports.items()
    ]


def stage_text(registry: Registry, stage_id: str) -> str:
    """Describe a stage in Markdown, for the terminal and the reference page."""
    document = stage_document(registry, stage_id)
    lines = [f"## {stage_id}", "", document["description"], "", f"From {document['plugin']}.", "", "### Parameters", ""]
    for item in document["parameters"]:
        unit = f" [{item['unit']}]" if item["unit"] else ""
        value = "required" if item["required"] else f"default {item['default']!r}"
        bounds = f", {item['bounds']}" if item["bounds"] else ""
        lines.append(f"- `{item['name']}`{unit}: {item['type']}, {value}{bounds}. {item['description']}")
    if not document["parameters"]:
        lines.append("None.")
    for kind in ("inputs", "outputs"):
        lines += ["", f"### {kind.capitalize()}", ""]
        lines += [line for port in document[kind] for line in _port_lines(port)] or ["None."]
    return "\n".join(lines)


def _port_lines(port: Mapping[str, Any]) -> list[str]:
    form = "DataTree" if port["tree"] else "files" if port["files"] else "Dataset"
    head = f"- `{port['name']}` ({form}{', any number of instances' if port['many'] else ''}): {port['description']}"
    lines = [head]
    for variable in port["variables"]:
        units = f", {variable['units']}" if variable["units"] else ""
        optional = ", optional" if variable["optional"] else ""
        about = f": {variable['description']}" if variable["description"] else ""
        lines.append(
            f"    - `{variable['name']}` ({', '.join(variable['dims'])}), {variable['dtype']}{units}{optional}{about}"
        )
    return lines


def reference_page(registry: Registry) -> str:
    """The reference of every installed stage in Markdown."""
    sections = [stage_text(registry, stage_id) for stage_id in registry.stages]
    return "\n\n".join(["# Stages", *sections]) + "\n"
