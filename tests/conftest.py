"""What the tests of the core share."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROBE = Path(__file__).parent / "probe"


@pytest.fixture
def write(tmp_path):
    """Write a spec (dedented text below a name line) and return its path."""
    from textwrap import dedent

    def write(text, name="flow.yaml"):
        path = tmp_path / name
        path.write_text(dedent(text))
        return path

    return write


@pytest.fixture
def cli(tmp_path):
    """Run the command line in a process of its own, in ``tmp_path``, with the probe plugin installed."""

    def run(*arguments, check=None, **environment):
        paths = [str(PROBE), os.environ.get("PYTHONPATH", "")]
        result = subprocess.run(
            [sys.executable, "-m", "fieldloom", *map(str, arguments)], capture_output=True, text=True, cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), **environment},
        )  # fmt: skip
        if check is not None:
            assert result.returncode == check, result.stdout + result.stderr
        return result

    return run
