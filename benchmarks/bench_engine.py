"""The engine: cost of a stage, large arrays, fan-out, crashes, many processes, outside look-ups."""

import contextlib
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from fieldloom.engine.server import embedded_server
from fieldloom_storage import Store
from fieldloom_storage.verify import verify
from measure import CLI, ENVIRONMENT, Row, chain, interleaved, tree


@contextlib.contextmanager
def server(folder):
    """A Prefect server that runs for the time of the block."""
    with embedded_server(Store(Path(folder, "server"))) as url:
        yield {"PREFECT_API_URL": url}


def cold():
    """A cold 50-stage no-op flow with a server running: client CPU for each stage, start-up taken off."""
    with tempfile.TemporaryDirectory() as folder, server(folder) as environment:
        flows = {n: chain(Path(folder, f"flow{n}.yaml"), n, f"chain{n}") for n in (1, 51)}

        def run(n):
            shutil.rmtree(Path(folder, "store"), ignore_errors=True)
            cost = tree([*CLI, "run", "--quiet", flows[n], "--store", f"{folder}/store"], **environment)
            assert cost.code == 0, cost.stderr
            return cost.cpu

        run(1)
        seconds = interleaved(5, one=lambda: run(1), many=lambda: run(51))
    each = (seconds["many"] - seconds["one"]) / 50 * 1000
    yield Row("cold 50-stage no-op flow, server running", "≤ 25 client ms a stage",
              f"{each:.1f} ms ({seconds['many']:.1f} s in all, {seconds['one']:.1f} s of it start-up)", each <= 25)  # fmt: skip


_NUMPY = """
import sys, numpy as np
u = np.full((64, 2048, 2048), 1.0, np.float32)
np.save(sys.argv[1] + "/0.npy", u)
del u
for i in range(1, 5):
    u = np.load(f"{sys.argv[1]}/{i - 1}.npy")
    u += 1
    np.save(f"{sys.argv[1]}/{i}.npy", u)
    del u
print(float(np.load(sys.argv[1] + "/4.npy")[0, 0, 0]))
"""


def arrays():
    """1 GiB of float32 through five stages, written, digested, read back; NumPy does the same without digests."""
    with tempfile.TemporaryDirectory() as folder, server(folder) as environment:
        spec = Path(folder, "flow.yaml")
        lines = ["name: arrays", "stages:", "  s0: {uses: big.make}"]
        lines += [f"  s{i}: {{uses: big.add, inputs: {{u: s{i - 1}}}}}" for i in range(1, 5)]
        spec.write_text("\n".join(lines) + "\n")
        plugin = Path(__file__).parent / "big"
        paths = {"PYTHONPATH": os.pathsep.join([str(plugin), ENVIRONMENT["PYTHONPATH"]])}
        peaks = []

        def ours():
            shutil.rmtree(Path(folder, "store"), ignore_errors=True)
            cost = tree([*CLI, "run", "--quiet", "--workers", "1", spec, "--store", f"{folder}/store"], memory=True,
                        **environment, **paths)  # fmt: skip
            assert cost.code == 0, cost.stderr
            peaks.append(cost.peak)
            return cost.cpu

        def numpy():
            Path(folder, "npy").mkdir(exist_ok=True)
            cost = tree([sys.executable, "-c", _NUMPY, f"{folder}/npy"])
            assert cost.stdout.strip() == "5.0", cost.stderr
            return cost.cpu

        seconds = interleaved(5, ours=ours, numpy=numpy)
    peak = max(peaks) / 2**30
    yield Row("1 GiB float32 through 5 stages", "≤ 22 s, peak ≤ 2.2 GiB",
              f"{seconds['ours']:.1f} s (`numpy.save`/`load` {seconds['numpy']:.1f} s), peak {peak:.2f} GiB",
              seconds["ours"] <= 22 and peak <= 2.2)  # fmt: skip


def fan_out():
    """1,000 small instances."""
    with tempfile.TemporaryDirectory() as folder, server(folder) as environment:
        values = ", ".join(map(str, range(1000)))
        wide, one = Path(folder, "wide.yaml"), chain(Path(folder, "one.yaml"), 1)
        wide.write_text(f"name: wide\nparams: {{v: [{values}]}}\nstages:\n"
                        '  a: {uses: probe.number, matrix: {v: "${v}"}, with: {value: "${matrix.v}"}}\n')  # fmt: skip

        def run(spec):
            shutil.rmtree(Path(folder, "store"), ignore_errors=True)
            cost = tree([*CLI, "run", "--quiet", spec, "--store", f"{folder}/store"], **environment)
            assert cost.code == 0, cost.stderr
            return cost.cpu

        seconds = interleaved(3, one=lambda: run(one), wide=lambda: run(wide))
        info = Store(Path(folder, "store")).ledger.runs()[0]["info"]
        time.sleep(4)
        tasks = _count_tasks(environment["PREFECT_API_URL"], info["prefect_run"])
    each = seconds["wide"] - seconds["one"]
    yield Row("fan-out of 1,000 small instances", "≤ 20 Prefect task runs, ≤ 10 ms an instance",
              f"{tasks} task runs, {each:.1f} ms an instance", tasks <= 20 and each <= 10)  # fmt: skip


def _count_tasks(url, flow_run):
    import json
    import urllib.request

    body = json.dumps({"flow_runs": {"id": {"any_": [flow_run]}}}).encode()
    request = urllib.request.Request(f"{url}/task_runs/count", body, {"Content-Type": "application/json"})
    return json.loads(urllib.request.urlopen(request).read())


_CRASH = """
name: crash
params: {{diary: {diary}}}
stages:
  a: {{uses: probe.work, matrix: {{i: [0, 1, 2, 3]}}, with: {{seconds: 0.3, value: "${{matrix.i}}", diary: "${{diary}}"}}}}
  b: {{uses: probe.increment, matrix: {{i: [0, 1, 2, 3]}}, inputs: {{x: a}}}}
  c: {{uses: probe.work, isolate: true, matrix: {{j: [10, 20]}}, with: {{seconds: 0.4, value: "${{matrix.j}}", diary: "${{diary}}"}}}}
  p: {{uses: probe.produce, with: {{blocks: 20, rows: 200, columns: 1000}}}}
  t: {{uses: probe.total, inputs: {{x: [b.*, c.*]}}}}
"""


def kills(count=100):
    """``kill -9`` at random moments, each followed by a resume, which may be killed in its turn.

    An instance counts as finished once the ledger says so; its line in the diary must then stay the only one of
    that moment. A kill between a stage's last statement and its commit rightly repeats the stage.
    """
    generator = random.Random(0)
    halves = repeated = orphans = killed = equal = rounds = failed = 0
    with tempfile.TemporaryDirectory() as folder:
        spec, diary = Path(folder, "flow.yaml"), Path(folder, "diary")
        spec.write_text(_CRASH.format(diary=diary))
        started = time.perf_counter()
        expected = _finish(spec, Path(folder, "undisturbed"))
        longest = 1.2 * (time.perf_counter() - started)
        while killed < count:
            store, finished = Path(folder, f"store{rounds}"), {}
            diary.unlink(missing_ok=True)
            while (process := _killed(spec, store, generator.uniform(0.2, longest))) is None:
                killed += 1
                orphans += len(_killed.orphans)
                halves += len(list(verify(Store(store))))
                lines = [line.split()[0] for line in diary.read_text().splitlines()] if diary.exists() else []
                repeated += sum(lines.count(name) != times for name, times in finished.items())
                finished = {name: lines.count(name) for name in _finished(store)}
            rounds += 1
            failed += process.returncode != 0
            equal += _digests(store) == expected
            if process.returncode:
                sys.stderr.write(process.stderr.read().decode())
    yield Row(
        f"{count} `kill -9` at random moments, each followed by a resume",
        "nothing half-written, nothing finished repeated, no orphan, final digests equal",
        f"{halves} half-written, {repeated} repeated, {orphans} orphans, {equal} of {rounds} completions equal",
        halves == repeated == orphans == failed == 0 and equal == rounds > 0,
    )


def _killed(spec, store, after):
    """Start a run and kill it after some seconds; the process if it was faster."""
    process = _start(spec, store)
    try:
        process.wait(after)
        return process
    except subprocess.TimeoutExpired:
        children = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        process.communicate()
        _killed.orphans = psutil.wait_procs(children, timeout=3)[1]
        return None


def _start(spec, store):
    command = [*CLI, "run", "--quiet", "--workers", "2", str(spec), "--store", str(store)]
    return subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def _finish(spec, store):
    process = _start(spec, store)
    process.communicate()
    assert process.returncode == 0
    return _digests(store)


def _digests(store):
    """The outputs of the last complete run, by instance."""
    ledger = Store(store).ledger
    done = [row for row in ledger.runs() if row["status"] == "done"]
    return {row["name"]: row["outputs"] for row in ledger.instances(done[0]["id"])} if done else None


def _finished(store):
    """Instances that the ledger knows to be finished."""
    ledger = Store(store).ledger
    return {row["name"] for run in ledger.runs() for row in ledger.instances(run["id"]) if row["status"] == "done"}


def eight():
    """Eight processes run the same flow on one store at once."""
    with tempfile.TemporaryDirectory() as folder, server(folder) as environment:
        spec, diary, store = Path(folder, "flow.yaml"), Path(folder, "diary"), Path(folder, "store")
        spec.write_text(_CRASH.format(diary=diary))
        command = [*CLI, "run", "--quiet", str(spec), "--store", str(store)]
        processes = [subprocess.Popen(command, env={**ENVIRONMENT, **environment}, stdout=subprocess.DEVNULL,
                                      stderr=subprocess.PIPE) for _ in range(8)]  # fmt: skip
        codes = [process.communicate() and process.returncode for process in processes]
        names = [line.split()[0] for line in diary.read_text().splitlines()]
        outputs = {str(_digests(store))}
    twice = len(names) - len(set(names))
    yield Row("8 processes running one flow on one store", "all succeed, one artifact a key, nothing twice",
              f"{codes.count(0)} of 8 succeed, {twice} computed twice", codes == [0] * 8 and not twice and len(outputs) == 1)  # fmt: skip


def lookups():
    """Outside connections and DNS look-ups of a default run, by strace."""
    if not shutil.which("strace"):
        yield Row("outside look-ups of a default run", "0", "not measured: strace is not installed", False)
        return
    with tempfile.TemporaryDirectory() as folder:
        spec = chain(Path(folder, "flow.yaml"), 3)
        trace = Path(folder, "trace")
        command = ["strace", "-f", "-qq", "-e", "trace=connect,sendto,sendmsg", "-o", trace, *CLI, "run", spec]
        cost = tree(command, cwd=folder, PREFECT_API_URL="")
        assert cost.code == 0, cost.stderr
        addresses = re.findall(r'sin6?_addr[^"]*"([^"]+)"', trace.read_text())
    outside = [a for a in addresses if not a.startswith("127.") and a != "::1"]
    yield Row("outside look-ups of a default run (DNS included)", "0",
              f"{len(outside)} (of {len(addresses)} connections)", not outside)  # fmt: skip
