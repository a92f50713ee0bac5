"""For how long generated trajectories are solutions: their first frames, continued by the solvers of the cfd room.

Usage: python consistency.py DATA OUT.json

Of the shipped checkpoints, one member a test case, drawn from its numbers alone. Distance from the solver's
continuation (relative L2 of the velocity, by area) after one frame, half way and at the end; rms divergence over rms
gradient; and the same for the stored simulations, which is what starting anew costs.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from data import FRAMES, INTERVAL, VISCOSITY, scenario, smoke, wakes
from fieldloom_cfd.agreement import over_time
from fieldloom_cfd.channel_flow import channel_flow, discretise
from fieldloom_cfd.derived import gradient_operator, grid_gradient, mesh_gradient
from fieldloom_cfd.meshing import channel_mesh, circle
from fieldloom_cfd.smoke import Box, centred, simulate, start_from
from fieldloom_text2pde import pipeline
from fieldloom_text2pde.checkpoint import load
from fieldloom_text2pde.generator.model import Draw, Generator

CHECKPOINTS = Path(__file__).parents[1] / "fieldloom_text2pde" / "checkpoints"
WAKES, SMOKES = range(340, 360), range(1500, 1540)


def model_of(name):
    return Generator.from_dataset(load(CHECKPOINTS / name))


def continued_wake(i, values):
    """Velocity (time, n, 2) from the first frame of ``values`` (time, n, [u, v, p]), which is the first of it."""
    r, x, y, u = scenario(i)
    domain = discretise(channel_mesh(1.6, 0.41, circle((x, y), r), r / 8, growth=1.0), "linear")
    start = values[0, :, :2], values[0, :, 2]
    flow = channel_flow(domain, u, VISCOSITY, (FRAMES - 1) * INTERVAL, FRAMES - 1, start=start)
    return np.stack([start[0], *(frame.velocity for frame in flow)])


def wake_rows(i, sample, values):
    operator = gradient_operator(sample.points, sample.triangles)
    corners = sample.points[sample.triangles]
    areas = np.abs(np.linalg.det(corners[:, 1:] - corners[:, :1])) / 2
    shares = np.bincount(sample.triangles.ravel(), np.repeat(areas / 3, 3), len(sample.points))
    solved = continued_wake(i, values)
    return over_time(values[..., :2], solved, np.arange(FRAMES), shares, lambda u: mesh_gradient(operator, u))


def smoke_rows(sample, values):
    frames = values.reshape(len(values), 32, 32, 3).astype(float)
    state = start_from(frames[0, ..., 0], frames[0, ..., 1:], 1.0)
    box = Box(1.0, 1.5, 0.01, sample.numbers["buoyancy"])
    solved = [state, *list(simulate(state, box, 4 * (len(frames) - 1)))[3::4]]
    solved = np.stack([centred(s) for s in solved]).reshape(len(frames), -1, 2)
    flat = frames[..., 1:].reshape(len(frames), -1, 2)

    def differentiate(u):
        return grid_gradient(u.reshape(32, 32, 2), (1.0, 1.0)).reshape(-1, 2, 2)

    return over_time(flat, solved, np.arange(len(frames)), np.ones(flat.shape[1]), differentiate)


def summary(cases):
    """Medians over cases of rows over time."""
    table = {name: np.array([[row[name] for row in rows] for rows in cases]) for name in cases[0][0]}
    last = len(cases[0]) - 1
    found = {f"distance_{k}": float(np.median(table["distance"][:, k])) for k in (1, last // 2, last)}
    for name in ("divergence", "divergence_of_solver", "slip"):
        found[name] = float(np.median(table[name][:, 1:].mean(axis=1)))
    return found


def main(folder, out):
    torch.set_num_threads(1)
    result, draw = {}, Draw(0)
    model, test = model_of("cylinder"), wakes(folder, WAKES)
    ties = pipeline.domains_of(model.autoencoder, model.setting, test)
    known = [s.numbers_in(model.setting.numbers.names) for s in test.samples]
    drawn = [model.imagined(d, k, 1, draw)[0] for d, k in zip(ties, known, strict=True)]
    for name, trajectories in (("generated wakes", drawn), ("simulated wakes", [s.values for s in test.samples])):
        cases = zip(WAKES, test.samples, trajectories, strict=True)
        result[name] = summary([wake_rows(i, s, v) for i, s, v in cases])
        print(name, result[name], flush=True)
    model, test = model_of("smoke"), smoke(folder, SMOKES.stop).some(SMOKES)
    domain = model.autoencoder.domain()
    drawn = [model.imagined(domain, {"buoyancy": s.numbers["buoyancy"]}, 1, draw)[0] for s in test.samples]
    for name, trajectories in (("generated smoke", drawn), ("simulated smoke", [s.values for s in test.samples])):
        result[name] = summary([smoke_rows(s, v) for s, v in zip(test.samples, trajectories, strict=True)])
        print(name, result[name], flush=True)
    Path(out).write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
