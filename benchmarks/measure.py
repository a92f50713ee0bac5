"""Measuring: CPU seconds and peak memory of whole process trees, medians over interleaved rounds, rows of the table."""

import os
import resource
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[1]
PROBE = ROOT / "tests" / "probe"
CLI = [sys.executable, "-m", "fieldloom"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(PROBE), os.environ.get("PYTHONPATH")])), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1",
               "OMP_WAIT_POLICY": "passive"}  # fmt: skip


@dataclass
class Row:
    """One line of the results: what, what it must be, what was measured, and whether that is enough."""

    what: str
    must: str
    measured: str
    ok: bool


@dataclass
class Cost:
    """What a process tree used."""

    cpu: float
    wall: float
    peak: int
    code: int
    stdout: str
    stderr: str


def tree(command, cwd=None, memory=False, **environment):
    """Run a command; CPU seconds of it and of all that it waited for, peak resident bytes of the tree."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    process = subprocess.Popen([str(part) for part in command], cwd=cwd, env={**ENVIRONMENT, **environment}, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip
    watch = _Peak(process.pid) if memory else None
    stdout, stderr = process.communicate()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(cpu, time.perf_counter() - started, watch.stop() if watch else 0, process.returncode, stdout, stderr)


class _Peak:
    """Samples the resident memory of a process and its descendants."""

    def __init__(self, pid):
        import psutil

        self._root, self._peak, self._end = psutil.Process(pid), 0, threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self):
        import psutil

        while not self._end.wait(0.05):
            try:
                tree = [self._root, *self._root.children(recursive=True)]
                self._peak = max(self._peak, sum(p.memory_info().rss for p in tree))
            except psutil.Error:
                continue

    def stop(self):
        self._end.set()
        self._thread.join()
        return self._peak


def interleaved(rounds, **functions):
    """Call each function once a round, in turn; the median of what each returned."""
    found = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            found[name].append(function())
    return {name: median(values) for name, values in found.items()}


def chain(path, stages, name="chain", stage="probe.increment"):
    """Write a spec with a chain of stages."""
    lines = [f"name: {name}", "stages:", "  s0: {uses: probe.number}"]
    lines += [f"  s{i}: {{uses: {stage}, inputs: {{x: s{i - 1}}}}}" for i in range(1, stages)]
    path.write_text("\n".join(lines) + "\n")
    return path
