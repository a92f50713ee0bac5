"""Plugins: found, listed without heavy imports, set aside with their reason when broken."""

import sys
import types
from importlib.metadata import EntryPoint

import fieldloom
import pytest
from fieldloom import hookspecs
from fieldloom.errors import PluginError, StageNotFound
from fieldloom.recorder import call_hook
from fieldloom.registry import Registry


def plugin(monkeypatch, name, stages=None, **members):
    """Install a module as a plugin and return its entry point."""
    module = types.ModuleType(f"plugin_{name}")
    if stages is not None:
        members["register_stages"] = lambda: stages
    for key, value in members.items():
        setattr(module, key, fieldloom.hookimpl(value) if callable(value) else value)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return EntryPoint(name, module.__name__, "fieldloom")


PROBE = EntryPoint("probe", "fieldloom_probe", "fieldloom")


def reason(registry, name):
    return next(p.problem for p in registry.plugins if p.name == name)


def test_broken_plugins_are_set_aside_and_the_others_work(monkeypatch):
    found = [
        EntryPoint("gone", "no_such_module", "fieldloom"),
        plugin(monkeypatch, "raises", register_stages=lambda: 1 / 0),
        plugin(monkeypatch, "misspelt", register_stage=lambda: {"a": "b"}),
        plugin(monkeypatch, "thief", {"probe.number": "a:B"}),
        plugin(monkeypatch, "clash", {"clash.a": "nowhere"}),
        PROBE,
    ]
    registry = Registry(found=found)
    assert "No module named" in reason(registry, "gone")
    assert "ZeroDivisionError" in reason(registry, "raises")
    assert "register_stages" in reason(registry, "misspelt")
    assert "probe" in reason(registry, "thief")
    assert "module:Class" in reason(registry, "clash")
    assert reason(registry, "probe") is None
    assert registry.stage("probe.number").outputs
    with pytest.raises(StageNotFound, match="set aside: ZeroDivisionError"):
        registry.stage("raises.anything")


def test_second_owner_of_a_stage_is_named(monkeypatch):
    twin = plugin(monkeypatch, "probe", {"probe.number": "a:B"})
    registry = Registry(found=[PROBE, twin])
    assert "already registered" in " ".join(p.problem or "" for p in registry.plugins)


def test_allow_and_deny(monkeypatch):
    other = plugin(monkeypatch, "other", {"other.a": "a:B"})
    assert Registry(allow=["other"], found=[PROBE, other]).stages == ["other.a"]
    assert Registry(deny=["probe"], found=[PROBE, other]).stages == ["other.a"]
    monkeypatch.setenv("FIELDLOOM_DISABLE_PLUGINS", "other, probe")
    assert Registry(found=[PROBE, other]).stages == []


def test_stage_that_cannot_be_imported_is_reported(monkeypatch):
    bad = plugin(monkeypatch, "bad", {"bad.a": "no_such:A", "bad.b": "os:sep"})
    registry = Registry(found=[bad])
    with pytest.raises(PluginError, match="no_such"):
        registry.stage("bad.a")
    with pytest.raises(PluginError, match=r"not a fieldloom\.Stage"):
        registry.stage("bad.b")


def test_observers_that_raise_stop_nothing(monkeypatch, caplog):
    seen = []
    found = [
        plugin(monkeypatch, "a", before_run=lambda run: 1 / 0),
        plugin(monkeypatch, "b", before_run=lambda run: seen.append(run)),
        plugin(monkeypatch, "c", before_run=lambda: seen.append("no argument wanted")),
    ]
    call_hook(Registry(found=found).hook, "before_run", run="the run")
    assert set(seen) == {"the run", "no argument wanted"}
    assert "hook before_run of plugin a failed" in caplog.text


def test_every_hook_is_documented_and_typed():
    hooks = {n: f for n, f in vars(hookspecs).items() if hasattr(f, "fieldloom_spec")}
    assert set(hooks) == {"register_stages", "before_run", "after_run", "before_stage", "after_stage",
                          "report_sections", "artifact_readers"}  # fmt: skip
    for name, function in hooks.items():
        assert function.__doc__, name
        assert "return" in function.__annotations__, name


def test_every_hook_is_called_in_a_run(monkeypatch, tmp_path, prefect_server):
    calls = []
    observer = plugin(
        monkeypatch, "watch",
        before_run=lambda run: calls.append(("before_run", run.status)),
        after_run=lambda run: calls.append(("after_run", run.status, len(run.instances))),
        before_stage=lambda instance: calls.append(("before_stage", instance.name)),
        after_stage=lambda instance: calls.append(("after_stage", instance.name, instance.kind)),
        report_sections=lambda run: {"Weather": "<p>fine</p>"},
        artifact_readers=lambda: {"float": lambda dataset: float(dataset.x)},
    )  # fmt: skip
    registry = Registry(found=[PROBE, observer])
    spec = tmp_path / "flow.yaml"
    spec.write_text("name: f\nstages:\n  a: {uses: probe.number, with: {value: 4}}\n")
    run = fieldloom.run(spec, store=tmp_path / "store", registry=registry)
    assert calls == [
        ("before_run", "running"),
        ("before_stage", "a"),
        ("after_stage", "a", "done"),
        ("after_run", "done", 1),
    ]
    assert "<h2>Weather</h2>" in (run.folder / "report.html").read_text()
    assert run.read("a", "float", registry) == 4.0
    with pytest.raises(fieldloom.FieldloomError, match="no artifact reader 'flaot'; did you mean float"):
        run.read("a", "flaot", registry)
