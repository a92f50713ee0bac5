"""The code closure: what changes a stage's fingerprint, and what does not."""

import sys
from textwrap import dedent

import pytest
from fieldloom import codeprint

FILES = {
    "__init__.py": "",
    "stages.py": """
        from .maths import helper as h
        from . import tools
        import numpy as np

        LIMIT = 3
        UNUSED = 4

        class Thing:
            '''A docstring.'''
            def run(self):
                from .late import inner
                return h(LIMIT) + tools.used() + inner()
    """,
    "maths.py": """
        def helper(x):
            return deeper(x) + 1

        def deeper(x):
            return x * FACTOR

        FACTOR = 2

        def unrelated():
            return 0
    """,
    "tools.py": "def used():\n    return 1\n\ndef not_used():\n    return 2\n",
    "late.py": "def inner():\n    return 5\n",
}


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package on the path; call it with file=text to change files; returns the closure."""
    folder = tmp_path / "pkg_for_closure"
    folder.mkdir()
    monkeypatch.syspath_prepend(tmp_path)

    def write(**changes):
        for name, text in (FILES | {f"{k}.py": v for k, v in changes.items()}).items():
            (folder / name).write_text(dedent(text))
        codeprint._module.cache_clear()
        return codeprint.closure("pkg_for_closure.stages:Thing")

    yield write
    codeprint._module.cache_clear()
    sys.modules.pop("pkg_for_closure", None)


def changed(package, name, old, new):
    before = package()
    after = package(**{name: FILES[f"{name}.py"].replace(old, new)})
    return {key.partition(":")[2] for key in {*before, *after} if before.get(key) != after.get(key)}


def test_closure_holds_exactly_what_is_reached(package):
    assert {key.partition(".")[2] for key in package()} == {
        "stages:Thing", "stages:LIMIT", "maths:helper", "maths:deeper", "maths:FACTOR", "tools:used", "late:inner",
    }  # fmt: skip
    assert "pkg_for_closure.maths" not in sys.modules


@pytest.mark.parametrize(
    ("name", "old", "new", "expected"),
    [
        ("maths", "return x * FACTOR", "return FACTOR * x", {"deeper"}),
        ("maths", "FACTOR = 2", "FACTOR = 3", {"FACTOR"}),
        ("stages", "LIMIT = 3", "LIMIT = 4", {"LIMIT"}),
        ("late", "return 5", "return 6", {"inner"}),
        ("tools", "return 1", "return 10", {"used"}),
        ("tools", "return 2", "return 20", set()),
        ("stages", "UNUSED = 4", "UNUSED = 5", set()),
        ("maths", "return 0", "return 1", set()),
        ("stages", "'''A docstring.'''", "'''Another.'''", set()),
        (
            "maths",
            "return deeper(x) + 1",
            "# a comment\n            return (deeper(x)\n                    + 1)",
            set(),
        ),
    ],
)
def test_changes(package, name, old, new, expected):
    assert changed(package, name, old, new) == expected


def test_same_fingerprint_in_another_process(package, tmp_path):
    import subprocess

    ours = codeprint.digest(package())
    program = (
        "from fieldloom import codeprint; print(codeprint.digest(codeprint.closure('pkg_for_closure.stages:Thing')))"
    )
    theirs = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert theirs.stdout.strip() == ours
