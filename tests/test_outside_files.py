"""Files that stages read: their content is in the key, their place is not; problems have a place in the spec."""

import shutil

import pytest
from fieldloom import SpecError, run
from fieldloom.outside import digests, files_below
from fieldloom.plan import make_plan
from fieldloom.registry import Registry
from fieldloom.spec import load
from fieldloom_storage import Store


@pytest.fixture
def spec(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.txt").write_text("3 4\n")
    (tmp_path / "flow.yaml").write_text(
        "name: reads\nparams: {file: in.txt}\nstages:\n  numbers:\n    uses: probe.read-numbers\n"
        "    with: {path: '${file}'}\n  more: {uses: probe.read-numbers, after: [numbers], with: {path: '${file}'}}\n"
    )
    return tmp_path / "flow.yaml"


def status(spec, tmp_path, **overrides):
    plan = make_plan(load(spec, overrides), Registry(), Store(tmp_path / "store"))
    return {item.instance.name: (item.status, item.why) for item in plan.items}


def test_content_matters_and_place_does_not(spec, tmp_path):
    assert status(spec, tmp_path)["numbers"][0] == "run"
    run(spec, store=tmp_path / "store")
    assert status(spec, tmp_path)["numbers"] == ("cached", [])
    (tmp_path / "elsewhere").mkdir()
    shutil.copy(tmp_path / "in.txt", tmp_path / "elsewhere")
    assert status(spec, tmp_path, file="elsewhere/in.txt")["numbers"][0] == "cached"
    (tmp_path / "in.txt").write_text("3 5\n")
    state, why = status(spec, tmp_path)["numbers"]
    assert state == "run"
    assert any("file in.txt" in reason for reason in why)


def test_missing_file_is_an_error_with_its_place(spec, tmp_path):
    with pytest.raises(SpecError) as error:
        status(spec, tmp_path, file="nowhere.txt")
    assert len(error.value.problems) == 2
    assert "flow.yaml:6" in str(error.value)
    assert "there is no file or folder 'nowhere.txt'" in str(error.value)
    assert "current folder" in str(error.value)


def test_spec_is_valid_without_the_file(spec, tmp_path):
    from fieldloom.expand import expand

    assert len(expand(load(spec, {"file": "nowhere.txt"}), Registry())) == 2


def test_file_that_changes_while_it_is_read_records_nothing(spec, tmp_path):
    from fieldloom import StageFailed

    with pytest.raises(StageFailed, match="changed meanwhile"):
        run(spec, store=tmp_path / "store", set={"stages.numbers.with.meddle": True})
    assert status(spec, tmp_path)["numbers"][0] == "run"


def test_folders_are_all_their_files_but_the_hidden(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    for name in ("a/1", "a/b/2", "a/.hidden"):
        (tmp_path / name).write_text(name)
    found = files_below(tmp_path / "a")
    assert list(found) == ["a/1", "a/b/2"]
    before = digests(found)
    (tmp_path / "a/b/2").write_text("3")
    assert {name for name, digest in digests(found).items() if digest != before[name]} == {"a/b/2"}
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="is empty"):
        files_below(tmp_path / "empty")


def test_empty_file_has_a_digest(tmp_path):
    (tmp_path / "e").touch()
    assert len(digests({"e": tmp_path / "e"})["e"]) == 40


def test_links_to_folders_are_followed_once(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "case").mkdir()
    (tmp_path / "real" / "points").write_text("1")
    (tmp_path / "case" / "constant").symlink_to(tmp_path / "real")
    (tmp_path / "real" / "loop").symlink_to(tmp_path / "real")
    assert set(files_below(tmp_path / "case")) == {"case/constant/points"}


def test_two_files_of_one_name_are_told_apart(tmp_path):
    from fieldloom import Port, Stage, StageParams, path_param

    class Two(Stage):
        class Params(StageParams):
            one: str = path_param(..., "One.")
            other: str = path_param(..., "Other.")

        outputs = {"x": Port()}

        def run(self, context, params, **inputs):
            return {}

    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "in.txt").write_text(folder)
    found = Two.files(Two.Params(one=str(tmp_path / "a/in.txt"), other=str(tmp_path / "b/in.txt")))
    assert {name: path.read_text() for name, path in found.items()} == {"one: in.txt": "a", "other: in.txt": "b"}
