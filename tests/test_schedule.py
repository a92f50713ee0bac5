"""A schedule on a real Prefect server: runs start, and find what earlier ones left."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest
from fieldloom_storage import Store

SERVE = """
import sys
from fieldloom.engine.prefect_flow import run_spec

if __name__ == "__main__":
    run_spec.serve(name="often", interval=5, parameters={"spec": sys.argv[1], "store": sys.argv[2]})
"""


def await_true(condition, seconds):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.5)


def answers(url):
    try:
        return urllib.request.urlopen(url, timeout=2).status == 200
    except (OSError, urllib.error.URLError):
        return False


@pytest.mark.slow
def test_scheduled_runs_start_and_reuse(write, tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    environment = {
        **os.environ, "PREFECT_HOME": str(tmp_path / "home"), "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1", "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
    }  # fmt: skip
    spec = write(
        "name: nightly\nstages:\n  a: {uses: template.signal}\n  b: {uses: template.smooth, inputs: {signal: a}}\n"
    )
    (tmp_path / "serve.py").write_text(SERVE)
    store = tmp_path / "store"
    commands = [
        [sys.executable, "-m", "prefect", "server", "start", "--no-ui", "--port", port],
        [sys.executable, str(tmp_path / "serve.py"), str(spec), str(store)],
    ]
    processes = []
    try:
        for command in commands:
            quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            processes.append(subprocess.Popen(command, env=environment, start_new_session=True, **quiet))
            await_true(lambda: answers(f"{environment['PREFECT_API_URL']}/health"), 120)

        def runs():
            return [r for r in Store(store).ledger.runs() if r["status"] == "done"] if store.exists() else []

        await_true(lambda: len(runs()) >= 2, 180)
    finally:
        for process in processes:
            os.killpg(process.pid, 9)
            process.wait()
    statuses = [{row["status"] for row in Store(store).ledger.instances(run["id"])} for run in runs()]
    assert statuses.count({"done"}) == 1  # whichever of those that started in one second came first
    assert statuses.count({"cached"}) == len(statuses) - 1
