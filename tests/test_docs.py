"""What README and docs show works as it stands."""

import re
from pathlib import Path

import fieldloom
import pytest
from fieldloom.expand import expand
from fieldloom.registry import Registry
from fieldloom.spec import load

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


SPECS = [(page, i, text) for page in PAGES for i, text in enumerate(blocks(page, "yaml"))]


@pytest.mark.parametrize(("page", "i", "text"), SPECS, ids=lambda v: v.stem if isinstance(v, Path) else "")
def test_specs_are_valid(page, i, text, tmp_path):
    path = tmp_path / "flow.yaml"
    path.write_text(text)
    assert expand(load(path), Registry())


def test_first_flow_runs(tmp_path, prefect_server):
    path = tmp_path / "smooth.yaml"
    first, matrix = blocks(ROOT / "docs" / "first-flow.md", "yaml")
    path.write_text(first)
    run = fieldloom.run(path, store=tmp_path / "store")
    assert run.status == "done"
    again = fieldloom.run(path, store=tmp_path / "store", set={"width": 21})
    assert {n: r["status"] for n, r in again.instances.items()} == {"noisy": "cached", "smooth": "done"}
    path.write_text(matrix)
    widths = fieldloom.run(path, store=tmp_path / "store")
    assert len(widths) == 4
    assert widths.instances["noisy"]["status"] == "cached"
    assert "table" in run.folder.joinpath("report.html").read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_python_compiles_and_commands_exist(page):
    from fieldloom.cli import parser

    for text in blocks(page, "python"):
        compile(text, str(page), "exec")
    for text in blocks(page, "sh"):
        for command in re.findall(r"^fieldloom ([\w-]+)", text, re.MULTILINE):
            assert command in parser().format_help()
    for target in re.findall(r"\]\(((?!http)[^)#]+)\)", page.read_text()):
        path = page.parent / target
        assert path.exists() or "reference" in target, target
