"""What the room's README and page show runs as it stands."""

import re
import runpy
from pathlib import Path

import pytest

ROOM = Path(__file__).parents[1]
PAGES = [ROOM / "README.md", ROOM.parents[1] / "docs" / "dcdm.md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_python_runs(page, tmp_path):
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    program = tmp_path / "program.py"
    program.write_text("\n".join(blocks), "utf-8")
    assert runpy.run_path(str(program))["problem"].mask.any()
