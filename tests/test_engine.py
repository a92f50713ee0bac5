"""Running: order, failure, time-outs, crashes, interruption, resumption. On a real Prefect server."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import fieldloom
import psutil
import pytest
from fieldloom.errors import StageFailed
from fieldloom_storage import Store
from fieldloom_storage.verify import verify

pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture
def run(tmp_path):
    return lambda spec, **options: fieldloom.run(spec, store=tmp_path / "store", **options)


def statuses(run):
    return {name: row["status"] for name, row in run.instances.items()}


def test_values_flow_and_open_as_xarray(write, run):
    done = run(
        write("""
        name: f
        stages:
          n: {uses: probe.number, matrix: {v: [1, 2, 3]}, with: {value: "${matrix.v}"}}
          i: {uses: probe.increment, matrix: {v: [1, 2, 3]}, inputs: {x: n}}
          t: {uses: probe.total, inputs: {x: i.*}}
    """)
    )
    assert float(done["t"].x) == 9.0
    assert float(done["i[v=2].x"].x) == 3.0
    assert done.status == "done"
    assert (done.folder / "report.html").read_text().startswith("<!doctype html>")
    with pytest.raises(fieldloom.FieldloomError, match="did you mean"):
        done["i[v=22]"]


def test_failing_branch_does_not_stop_the_others(write, run, tmp_path):
    spec = write(f"""
        name: f
        stages:
          bad: {{uses: probe.fail, with: {{counter: {tmp_path}/count}}}}
          after: {{uses: probe.increment, inputs: {{x: bad}}}}
          good: {{uses: probe.number}}
          then: {{uses: probe.increment, inputs: {{x: good}}}}
    """)
    with pytest.raises(
        StageFailed, match=r"flow\.yaml:4:3: stage bad \(probe\.fail\): ZeroDivisionError: try 1 \(in run"
    ):
        run(spec)
    done = fieldloom.open_run(store=tmp_path / "store")
    assert statuses(done) == {"bad": "failed", "after": "skipped", "good": "done", "then": "done"}
    log = (done.folder / "log.jsonl").read_text()
    assert "Traceback" in log
    assert "ZeroDivisionError" in log


def test_retries_with_delay(write, run, tmp_path):
    done = run(
        write(f"""
        name: f
        stages:
          flaky: {{uses: probe.fail, with: {{counter: {tmp_path}/count, times: 2}}, retries: 2, retry_delay: 100ms}}
    """)
    )
    assert statuses(done) == {"flaky": "done"}
    assert (tmp_path / "count").read_text() == "3"


def team(write, **params):
    given = ", ".join(f"{name}: {value}" for name, value in params.items())
    return write(f"""
        name: f
        stages:
          t: {{uses: probe.team, with: {{{given}}}, timeout: 60s}}
    """)


def test_ranks_work_together_and_the_first_one_writes(write, run):
    done = run(team(write))
    assert float(done["t"].x) == 3.0
    assert statuses(run(team(write))) == {"t": "cached"}
    assert statuses(run(team(write, processes=1))) == {"t": "done"}


@pytest.mark.parametrize(
    ("params", "why"),
    [
        ({"failing": 1}, "ArithmeticError: rank 1 of 2 failed"),
        ({"failing": 0}, "ArithmeticError: rank 0 of 2 failed"),
        ({"dying": 1}, "ended by SIGABRT"),
    ],
)
def test_a_rank_that_fails_ends_the_others(write, run, tmp_path, params, why):
    """The others wait for it in a collective operation, for ever."""
    with pytest.raises(StageFailed, match=why):
        run(team(write, **params))
    assert not [p for p in psutil.Process().children(recursive=True) if "fieldloom.engine.child" in p.cmdline()]
    assert list(verify(Store(tmp_path / "store"))) == []


def test_a_rank_that_is_stuck_is_stopped_in_time(write, run):
    spec = team(write, stuck=1)
    spec.write_text(spec.read_text().replace("60s", "6s"))
    with pytest.raises(StageFailed, match="timeout of 6 s"):
        run(spec)


def test_timeout_stops_a_stage_that_is_stuck_in_c(write, run, tmp_path):
    spec = write("name: f\nstages:\n  stuck: {uses: probe.sleep, with: {seconds: 600}, timeout: 2s}\n")
    started = time.monotonic()
    with pytest.raises(StageFailed, match="timeout of 2 s"):
        run(spec)
    assert time.monotonic() - started < 60
    assert not [p for p in psutil.Process().children(recursive=True) if "engine.child" in " ".join(p.cmdline())]


def test_memory_cap_is_an_error_of_the_stage(write, run):
    spec = write("name: f\nstages:\n  h: {uses: probe.hungry, with: {megabytes: 900}, resources: {memory: 500MiB}}\n")
    with pytest.raises(StageFailed, match="more memory than its cap of 500 MiB"):
        run(spec)


def test_broken_contract_is_an_error_that_names_the_port(write, run):
    with pytest.raises(StageFailed, match="output 'x' of w breaks its contract"):
        run(write("name: f\nstages:\n  w: {uses: probe.wrong}\n"))


def test_isolated_and_threaded_runs_give_the_same_content(write, run, tmp_path):
    text = "name: f\nseed: 3\nstages:\n  a: {{uses: probe.noise, isolate: {}}}\n"
    one = fieldloom.run(write(text.format("true"), "a.yaml"), store=tmp_path / "1")
    two = fieldloom.run(write(text.format("false"), "b.yaml"), store=tmp_path / "2")
    assert one.artifact("a").digest == two.artifact("a").digest


def test_stream_goes_through(write, run):
    done = run(write("name: f\nstages:\n  p: {uses: probe.produce, with: {columns: 50}}\n"))
    assert done["p"].u.shape == (64, 50)
    assert float(done["p"].u[63, 49]) == 16 * 50 - 1 + 3


def test_stage_that_died_continues_from_its_checkpoint(write, run, tmp_path):
    marker = tmp_path / "marker"
    spec = write(f"""
        name: f
        stages:
          c: {{uses: probe.checkpointed, with: {{steps: 8, die_at: 5, marker: {marker}}}}}
    """)
    with pytest.raises(StageFailed, match="SIGKILL"):
        run(spec)
    assert float(run(spec)["c"].x) == sum(range(1, 9))
    assert marker.read_text().split() == ["died", "6", "7", "8"]
    assert not list((tmp_path / "store" / "checkpoints").iterdir())


def test_fan_out_becomes_few_tasks(write, run):
    from prefect.client.orchestration import get_client

    done = run(
        write(
            """
        name: wide
        params: {{values: [{}]}}
        stages:
          n: {{uses: probe.number, matrix: {{v: "${{values}}"}}, with: {{value: "${{matrix.v}}"}}}}
          t: {{uses: probe.total, inputs: {{x: n.*}}}}
    """.format(", ".join(map(str, range(200))))
        )
    )
    assert float(done["t"].x) == sum(range(200))
    flow_run = done.store.ledger.run(done.id)["info"]["prefect_run"]
    time.sleep(3)  # the server writes task runs down behind our back
    with get_client(sync_client=True) as client:
        query = {"flow_runs": {"id": {"any_": [flow_run]}}}
        assert 2 <= client._client.post("/task_runs/count", json=query).json() <= 20


def test_one_failure_in_a_batch_spares_the_rest(write, run, tmp_path):
    spec = write(f"""
        name: f
        stages:
          n: {{uses: probe.number, matrix: {{v: [1, 2, 3]}}, batch: 3}}
          bad: {{uses: probe.fail, matrix: {{v: [1, 2]}}, batch: 2, with: {{counter: "{tmp_path}/c${{matrix.v}}", times: 1}}}}
    """)
    with pytest.raises(StageFailed):
        run(spec)
    assert statuses(run(spec)) == {"n[v=1]": "cached", "n[v=2]": "cached", "n[v=3]": "cached",
                                   "bad[v=1]": "done", "bad[v=2]": "done"}  # fmt: skip


def test_prefect_shows_something_worth_seeing(write, run):
    from prefect.client.orchestration import get_client

    done = run(write("name: f\nstages:\n  a: {uses: probe.number}\n"))
    info = done.store.ledger.run(done.id)["info"]
    with get_client(sync_client=True) as client:
        flow_run = client.read_flow_run(info["prefect_run"])
        query = {"artifacts": {"flow_run_id": {"any_": [info["prefect_run"]]}}}
        artifacts = client._client.post("/artifacts/filter", json=query).json()
    assert flow_run.name == done.id
    assert flow_run.state_name == "Completed"
    assert {a["key"] for a in artifacts} == {"stages", "report"}
    assert json.loads(next(a["data"] for a in artifacts if a["key"] == "stages"))[0]["status"] == "done"


def test_secrets_appear_nowhere(write, run, monkeypatch, tmp_path):
    monkeypatch.setenv("PROBE_TOKEN", "hunter2-very-secret")
    done = run(
        write("""
        name: f
        env: [PROBE_TOKEN]
        stages:
          a: {uses: probe.number, with: {label: "${env.PROBE_TOKEN}"}}
          b: {uses: probe.fail, with: {counter: "/nonexistent/${env.PROBE_TOKEN}"}}
    """),
        check=False,
    )
    assert statuses(done) == {"a": "done", "b": "failed"}
    for path in (tmp_path / "store").rglob("*"):
        if path.is_file():
            assert b"hunter2" not in path.read_bytes(), path
    assert done.instances["a"]["info"]["params"]["label"] == "${env.PROBE_TOKEN}"


SLOW = """
    name: slow
    params: {{diary: {diary}}}
    stages:
      w: {{uses: probe.work, matrix: {{i: [0, 1, 2, 3, 4, 5]}}, with: {{seconds: 0.5, value: "${{matrix.i}}", diary: "${{diary}}"}}}}
      p: {{uses: probe.work, isolate: true, with: {{seconds: 0.6, value: 9, diary: "${{diary}}"}}}}
      t: {{uses: probe.total, inputs: {{x: [w.*, p]}}}}
"""


@pytest.fixture
def start(tmp_path):
    """Start the command line in the background; everything it started is gone at the end of the test."""
    started = []

    def start(*arguments):
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent / "probe")}
        process = subprocess.Popen([sys.executable, "-m", "fieldloom", *map(str, arguments)], cwd=tmp_path, env=environment,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # fmt: skip
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def await_line(path, count):
    deadline = time.monotonic() + 90
    while not path.exists() or len(path.read_text().splitlines()) < count:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_killed_run_resumes_and_repeats_nothing(write, start, tmp_path):
    diary = tmp_path / "diary"
    spec = write(SLOW.format(diary=diary))
    first = start("run", spec, "--workers", 2)
    await_line(diary, 2)
    children = psutil.Process(first.pid).children(recursive=True)
    first.kill()
    first.wait()
    _, alive = psutil.wait_procs(children, timeout=5)
    assert not alive
    before = diary.read_text().splitlines()
    assert list(verify(Store(tmp_path / ".fieldloom"))) == []
    second = start("run", spec, "--workers", 2)
    assert second.wait() == 0, second.stderr.read()
    names = [line.split()[0] for line in diary.read_text().splitlines()]
    recorded = [line.split()[0] for line in before]
    assert all(names.count(name) <= 2 for name in names)
    assert all(names.count(name) == 1 for name in recorded[:-2])  # all but what was being committed
    runs = Store(tmp_path / ".fieldloom").ledger.runs()
    assert [row["status"] for row in runs] == ["done", "crashed"]
    done = fieldloom.open_run(store=tmp_path / ".fieldloom")
    assert float(done["t"].x) == 24.0


def test_ctrl_c_stops_cleanly_and_the_next_run_goes_on(write, start, tmp_path):
    diary = tmp_path / "diary"
    spec = write(SLOW.format(diary=diary))
    process = start("run", spec, "--workers", 2)
    await_line(diary, 1)
    process.send_signal(signal.SIGINT)
    _stdout, stderr = process.communicate(timeout=40)
    assert process.returncode == 130, stderr
    assert "interrupted" in stderr
    run = fieldloom.open_run(store=tmp_path / ".fieldloom")
    assert run.status == "cancelled"
    assert "skipped" in statuses(run).values()
    assert start("run", spec).wait() == 0


def test_processes_that_run_the_same_flow_share_the_work(write, start, tmp_path):
    diary = tmp_path / "diary"
    spec = write(SLOW.format(diary=diary))
    processes = [start("run", spec, "--workers", 2) for _ in range(3)]
    for process in processes:
        _stdout, stderr = process.communicate(timeout=200)
        assert process.returncode == 0, stderr
    names = [line.split()[0] for line in diary.read_text().splitlines()]
    assert sorted(names) == sorted(set(names)), "a stage was computed twice"


def test_embedded_server_serves_and_dies_with_its_run(write, tmp_path, cli):
    spec = write("name: f\nstages:\n  a: {uses: probe.number}\n")
    result = cli("run", spec, check=0, PREFECT_API_URL="")
    assert "f: done" in result.stdout
    assert not [p for p in psutil.process_iter(["cmdline"]) if str(tmp_path) in " ".join(p.info["cmdline"] or [])]
    databases = list((tmp_path / ".fieldloom" / "prefect").glob("prefect-*.db"))
    if databases:
        import sqlite3

        states = sqlite3.connect(databases[0]).execute("SELECT state_type FROM task_run").fetchall()
        assert states == [("COMPLETED",)]


def test_steps_with_the_same_matrix_are_all_collected(write, tmp_path):
    """Instances of two steps may share their coordinates; none may hide another."""
    spec = write(
        "name: both\nstages:\n"
        "  one: {uses: probe.number, matrix: {v: [1, 2]}, with: {value: '${matrix.v}'}}\n"
        "  ten: {uses: probe.add, matrix: {v: [1, 2]}, inputs: {a: one, b: one}, with: {plus: 10}}\n"
        "  sum: {uses: probe.total, inputs: {x: [one.*, ten.*]}}\n"
    )
    found = fieldloom.run(spec, store=tmp_path / "store")
    assert float(found["sum"].x) == 1 + 2 + 12 + 14
