"""The JSON schema of flow specs, from the models and from every installed stage. Editors check specs with it."""

from __future__ import annotations

from typing import Any

from .errors import PluginError
from .reference import stage_document
from .registry import Registry
from .spec.model import FlowSpec
from .stage import Stage

_REFERENCE = {"type": "string", "pattern": r"\$\{[^{}]+\}", "description": "A reference: ${param}, ${matrix.axis}."}


def flow_schema(registry: Registry) -> dict[str, Any]:
    """Build the schema (JSON Schema 2020-12); a value may be a ``${...}`` reference wherever a number may stand."""
    schema = FlowSpec.model_json_schema(by_alias=True)
    definitions = schema["$defs"]
    step = definitions["StepSpec"]
    step["properties"]["uses"] |= {"enum": registry.stages}
    step["properties"]["matrix"]["additionalProperties"] = {"anyOf": [{"type": "array", "minItems": 1}, _REFERENCE]}
    for name in ("seed", "retries", "timeout", "retry_delay", "batch"):
        _allow_reference(step["properties"], name)
    step["allOf"] = []
    for stage_id in registry.stages:
        try:
            stage = registry.stage(stage_id)
        except PluginError:
            continue  # `fieldloom plugins` reports it
        step["allOf"].append(_rule(registry, stage_id, stage, definitions))
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "fieldloom flow spec", **schema}


def _rule(registry: Registry, stage_id: str, stage: type[Stage], definitions: dict[str, Any]) -> dict[str, Any]:
    """If a step uses this stage, then ``with`` are its parameters and ``inputs`` its ports."""
    params = stage.Params.model_json_schema(by_alias=True, ref_template=f"#/$defs/{stage_id}.{{model}}")
    definitions |= {f"{stage_id}.{name}": definition for name, definition in params.pop("$defs", {}).items()}
    for name in params.get("properties", {}):
        _allow_reference(params["properties"], name)
    params["description"] = stage_document(registry, stage_id)["summary"]
    inputs = {
        name: {
            "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
            "description": port.description,
        }
        for name, port in stage.inputs.items()
    }
    wanted = [name for name, port in stage.inputs.items() if not port.optional]
    then: dict[str, Any] = {
        "properties": {
            "with": params,
            "inputs": {"type": "object", "properties": inputs, "required": wanted, "additionalProperties": False},
        }
    }
    needed = (["with"] if params.get("required") else []) + (["inputs"] if wanted else [])
    if needed:
        then["required"] = needed
    return {"if": {"properties": {"uses": {"const": stage_id}}}, "then": then}


def _allow_reference(properties: dict[str, Any], name: str) -> None:
    """Let a property also be a reference, and a quantity with a unit be a text."""
    field = properties[name]
    described = {key: field.pop(key) for key in ("description", "default", "title") if key in field}
    options = [field, _REFERENCE]
    if "unit" in field:
        options.append({"type": "string", "pattern": r"^[-+0-9.eE]+ *\S+.*$"})
    properties[name] = {**described, "anyOf": options}
