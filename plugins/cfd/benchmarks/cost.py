"""What a wake and a plume cost, and what two workers gain on eight wakes."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import fieldloom
import numpy as np
from fieldloom_cfd.channel_flow import channel_flow, discretise
from fieldloom_cfd.meshing import channel_mesh, circle
from fieldloom_cfd.smoke import Box, at_rest, divergence, random_smoke, simulate

SPEC = """
name: eight
stages:
  wake:
    uses: cfd.cylinder-wake
    matrix: {radius: [0.045, 0.0465, 0.048, 0.0495, 0.051, 0.0525, 0.054, 0.0555]}
    with: {radius: "${matrix.radius}", duration: 6.0, frames: 150, resolution: 8}
"""


def one_wake(resolution):
    start = time.process_time()
    domain = discretise(channel_mesh(2.2, 0.41, circle((0.2, 0.2), 0.05), 0.05 / resolution))
    for _ in channel_flow(domain, 1.0, 1e-3, 6.0, 150):
        pass
    return len(domain.nodes), time.process_time() - start


def plume(cells):
    box = Box(32 / cells, 1.5, 0.01, 0.5)
    start = time.process_time()
    worst = max(
        np.abs(divergence(s.u, s.v, box.h)).max()
        for s in simulate(at_rest(random_smoke(np.random.default_rng(0), cells)), box, 64)
    )
    return time.process_time() - start, worst


def eight_wakes(workers):
    """Wall seconds of the command, and from the first wake's start to the last one's end."""
    with tempfile.TemporaryDirectory() as folder:
        spec = Path(folder) / "eight.yaml"
        spec.write_text(SPEC)
        start = time.perf_counter()
        command = [sys.executable, "-m", "fieldloom", "run", str(spec), "--store", f"{folder}/store"]
        subprocess.run([*command, "--workers", str(workers)], capture_output=True, text=True, check=True)
        whole = time.perf_counter() - start
        rows = fieldloom.open_run("latest", store=f"{folder}/store").instances.values()
        return whole, max(r["finished"] for r in rows) - min(r["finished"] - r["seconds"] for r in rows)


if __name__ == "__main__":
    for resolution in (8, 9):
        print("one wake, 6 s of flow, {} nodes: {:.1f} CPU s".format(*one_wake(resolution)), flush=True)
    for cells in (32, 64, 128):
        cost, worst = plume(cells)
        print(f"smoke, {cells}^2, 64 steps: {cost:.2f} CPU s, largest divergence {worst:.1e}", flush=True)
    one, two = eight_wakes(1), eight_wakes(2)
    print(f"8 wakes, 1 worker {one[1]:.1f} s, 2 workers {two[1]:.1f} s: {one[1] / two[1]:.2f}x faster")
    print(f"the whole command, which starts Prefect: {one[0]:.1f} s and {two[0]:.1f} s, {one[0] / two[0]:.2f}x")
