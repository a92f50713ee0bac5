"""Small trajectories with known structure: waves past a square hole on meshes that all differ, and smoke-like blobs."""

import numpy as np
import xarray as xr
from fieldloom.contracts.mesh import triangle_variables
from fieldloom.contracts.population import join
from scipy.spatial import Delaunay

FRAMES = 6
TIMES = 0.1 * np.arange(FRAMES)


def channel(hole=(0.5, 0.25), half=0.08, spacing=0.05, seed=0):
    """Nodes and triangles of [0, 1.6] x [0, 0.4] without a square hole, with nodes moved a little at random."""
    rng = np.random.default_rng(seed)
    x, y = (np.linspace(0, side, round(side / spacing) + 1) for side in (1.6, 0.4))
    points = np.stack(np.meshgrid(x, y), -1).reshape(-1, 2)
    inner = (points > 1e-9).all(1) & (points[:, 0] < 1.6 - 1e-9) & (points[:, 1] < 0.4 - 1e-9)
    points[inner] += rng.uniform(-0.15, 0.15, (inner.sum(), 2)) * spacing
    if hole is None:
        return points, Delaunay(points).simplices.astype(np.int64)
    away = np.abs(points - hole).max(1)
    points = points[away > half + 0.3 * spacing]
    s = np.linspace(-half, half, 5)
    ring = np.concatenate(
        [np.stack(p, 1) for p in ((s, 0 * s - half), (s, 0 * s + half), (0 * s - half, s), (0 * s + half, s))]
    )
    ring = np.unique(ring.round(9), axis=0) + hole
    points = np.concatenate([points, ring])
    triangles = Delaunay(points).simplices
    middle = points[triangles].mean(1)
    triangles = triangles[np.abs(middle - hole).max(1) > half]
    a, b, c = points[triangles].transpose(1, 0, 2)
    turn = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    triangles = triangles[np.abs(turn) > 1e-9]
    turn = turn[np.abs(turn) > 1e-9]
    triangles[turn < 0] = triangles[turn < 0][:, ::-1]
    return points, triangles.astype(np.int64)


def mesh_trajectory(seed):
    """A wave that vanishes on the walls and the hole; its speed is the number ``inflow``."""
    rng = np.random.default_rng(seed)
    hole, half, inflow = (0.5 + 0.2 * rng.random(), 0.2), 0.06, 0.5 + rng.random()
    points, triangles = channel(hole, half, seed=seed)
    x, y = points.T
    outside = np.maximum(np.abs(points - hole).max(1) - half, 0)
    wall = np.tanh(outside / 0.05) * np.clip(y * (0.4 - y) / 0.04, 0, None)
    phase = 6 * (x - inflow * TIMES[:, None])
    velocity = inflow * np.stack([wall * (1 + 0.3 * np.sin(phase)), 0.5 * wall * np.cos(phase)], -1)
    pressure = inflow**2 * (1.6 - x + 0.1 * np.sin(phase))
    about = {"location": "node", "mesh": "mesh"}
    variables = triangle_variables(points, triangles)
    variables["velocity"] = (("time", "node", "component"), velocity.astype("f4"), {"units": "m s-1", **about})
    variables["pressure"] = (("time", "node"), pressure.astype("f4"), {"units": "m2 s-2", **about})
    data = xr.Dataset(variables, {"time": ("time", TIMES, {"units": "s"})})
    return data.set_coords(["node_x", "node_y", "node_z"]), inflow


def population(count=14, first=0):
    """A population of such waves with its inflow and a constant viscosity."""
    made = [mesh_trajectory(first + i) for i in range(count)]
    data = join([m for m, _ in made], {"inflow": [u for _, u in made], "viscosity": [1e-3] * count})
    data["inflow"].attrs = {"units": "m s-1", "long_name": "inflow velocity"}
    data["viscosity"].attrs = {"units": "m2 s-1"}
    return data


def smoke(count=14, cells=16):
    """Blobs that rise at a speed set by ``buoyancy``, on a grid."""
    axis = (np.arange(cells) + 0.5) / cells
    x, y = np.meshgrid(axis, axis)
    density, velocity, buoyancy = [], [], []
    for i in range(count):
        rng = np.random.default_rng(i)
        b = 0.2 + 0.3 * rng.random()
        places = rng.uniform(0.25, 0.75, (1 + i % 3, 2))
        frames = [sum(np.exp(-((x - p) ** 2 + (y - q - b * t) ** 2) / 0.01) for p, q in places) for t in TIMES]
        density.append(frames)
        velocity.append([np.stack([0 * f, b * f], -1) for f in frames])
        buoyancy.append(b)
    return xr.Dataset(
        {
            "smoke": (("sample", "time", "y", "x"), np.array(density, "f4"), {"units": "1"}),
            "velocity": (("sample", "time", "y", "x", "component"), np.array(velocity, "f4"), {"units": "m s-1"}),
            "buoyancy": ("sample", np.array(buoyancy), {"units": "m s-2"}),
        },
        {"time": ("time", TIMES, {"units": "s"}), "x": ("x", axis, {"units": "m"}), "y": ("y", axis, {"units": "m"})},
    )
