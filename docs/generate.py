"""Write the reference pages and the JSON schema from the installed code.

``docs/flow.schema.json`` is kept in the repository, because the specs in ``flows/`` point to it.
"""

import argparse
import json
from pathlib import Path

from fieldloom.cli import EXIT_CODES, parser
from fieldloom.reference import reference_page
from fieldloom.registry import Registry
from fieldloom.schema import flow_schema
from fieldloom.spec.model import FlowSpec, ResourcesSpec, StepSpec

HERE = Path(__file__).parent


def spec_page() -> str:
    lines = ["# Keys of a flow spec", ""]
    for title, model in (("Flow", FlowSpec), ("Step", StepSpec), ("Resources", ResourcesSpec)):
        lines += [f"## {title}", "", "| key | type | default | meaning |", "|---|---|---|---|"]
        schema = model.model_json_schema(by_alias=True)
        for name, field in schema["properties"].items():
            default = "required" if name in schema.get("required", []) else json.dumps(field.get("default", ""))
            kind = field.get("type") or " or ".join(o.get("type", "object") for o in field.get("anyOf", [{}]))
            text = field.get("description", "").replace("|", "\\|")
            lines.append(f"| `{name}` | {kind} | {default.strip(chr(34)) or '–'} | {text} |")
        lines.append("")
    return "\n".join(lines)


def cli_page() -> str:
    root = parser()
    lines = ["# Command line", "", "```text", root.format_help().rstrip(), "```", ""]
    commands = next(a for a in root._actions if isinstance(a, argparse._SubParsersAction))
    for name, command in commands.choices.items():
        lines += [f"## {name}", "", "```text", command.format_help().rstrip(), "```", ""]
    assert EXIT_CODES.strip().splitlines()[0] in "\n".join(lines)
    return "\n".join(lines)


def main() -> None:
    registry = Registry(deny=["probe"])
    (HERE / "reference").mkdir(exist_ok=True)
    pages = {"stages": reference_page(registry), "spec": spec_page(), "cli": cli_page()}
    for name, text in pages.items():
        (HERE / "reference" / f"{name}.md").write_text(text, encoding="utf-8")
    schema = json.dumps(flow_schema(registry), indent=1, sort_keys=True) + "\n"
    (HERE / "flow.schema.json").write_text(schema, encoding="utf-8")


if __name__ == "__main__":
    main()
