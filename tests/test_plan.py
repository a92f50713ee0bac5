"""Planning: pure, explains itself, and stops ripples where content is the same."""

import pytest
from fieldloom.plan import make_plan
from fieldloom.registry import Registry
from fieldloom.spec import load
from fieldloom_storage import Store

SPEC = """
    name: f
    params: {v: 2}
    stages:
      n: {uses: probe.number, with: {value: "${v}"}}
      m: {uses: probe.number, with: {value: 5}}
      s: {uses: probe.add, inputs: {a: n, b: m}}
      t: {uses: probe.increment, inputs: {x: s}}
"""


@pytest.fixture
def run(prefect_server, tmp_path):
    import fieldloom

    return lambda spec, **options: fieldloom.run(spec, store=tmp_path / "store", **options)


def plan(spec, tmp_path, **overrides):
    made = make_plan(load(spec, overrides), Registry(), Store(tmp_path / "store"))
    return {item.instance.name: item for item in made.items}


def test_everything_runs_the_first_time_and_nothing_the_second(write, tmp_path, run):
    spec = write(SPEC)
    first = plan(spec, tmp_path)
    assert {name: item.status for name, item in first.items()} == {"n": "run", "m": "run", "s": "waits", "t": "waits"}
    assert first["n"].why == ["never run before"]
    run(spec)
    assert {item.status for item in plan(spec, tmp_path).values()} == {"cached"}


def test_plan_says_which_parameter_changed_and_what_it_will_cost(write, tmp_path, run):
    spec = write(SPEC)
    run(spec)
    items = plan(spec, tmp_path, v=3)
    assert items["n"].why == ["params.value 2.0 -> 3.0"]
    assert items["n"].seconds is not None
    assert items["m"].status == "cached"
    assert items["s"].why == ["waits for n"]


def test_plan_says_which_function_changed(write, tmp_path, run, monkeypatch):
    spec = write(SPEC)
    run(spec)
    from fieldloom import codeprint

    original = codeprint.closure
    monkeypatch.setattr(
        codeprint, "closure", lambda target: {**original(target), "fieldloom_probe.stages:number": "other"}
    )
    assert plan(spec, tmp_path)["n"].why == ["code fieldloom_probe.stages:number changed"]


def test_change_without_effect_stops_at_the_first_stage(write, tmp_path, run):
    """Early cut-off: other parameters, same content, so nothing downstream runs."""
    spec = write(SPEC)
    run(spec)
    changed = write(SPEC.replace("value: 5", "value: 5, label: new"))
    done = run(changed)
    assert {name: row["status"] for name, row in done.instances.items()} == {
        "n": "cached", "m": "done", "s": "cached", "t": "cached",
    }  # fmt: skip


def test_names_and_policies_are_not_in_the_key(write, tmp_path, run):
    spec = write(SPEC)
    run(spec)
    renamed = write("""
        name: other
        stages:
          number: {uses: probe.number, with: {value: 2.0}, retries: 3, resources: {cpus: 2}}
    """)
    assert plan(renamed, tmp_path)["number"].status == "cached"


def test_seed_is_in_the_key_only_of_stages_that_use_it(write, tmp_path, run):
    spec = write("name: f\nseed: 1\nstages:\n  a: {uses: probe.noise}\n  b: {uses: probe.number}\n")
    run(spec)
    items = plan(spec, tmp_path, seed=2)
    assert (items["a"].status, items["b"].status) == ("run", "cached")
    assert items["a"].why == ["seed 1 -> 2"]


def test_planning_touches_nothing(write, tmp_path):
    spec = write(SPEC)
    make_plan(load(spec), Registry(), None)
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(("visible", "devices"), [("", 0), ("-1", 0), ("0", 1), ("0,1", 2)])
def test_device_class_enters_the_key_only_of_stages_that_say_so(monkeypatch, visible, devices):
    from fieldloom import Resources
    from fieldloom.devices import device_class, gpu_count
    from fieldloom.keys import stage_code
    from fieldloom_probe.stages import Number

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert gpu_count() == devices
    monkeypatch.setattr(Number, "resources", Resources(gpu="optional"))
    expected = "cuda" if devices else "cpu"
    assert device_class(Number) == expected
    target = "fieldloom_probe.stages:Number"
    assert stage_code("probe.number", target, Number, expected).device is None
    monkeypatch.setattr(Number, "device_matters", True)
    assert stage_code("probe.number", target, Number, expected).device == expected
