"""DFG benchmark 2D-2 (Schäfer & Turek 1996) on three meshes: our values beside theirs, and what they cost.

Usage: python dfg.py [--quick]
"""

import sys
import time

import numpy as np
from fieldloom_cfd.cylinder_wake import cylinder_wake
from fieldloom_cfd.mesh import channel_mesh
from fieldloom_cfd.strouhal import strouhal

REFERENCE = {"St": "0.295-0.305", "c_D max": "3.22-3.24", "c_L max": "0.99-1.01"}


def run(resolution):
    start = time.process_time()
    mesh = channel_mesh(h_min=0.05 / resolution)
    frames = list(cylinder_wake(mesh, 1.0, 1e-3, 6.0, 60))
    t, drag, lift = (np.concatenate([getattr(f, name) for f in frames]) for name in ("force_times", "drag", "lift"))
    late = t >= 3.6
    return (
        len(mesh.nodes),
        strouhal(t, lift, 0.1, 1.0).value,
        drag[late].max(),
        lift[late].max(),
        time.process_time() - start,
    )


if __name__ == "__main__":
    print("| edges a radius | nodes | St | c_D max | c_L max | CPU s |\n|---|---|---|---|---|---|")
    for resolution in (6, 9) if "--quick" in sys.argv else (6, 9, 13):
        nodes, number, drag, lift, cpu = run(resolution)
        print(f"| {resolution} | {nodes} | {number:.4f} | {drag:.3f} | {lift:.3f} | {cpu:.1f} |")
    print(f"| Schäfer & Turek | | {REFERENCE['St']} | {REFERENCE['c_D max']} | {REFERENCE['c_L max']} | |")
