"""Specs: what is accepted, and that everything wrong is reported at once, with its place and what to do."""

import pytest
from fieldloom.errors import SpecError
from fieldloom.expand import expand
from fieldloom.registry import Registry
from fieldloom.spec import load, parse_overrides
from fieldloom.spec.source import parse

GOOD = """\
name: flow
params: {n: 3, deep: {a: 1.5}, list: [1, 2]}
stages:
  one: {uses: probe.number, with: {value: 2}}
"""


@pytest.fixture(scope="module")
def registry():
    return Registry()


def problems(path, registry, **overrides):
    with pytest.raises(SpecError) as caught:
        expand(load(path, overrides, partial=True), registry)
    return caught.value.problems


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e-4", 1e-4), ("1E5", 1e5), ("010", 10), ("-3", -3), (".5", 0.5), ("no", "no"), ("on", "on"), ("1:30", "1:30"),
     ("true", True), ("~", None), ("null", None), ("'5'", "5"), ("2026-01-01", "2026-01-01"), ("0x1F", "0x1F"),
     (".inf", float("inf")), ("1_000", "1_000"), ("", None), ("[1, two]", [1, "two"]), ("{1: a}", {"1": "a"})],
)  # fmt: skip
def test_scalars_follow_yaml_1_2(text, value):
    assert parse(text, "t").plain() == value


# Each: text, line and column of the first problem, a part of its message, a part of its hint.
MALFORMED = {
    "tab": ("name: f\nstages:\n\tone: 1\n", 3, 1, "not YAML", "spaces"),
    "unclosed bracket": ("name: [f\nstages: {}\n", 2, 7, "not YAML", ""),
    "unclosed quote": ('name: "f\n', 2, 1, "not YAML", ""),
    "bad indentation": ("name: f\n stages: {}\n", 2, 8, "not YAML", ""),
    "reference without quotes in braces": ("name: f\nstages: {a: {uses: ${x}}}\n", None, None, "", ""),
    "python tag": ("name: !!python/object/apply:os.system [ls]\n", 1, 7, "tag", "plain value"),
    "custom tag": ("name: !secret x\n", 1, 7, "tag", ""),
    "binary tag": ("name: !!binary aGk=\n", 1, 7, "tag", ""),
    "second document": ("name: f\nstages: {}\n---\nname: g\n", 3, 1, "second YAML document", ""),
    "duplicate key": ("name: f\nname: g\n", 2, 1, "duplicate key 'name'", ""),
    "duplicate stage": ("name: f\nstages:\n  a: {uses: probe.number}\n  a: {uses: probe.number}\n", 4, 3, "duplicate", ""),
    "merge key": ("a: &a {b: 1}\nname: f\nc: {<<: *a}\n", 3, 5, "merge keys", "include"),
    "unknown alias": ("name: *nope\n", 1, 7, "", ""),
    "alias to itself": ("a: &a [*a]\n", 1, 8, "inside, its anchor", ""),
    "list at the top": ("- a\n- b\n", 1, 1, "mapping", ""),
    "empty file": ("", 1, 1, "mapping", ""),
    "only a comment": ("# nothing\n", 1, 1, "mapping", ""),
    "no name": ("stages:\n  a: {uses: probe.number}\n", 1, 1, "name is missing", "Name of the flow"),
    "no stages": ("name: f\n", 1, 1, "stages is missing", ""),
    "empty stages": ("name: f\nstages: {}\n", 2, 9, "stages", ""),
    "null stages": ("name: f\nstages:\n", 2, 8, "stages", ""),
    "unknown top key": ("name: f\nstage: {}\nstages:\n  a: {uses: probe.number}\n", 2, 1, "unknown key 'stage'", "stages"),
    "unknown step key": ("name: f\nstages:\n  a: {uses: probe.number, wiht: {}}\n", 3, 27, "unknown key 'wiht'", "with"),
    "name is a number": ("name: 5\nstages:\n  a: {uses: probe.number}\n", 1, 7, "string", ""),
    "bad name": ("name: 'a b'\nstages:\n  a: {uses: probe.number}\n", 1, 7, "pattern", ""),
    "bad step name": ("name: f\nstages:\n  a.b: {uses: probe.number}\n", 3, 3, "pattern", ""),
    "step is a string": ("name: f\nstages:\n  a: probe.number\n", 3, 6, "object", ""),
    "no uses": ("name: f\nstages:\n  a: {with: {}}\n", 3, 6, "uses is missing", "fieldloom stages"),
    "unknown plugin": ("name: f\nstages:\n  a: {uses: prob.number}\n", 3, 7, "no plugin 'prob'", "probe.number"),
    "unknown stage": ("name: f\nstages:\n  a: {uses: probe.numbr}\n", 3, 7, "no stage 'probe.numbr'", "probe.number"),
    "unknown parameter": ("name: f\nstages:\n  a: {uses: probe.number, with: {vlaue: 1}}\n", 3, 34, "unknown key 'vlaue'", "value"),
    "text for a number": ("name: f\nstages:\n  a: {uses: probe.number, with: {value: '3'}}\n", 3, 41, "number", "The number."),
    "bool for a number": ("name: f\nstages:\n  a: {uses: probe.number, with: {value: true}}\n", 3, 41, "number", ""),
    "list for a number": ("name: f\nstages:\n  a: {uses: probe.number, with: {value: [1]}}\n", 3, 41, "number", ""),
    "out of bounds": ("name: f\nstages:\n  a: {uses: probe.number, with: {length: -1}}\n", 3, 42, "greater than 0", ""),
    "wrong choice": ("name: f\nstages:\n  a: {uses: probe.number, with: {mode: odd}}\n", 3, 40, "'plain' or 'fancy'", ""),
    "wrong unit": ("name: f\nstages:\n  a: {uses: probe.number, with: {length: 3 s}}\n", 3, 42, "cannot be converted to m", ""),
    "unknown unit": ("name: f\nstages:\n  a: {uses: probe.number, with: {length: 3 blurb}}\n", 3, 42, "cannot be converted", ""),
    "no quantity": ("name: f\nstages:\n  a: {uses: probe.number, with: {length: long}}\n", 3, 42, "number in m", ""),
    "missing input": ("name: f\nstages:\n  a: {uses: probe.increment}\n", 3, 3, "input 'x' of probe.increment is not given", "inputs:"),
    "unknown input": ("name: f\nstages:\n  n: {uses: probe.number}\n  a: {uses: probe.increment, inputs: {x: n, z: n}}\n", 4, 45, "no input 'z'", ""),
    "unknown step in reference": ("name: f\nstages:\n  num: {uses: probe.number}\n  a: {uses: probe.increment, inputs: {x: nmu}}\n", 4, 39, "no step 'nmu'", "num"),
    "unknown output": ("name: f\nstages:\n  n: {uses: probe.number}\n  a: {uses: probe.increment, inputs: {x: n.y}}\n", 4, 39, "no output 'y'", ""),
    "several outputs": ("name: f\nstages:\n  n: {uses: probe.grid}\n  a: {uses: probe.increment, inputs: {x: n}}\n", 4, 39, "several outputs", "n.<port>"),
    "not a reference": ("name: f\nstages:\n  n: {uses: probe.number}\n  a: {uses: probe.increment, inputs: {x: 'n..x'}}\n", 4, 39, "not a reference", ""),
    "cycle": ("name: f\nstages:\n  a: {uses: probe.increment, inputs: {x: b}}\n  b: {uses: probe.increment, inputs: {x: a}}\n", None, 3, "wait for each other", ""),
    "waits for itself": ("name: f\nstages:\n  a: {uses: probe.increment, inputs: {x: a}}\n", 3, 3, "a -> a", ""),
    "unknown after": ("name: f\nstages:\n  a: {uses: probe.number, after: [b]}\n", 3, 35, "no step 'b'", ""),
    "undefined param": ("name: f\nparams: {size: 1}\nstages:\n  a: {uses: probe.number, with: {value: '${siez}'}}\n", 4, 41, "${siez} is not defined", "size"),
    "param cycle": ("name: f\nparams: {a: '${b}', b: '${a}'}\nstages:\n  s: {uses: probe.number, with: {value: '${a}'}}\n", None, None, "refer to themselves", ""),
    "expression": ("name: f\nparams: {a: 1}\nstages:\n  s: {uses: probe.number, with: {value: '${a + 1}'}}\n", 4, 41, "not defined", ""),
    "unset variable": ("name: f\nenv: [FIELDLOOM_NO_SUCH]\nstages:\n  s: {uses: probe.number}\n", 2, 7, "is not set", "export"),
    "unlisted variable": ("name: f\nstages:\n  s: {uses: probe.number, with: {label: '${env.HOME}'}}\n", 3, 41, "not defined", "env:"),
    "unknown axis": ("name: f\nstages:\n  s: {uses: probe.number, matrix: {v: [1]}, with: {value: '${matrix.w}'}}\n", 3, 52, "no matrix axis 'w'", ""),
    "empty axis": ("name: f\nstages:\n  s: {uses: probe.number, matrix: {v: []}}\n", 3, 36, "is empty", ""),
    "repeated value": ("name: f\nstages:\n  s: {uses: probe.number, matrix: {v: [1, 1]}}\n", 3, 36, "repeats", ""),
    "fan-out into one": ("name: f\nstages:\n  s: {uses: probe.number, matrix: {v: [1, 2]}}\n  a: {uses: probe.increment, inputs: {x: s}}\n", 4, 39, "fans out along v", "s.*"),
    "collected into one": ("name: f\nstages:\n  s: {uses: probe.number, matrix: {v: [1, 2]}}\n  a: {uses: probe.increment, inputs: {x: s.*}}\n", 4, 39, "takes one instance, not 2", ""),
    "no such instance": ("name: f\nstages:\n  s: {uses: probe.number, matrix: {v: [1, 2]}}\n  a: {uses: probe.increment, inputs: {x: 's[v=3]'}}\n", 4, 39, "no instance with v=3", "s[v=1]"),
    "bad duration": ("name: f\nstages:\n  s: {uses: probe.number, timeout: soon}\n", 3, 36, "duration", ""),
    "bad memory": ("name: f\nstages:\n  s: {uses: probe.number, resources: {memory: lots}}\n", 3, 47, "size", ""),
    "negative retries": ("name: f\nstages:\n  s: {uses: probe.number, retries: -1}\n", 3, 36, "greater than or equal to 0", ""),
    "seed is a word": ("name: f\nstages:\n  s: {uses: probe.noise, seed: lucky}\n", 3, 26, "whole number", ""),
    "missing include": ("name: f\ninclude: [nope.yaml]\nstages:\n  s: {uses: probe.number}\n", 2, 11, "no file nope.yaml", ""),
    "include of itself": ("name: f\ninclude: [flow.yaml]\nstages:\n  s: {uses: probe.number}\n", 2, 11, "cycle", ""),
    "port dims": ("name: f\nstages:\n  g: {uses: probe.grid}\n  w: {uses: probe.wants, inputs: {field: g.field}, with: {dims: [component, node]}}\n", 4, 35, "should have dims", ""),
    "port units": ("name: f\nstages:\n  g: {uses: probe.grid}\n  w: {uses: probe.wants, inputs: {field: g.field}, with: {units: km/h}}\n", 4, 35, "should be in 'km/h' and is in 'm s-1'", ""),
    "port dtype": ("name: f\nstages:\n  g: {uses: probe.grid}\n  w: {uses: probe.wants, inputs: {field: g.field}, with: {dtype: int}}\n", 4, 35, "should be int and is float32", ""),
    "port size": ("name: f\nstages:\n  g: {uses: probe.grid}\n  w: {uses: probe.wants, inputs: {field: g.field}, with: {components: 3}}\n", 4, 35, "3 along 'component' and gets 2", ""),
    "port variable": ("name: f\nstages:\n  g: {uses: probe.grid}\n  w: {uses: probe.wants, inputs: {field: g.field}, with: {variable: q}}\n", 4, 35, "wants variable 'q'", ""),
}  # fmt: skip


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_spec_is_reported_with_its_place(case, write, registry):
    text, line, column, message, hint = MALFORMED[case]
    path = write("")
    path.write_text(text)
    found = problems(path, registry)
    matching = [p for p in found if message in p.message and hint in p.hint]
    assert matching, [str(p) for p in found]
    place = matching[0].place
    assert place.file == str(path)
    if line:
        assert (place.line, place.column) == (line, column) or place.line == line, str(matching[0])


def test_all_problems_are_reported_at_once(write, registry):
    """Structure, substitution, stages, parameters, references and ports: one round, and no follow-up errors."""
    path = write("""\
        name: f
        flavour: sweet
        params: {size: 1}
        stages:
          a: {uses: probe.number, with: {value: x, lenght: 2}}
          b: {uses: probe.nothing}
          c: {uses: probe.increment, inputs: {x: d}}
          e: {uses: probe.number, wiht: {}}
          f: {uses: probe.number, with: {value: "${siez}"}}
          g: {uses: probe.increment, inputs: {x: e}, retries: lots}
          h: {uses: probe.increment, inputs: {x: f}, with: {by: no, yb: 1}}
          i: {uses: probe.increment, inputs: {x: nowhere, y: h}, with: {by: no}}
          j: {uses: probe.grid}
          k: {uses: probe.wants, inputs: {field: j.field}, with: {dtype: int}}
          l: {uses: probe.add, inputs: {a: e, b: b}}
    """)
    found = problems(path, registry)
    assert [p.place.line for p in found] == [2, 5, 5, 6, 7, 8, 9, 10, 11, 11, 12, 12, 12, 14]


@pytest.mark.parametrize("bomb", ["aliases", "depth", "size", "digits"])
def test_bombs_are_refused_quickly(bomb, write, registry):
    if bomb == "aliases":
        text = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
            f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 12)
        )
    elif bomb == "depth":
        text = "a: " + "[" * 5000
    elif bomb == "digits":
        text = f"name: f\nstages:\n  a: {{uses: probe.number, with: {{value: {'9' * 5000}}}}}\n"
    else:
        text = "a: '" + "x" * 10_000_000 + "'\n"
    path = write("")
    path.write_text(text)
    assert problems(path, registry)


def test_binary_and_wrong_encoding_are_refused(write, registry):
    path = write("")
    path.write_bytes(b"name: f\n\xff\xfe\n")
    assert "UTF-8" in problems(path, registry)[0].message
    path.write_bytes(b"name: f\x00\n")
    assert problems(path, registry)


def test_substitution_keeps_types_and_nests(write):
    path = write(
        GOOD + "  two: {uses: probe.number, with: {value: '${deep.a}', label: 'n is ${n}'}, retries: '${n}'}\n"
    )
    step = load(path).flow.stages["two"]
    assert step.with_ == {"value": 1.5, "label": "n is 3"}
    assert step.retries == 3


def test_overrides_reach_params_and_places(write):
    path = write(GOOD)
    spec = load(path, parse_overrides(["n=7", "deep.a=2e-3", "list=[5]", "stages.one.with.value=9", "seed=4"]))
    assert spec.flow.params == {"n": 7, "deep": {"a": 2e-3}, "list": [5]}
    assert spec.flow.stages["one"].with_ == {"value": 9}
    assert spec.flow.seed == 4


@pytest.mark.parametrize("setting", ["m=1", "deep.b=1", "stages.two.with.x=1", "noequals", "=3"])
def test_wrong_overrides_are_refused(write, setting):
    with pytest.raises(SpecError):
        load(write(GOOD), parse_overrides([setting]))


def test_include_merges_and_own_params_win(write):
    write("params: {a: 1, b: 2}\nstages:\n  base: {uses: probe.number, with: {value: '${b}'}}\n", "base.yaml")
    path = write(
        "name: f\ninclude: [base.yaml]\nparams: {b: 5}\nstages:\n  s: {uses: probe.increment, inputs: {x: base}}\n"
    )
    spec = load(path)
    assert spec.flow.params == {"b": 5, "a": 1}
    assert spec.flow.stages["base"].with_ == {"value": 5}
    again = write("name: f\ninclude: [base.yaml]\nstages:\n  base: {uses: probe.number}\n", "clash.yaml")
    with pytest.raises(SpecError, match="also defined at"):
        load(again)


def test_matrix_fans_out_matches_and_collects(write, registry):
    path = write("""\
        name: f
        params: {values: [1, 2.5]}
        stages:
          n: {uses: probe.number, matrix: {v: "${values}", flag: [true, false]}, with: {value: "${matrix.v}"}}
          i: {uses: probe.increment, matrix: {v: "${values}", flag: [true, false]}, inputs: {x: n}}
          one: {uses: probe.increment, inputs: {x: "n[v=2.5,flag=true].x"}}
          some: {uses: probe.total, inputs: {x: "n[flag=true].*"}}
          all: {uses: probe.total, inputs: {x: [n.*, one]}}
    """)
    found = {instance.name: instance for instance in expand(load(path), registry)}
    assert len([n for n in found if n.startswith("n[")]) == 4
    assert found["i[v=1,flag=true]"].upstream == {"n[v=1,flag=true]"}
    assert found["one"].upstream == {"n[v=2.5,flag=true]"}
    assert [s.instance for s in found["some"].inputs["x"]] == ["n[v=1,flag=true]", "n[v=2.5,flag=true]"]
    assert len(found["all"].inputs["x"]) == 5


def test_seed_of_the_spec_unless_the_step_has_its_own(write, registry):
    path = write("""\
        name: f
        seed: 7
        stages:
          a: {uses: probe.noise}
          b: {uses: probe.noise, matrix: {s: [1, 2]}, seed: "${matrix.s}"}
    """)
    assert {i.name: i.seed for i in expand(load(path), registry)} == {"a": 7, "b[s=1]": 1, "b[s=2]": 2}


def test_units_are_converted(write, registry):
    path = write("name: f\nstages:\n  a: {uses: probe.number, with: {length: 25 cm}}\n")
    assert expand(load(path), registry)[0].params.length == 0.25


def test_environment_values_are_masked(write, monkeypatch):
    monkeypatch.setenv("PROBE_TOKEN", "hunter2")
    path = write(
        "name: f\nenv: [PROBE_TOKEN]\nstages:\n  a: {uses: probe.number, with: {label: 'x ${env.PROBE_TOKEN}'}}\n"
    )
    spec = load(path)
    assert spec.flow.stages["a"].with_["label"] == "x hunter2"
    assert spec.masked({"t": ["say hunter2"]}) == {"t": ["say ${env.PROBE_TOKEN}"]}


@pytest.mark.parametrize(
    ("have", "want", "fits"),
    [("float32", "float", True), ("float32", "float64", False), ("float32", "float32", True), ("int16", "number", True),
     ("uint8", "int", True), ("bool", "int", False), ("datetime64[ns]", "time", True), ("string", "number", False),
     ("complex64", "float", False), ("float", "float32", True), ("any", "int8", True)],
)  # fmt: skip
def test_dtypes_fit_kinds_and_themselves(have, want, fits):
    from fieldloom import Port, Variable
    from fieldloom.ports import disagreements

    offered, wanted = (Port({"v": Variable(("x",), dtype)}) for dtype in (have, want))
    assert (not list(disagreements(offered, wanted, {}))) == fits


def test_ports_of_the_rooms_are_checked_when_planning(write, registry):
    path = write("""\
        name: mixed
        stages:
          wake: {uses: cfd.cylinder-wake}
          signal: {uses: template.signal}
          smooth: {uses: template.smooth, inputs: {signal: wake}}
          shedding: {uses: cfd.strouhal, inputs: {fields: signal}}
          picture: {uses: mesh.render, inputs: {fields: wake}, with: {variable: vortcity}}
    """)
    found = {p.place.line: p.message for p in problems(path, registry)}
    assert sorted(found) == [5, 6, 7]
    assert "wants variable 'vortcity', which is not offered" in found[7]
