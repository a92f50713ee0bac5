"""Training data of the benchmarks, simulated by the cfd room and kept in a folder.

Usage: python data.py FOLDER [wakes] [smoke]
"""

import sys
from pathlib import Path

import numpy as np
from fieldloom_cfd.channel_flow import channel_flow, discretise
from fieldloom_cfd.meshing import channel_mesh, circle
from fieldloom_cfd.smoke import Box as SmokeBox
from fieldloom_cfd.smoke import at_rest, centred, random_smoke, simulate
from fieldloom_text2pde.geometry import Box
from fieldloom_text2pde.trajectories import Channel, Sample, Trajectories

NAMES = ("centre_x", "centre_y", "radius", "mean_velocity", "reynolds")
UNITS = dict(zip(NAMES, ("m", "m", "m", "m s-1", "1"), strict=True))
VISCOSITY = 1e-3
FRAMES, SKIPPED, INTERVAL = 32, 59, 0.04


def scenario(i):
    rng = np.random.default_rng([11, i])
    r, x, y, u = rng.uniform(0.04, 0.065), rng.uniform(0.2, 0.4), rng.uniform(0.15, 0.26), rng.uniform(0.3, 1.0)
    return r, x, y, u


def wake(i, resolution=8):
    """Nodes, triangles, numbers and fields (time, n, [u, v, p]) of one wake."""
    r, x, y, u = scenario(i)
    domain = discretise(channel_mesh(1.6, 0.41, circle((x, y), r), r / resolution, growth=1.0), "linear")
    count = SKIPPED + FRAMES
    frames = list(channel_flow(domain, u, VISCOSITY, count * INTERVAL, count))[SKIPPED:]
    fields = np.stack([np.concatenate([f.velocity, f.pressure[:, None]], axis=1) for f in frames])
    return (
        domain.nodes.astype("f4"),
        domain.triangles,
        np.array([x, y, r, u, 2 * r * u / VISCOSITY]),
        fields.astype("f4"),
    )


def wakes(folder, which, resolution=8):
    """Wakes of those numbers, simulated where they are missing."""
    folder = Path(folder) / ("wakes2" if resolution == 8 else f"wakes_resolution_{resolution}")
    folder.mkdir(parents=True, exist_ok=True)
    samples = []
    for i in which:
        path = folder / f"{i:04d}.npz"
        if not path.exists():
            x, triangles, numbers, fields = wake(i, resolution)
            np.savez(path, x=x, tri=triangles, p=numbers, u=fields)
        d = np.load(path)
        numbers = dict(zip(NAMES, map(float, d["p"]), strict=True)) | {"viscosity": VISCOSITY}
        samples.append(Sample(d["u"], d["x"].astype("f8"), d["tri"].astype("i8"), numbers))
    channels = (Channel("velocity", "m s-1", 0, 2), Channel("pressure", "m2 s-2", 2, 1))
    times = (SKIPPED + 1 + np.arange(FRAMES)) * INTERVAL
    return Trajectories(
        tuple(samples), channels, times, UNITS | {"viscosity": "m2 s-1"}, None, Box((0.0, 0.0), (1.6, 0.41))
    )


def smoke(folder, count, cells=32, steps=68, skip=8, every=4):
    """The first ``count`` smoke trajectories, simulated where the file is missing."""
    path = Path(folder) / f"s{cells}_0.npz"
    if not path.exists() or len(np.load(path)["b"]) < count:
        path.parent.mkdir(parents=True, exist_ok=True)
        found = [one_smoke(i, cells, steps, skip, every) for i in range(count)]
        np.savez(path, x=np.stack([f for f, _ in found]), b=np.array([b for _, b in found]))
    d = np.load(path)
    x, b = d["x"][:count], d["b"][:count]
    side = (np.arange(cells) + 0.5) * 32 / cells
    points = np.stack([a.ravel() for a in np.meshgrid(side, side)], axis=1)
    flat = x.reshape(*x.shape[:3], -1).transpose(0, 1, 3, 2)
    none = np.zeros((0, 3), np.int64)
    samples = tuple(
        Sample(np.ascontiguousarray(v), points, none, {"buoyancy": float(a)}) for v, a in zip(flat, b, strict=True)
    )
    channels = (Channel("smoke", "1", 0, 1), Channel("velocity", "m s-1", 1, 2))
    times = 1.5 * (skip + every * np.arange(x.shape[1]))
    return Trajectories(samples, channels, times, {"buoyancy": "m s-2"}, (cells, cells), Box((0.0, 0.0), (32.0, 32.0)))


def one_smoke(i, cells, steps, skip, every):
    rng = np.random.default_rng([5, cells, i])
    density, buoyancy = random_smoke(rng, cells), rng.uniform(0.2, 0.5)
    box, kept = SmokeBox(32 / cells, 1.5, 0.01, buoyancy), []
    for k, state in enumerate(simulate(at_rest(density), box, steps), 1):
        if k >= skip and (k - skip) % every == 0:
            kept.append(np.concatenate([state.density[None], np.moveaxis(centred(state), -1, 0)]).astype("f4"))
    return np.stack(kept), buoyancy


if __name__ == "__main__":
    wakes(sys.argv[1], range(int(sys.argv[2]) if len(sys.argv) > 2 else 400))
    smoke(sys.argv[1], int(sys.argv[3]) if len(sys.argv) > 3 else 1564)
