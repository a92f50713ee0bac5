"""The command line as a person uses it: output, exit codes, one clear message for each error."""

import json
import shutil
from pathlib import Path

import pytest
from fieldloom_probe import register_stages

pytestmark = pytest.mark.usefixtures("prefect_server")

SPEC = """
    name: f
    params: {v: 2}
    stages:
      n: {uses: probe.number, with: {value: "${v}"}}
      i: {uses: probe.increment, matrix: {k: [1, 2]}, inputs: {x: n}, with: {by: "${matrix.k}"}}
      t: {uses: probe.total, inputs: {x: i.*}}
"""


def test_a_working_day(cli, write, tmp_path):
    spec = write(SPEC)
    assert "valid; 3 stages, 4 instances" in cli("validate", spec, check=0).stdout
    assert "everything would run" in cli("plan", spec, check=0).stdout
    first = cli("run", spec, check=0)
    assert "4 computed" in first.stdout
    assert "done     n" in first.stderr
    assert "nothing has changed; 4 instances reused" in cli("run", spec, check=0).stdout
    changed = cli("run", spec, "--set", "v=3", "--json", check=0)
    assert {i["name"]: i["status"] for i in json.loads(changed.stdout)["instances"]}["t"] == "done"
    shown = cli("show", "latest", check=0).stdout
    assert "i[k=2]" in shown
    runs = json.loads(cli("show", "--json", check=0).stdout)
    assert [run["status"] for run in runs] == ["done"] * 3
    data = cli("show", "latest", "t", check=0).stdout
    assert "float64" in data
    path = cli("open", "latest", "t.x", check=0).stdout.strip()
    assert Path(path, "zarr.json").is_file()
    different = json.loads(cli("diff", runs[2]["id"], "--json", check=0).stdout)
    assert {"name": "v", "before": 2, "after": 3} in different["parameters"]
    assert {"name": "t.x x", "before": 7.0, "after": 9.0} in different["metrics"]
    assert "n: value" in cli("diff", runs[2]["id"], check=0).stdout
    assert "started" in cli("log", "latest", check=0).stdout
    assert all(json.loads(line) for line in cli("log", "--json", "--instance", "n", check=0).stdout.splitlines())
    report = cli("report", runs[1]["id"], check=0).stdout.strip()
    assert "<svg" in Path(report).read_text()
    assert "every byte is as it was written" in cli("verify", check=0).stdout
    assert "would remove 2 runs and" in cli("gc", "--keep-last", 1, "--grace", "0s", "--dry-run", check=0).stdout
    assert "removed 2 runs and 2 artifacts" in cli("gc", "--keep-last", 1, "--grace", "0s", check=0).stdout
    assert "nothing has changed" in cli("run", spec, "--set", "v=3", check=0).stdout


def test_verify_finds_and_repairs(cli, write, tmp_path):
    spec = write(SPEC)
    cli("run", spec, check=0)
    chunk = next((tmp_path / ".fieldloom" / "objects").glob("*/*.zarr/x/c"))
    chunk.chmod(0o644)
    chunk.write_bytes(bytes([chunk.read_bytes()[0] ^ 4]) + chunk.read_bytes()[1:])
    found = cli("verify", check=1).stdout
    assert chunk.parents[1].stem in found
    assert "variable 'x'" in found
    cli("verify", "--repair", check=1)
    cli("verify", check=0)
    assert "1 computed" in cli("run", spec, check=0).stdout or "reused" in cli("run", spec, check=0).stdout


def test_errors_are_one_clear_message_and_an_exit_code(cli, write, tmp_path):
    cases = {
        ("run", write("name: f\nstages: {a: {uses: probe.numbr}}\n", "a.yaml")): (
            2,
            "a.yaml:2:14: plugin 'probe' has no stage",
        ),
        ("run", tmp_path / "absent.yaml"): (2, "absent.yaml:1:1: cannot read the file"),
        ("run", write(SPEC, "b.yaml"), "--set", "w=1"): (2, "has no param 'w'"),
        ("show", "latest"): (3, "there is no store at"),
        ("stages", "probe.numbr"): (2, "did you mean probe.number"),
        ("new-plugin", "Bad-Name"): (2, "cannot name a plugin"),
    }
    for command, (code, message) in cases.items():
        result = cli(*command)
        assert (result.returncode, message in result.stderr) == (code, True), (command, result.stderr)
        assert "Traceback" not in result.stderr
    assert cli("frobnicate").returncode == 2


def test_failed_stage_says_where_and_how_to_go_on(cli, write, tmp_path):
    spec = write(f"name: f\nstages:\n  bad: {{uses: probe.fail, with: {{counter: {tmp_path}/c}}}}\n")
    result = cli("run", spec, check=1)
    assert "flow.yaml:3:3: stage bad (probe.fail) failed: ZeroDivisionError: try 1" in result.stderr
    assert "the same command tries again" in result.stderr
    assert "Traceback" not in result.stderr
    assert "Traceback" in cli("log", check=0).stdout


def test_validate_prints_json_for_editors(cli, write):
    spec = write("name: f\nstages:\n  a: {uses: probe.number, with: {vlaue: 1}}\n")
    found = json.loads(cli("validate", "--json", spec, check=2).stdout)
    assert found == [{"file": str(spec), "line": 3, "column": 34, "message": "unknown key 'vlaue' in probe.number",
                      "hint": "did you mean value?"}]  # fmt: skip


@pytest.mark.parametrize("form", ["text", "mermaid", "dot", "svg"])
def test_graph(cli, write, form, tmp_path):
    spec = write(SPEC)
    drawn = cli("graph", spec, "--format", form, check=0).stdout
    assert "i x 2" in drawn
    cli("graph", spec, "--format", form, "-o", tmp_path / "out", check=0)
    assert (tmp_path / "out").read_text().strip() == drawn.strip()


def test_schema_accepts_good_specs_and_refuses_bad_ones(cli):
    import jsonschema

    schema = json.loads(cli("schema", check=0).stdout)
    validator = jsonschema.Draft202012Validator(schema)
    jsonschema.Draft202012Validator.check_schema(schema)
    good = {"name": "f", "stages": {"a": {"uses": "probe.number", "with": {"value": 1, "length": "3 cm"}},
                                    "b": {"uses": "probe.increment", "inputs": {"x": "a"}, "matrix": {"k": [1]},
                                          "with": {"by": "${matrix.k}"}, "timeout": "10m"}}}  # fmt: skip
    assert not list(validator.iter_errors(good))
    for wrong in ({"uses": "probe.numbr"}, {"uses": "probe.number", "with": {"vlaue": 1}}, {"uses": "probe.increment"},
                  {"uses": "probe.number", "with": {"mode": "odd"}}, {"uses": "probe.number", "timeout": "soon"}):  # fmt: skip
        assert list(validator.iter_errors({"name": "f", "stages": {"a": wrong}})), wrong


def test_stages_are_documented_from_the_code(cli):
    text = cli("stages", "probe.number", check=0).stdout
    assert "- `length` [m]: number, default 1.0, > 0" in text
    listed = json.loads(cli("stages", "--json", check=0).stdout)
    assert next(s for s in listed if s["id"] == "probe.grid")["outputs"][0]["sizes"] == {"component": 2, "node": 7}


def test_plugins_show_why_one_is_set_aside(cli, tmp_path):
    info = tmp_path / "broken-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[fieldloom]\nbroken = no_such_module_at_all\n")
    result = cli("plugins", check=0, PYTHONPATH=f"{tmp_path}:{Path(__file__).parent / 'probe'}")
    assert "set aside: ModuleNotFoundError" in result.stdout
    assert f"{len(register_stages())} stages" in result.stdout


def test_new_plugin_passes_its_own_tests(cli, tmp_path):
    import subprocess
    import sys

    cli("new-plugin", "heat", check=0)
    room = tmp_path / "heat"
    assert "template" not in "".join(p.read_text() for p in room.rglob("*") if p.is_file())
    info = room / "fieldloom_heat-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: fieldloom-heat\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text("[fieldloom]\nheat = fieldloom_heat\n")
    import os

    environment = {**os.environ, "PYTHONPATH": str(room)}
    result = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(room / "tests")],
                            capture_output=True, text=True, cwd=room, env=environment)  # fmt: skip
    assert result.returncode == 0, result.stdout
    assert "20 passed" in result.stdout or " passed" in result.stdout
    assert cli("new-plugin", "heat").returncode == 2


def test_doctor_looks_at_everything(cli):
    found = json.loads(cli("doctor", "--json").stdout)
    assert {"python", "prefect", "fastapi", "sqlalchemy", "plugin probe", "store", "rendering"} <= {
        c["name"] for c in found
    }
    assert all(c["ok"] or c["do"] for c in found)


def test_store_that_disappears_is_an_error(cli, write, tmp_path):
    cli("run", write(SPEC), check=0)
    shutil.rmtree(tmp_path / ".fieldloom" / "objects")
    (tmp_path / ".fieldloom" / "objects").mkdir()
    assert "4 computed" in cli("run", write(SPEC), check=0).stdout


def test_small_tables_are_shown_as_tables():
    import numpy as np
    import xarray as xr
    from fieldloom.tables import shown

    data = xr.Dataset({"b": ("row", ["x", "y"]), "a": ("row", [1.23456, 2.0], {"units": "m", "long_name": "length"})})
    found = shown(data, ["a"])
    assert (found.header, found.numeric) == (["length [m]", "b"], [True, False])
    assert found.rows == [("1.235", "x"), ("2", "y")]
    assert shown(data.assign(c=(("row", "col"), np.zeros((2, 2))))) is None
    assert shown(xr.Dataset({"a": ("row", np.zeros(61))})) is None
    assert shown(xr.Dataset()) is None
