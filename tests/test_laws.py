"""Laws of the house: what is imported when, what files look like, what the documentation promises."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = ["torch", "vtk", "pyvista", "prefect", "xarray", "zarr", "scipy", "numpy"]


@pytest.mark.parametrize("command", [["plugins"], ["stages"], ["validate", "flows/cylinder_wake.yaml"],
                                     ["validate", "flows/own_simulation.yaml"], ["plan", "flows/cylinder_wake.yaml"],
                                     ["schema"]])  # fmt: skip
def test_light_commands_import_nothing_heavy(command):
    program = (
        "import sys, json, io, contextlib\n"
        "from fieldloom.cli import main\n"
        f"with contextlib.redirect_stdout(io.StringIO()): assert main({command!r}) == 0\n"
        f"print(json.dumps([m for m in {HEAVY!r} if m in sys.modules]))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True)
    assert json.loads(result.stdout) == []


def test_no_file_is_longer_than_400_lines():
    long = {
        path: lines
        for folder in ("orchestrator", "storage", "plugins")
        for path in (ROOT / folder).rglob("*.py")
        if (lines := len(path.read_text().splitlines())) > 400
    }
    assert not long


def test_nothing_unsafe_is_read_back():
    unsafe = re.compile(
        r"\b(pickle|cloudpickle|dill|marshal)\b|torch\.load\(|yaml\.(unsafe_)?load\(|(?<![\w.])(eval|exec)\("
    )
    sources = [p for folder in ("orchestrator", "storage", "plugins") for p in (ROOT / folder).rglob("*.py")]
    assert not [path for path in sources if unsafe.search(path.read_text())]


def test_schema_in_the_docs_is_current(tmp_path):
    from fieldloom.registry import Registry
    from fieldloom.schema import flow_schema

    registry = Registry(deny=["probe"])
    rooms = {path.parent.name for path in (ROOT / "plugins").glob("*/pyproject.toml")}
    if {stage.partition(".")[0] for stage in registry.stages} != rooms:
        pytest.skip("other plugins are installed")
    committed = json.loads((ROOT / "docs" / "flow.schema.json").read_text())
    assert committed == json.loads(json.dumps(flow_schema(registry))), "run `make docs`"


@pytest.mark.parametrize("path", sorted((ROOT / "flows").glob("*.yaml")), ids=lambda p: p.stem)
def test_every_flow_is_valid(path):
    import jsonschema
    from fieldloom.expand import expand
    from fieldloom.registry import Registry
    from fieldloom.spec import load
    from fieldloom.spec.source import read

    assert expand(load(path), Registry())
    schema = json.loads((ROOT / "docs" / "flow.schema.json").read_text())
    assert not list(jsonschema.Draft202012Validator(schema).iter_errors(read(path).plain()))
