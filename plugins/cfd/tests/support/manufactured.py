"""Exact solutions and the errors of the solvers against them."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
from fieldloom_cfd.equal_order import equal_order
from fieldloom_cfd.navier_stokes import advance, initial_state, prepare
from fieldloom_cfd.smoke import Box, advect, solve_poisson
from fieldloom_cfd.taylor_hood import quadratic_mesh, taylor_hood
from scipy.spatial import Delaunay

NU = 0.02
"""Viscosity of the decaying vortex, m2/s."""


def square(n):
    """An irregular mesh of the unit square: nodes, triangles, boundary nodes."""
    s = np.linspace(0, 1, n + 1)
    x, y = (a.ravel() for a in np.meshgrid(s, s))
    inner = (x > 0) & (x < 1) & (y > 0) & (y < 1)
    nodes = np.stack([x, y], 1)
    nodes[:, 0] += np.where((np.rint(y * n) % 2 == 1) & inner, 0.35 / n, 0)
    nodes += np.where(inner[:, None], np.random.default_rng(1).uniform(-0.1, 0.1, nodes.shape) / n, 0)
    triangles = Delaunay(nodes).simplices.astype(np.int64)
    a, b = nodes[triangles[:, 1]] - nodes[triangles[:, 0]], nodes[triangles[:, 2]] - nodes[triangles[:, 0]]
    area = a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
    triangles[area < 0] = triangles[area < 0][:, ::-1]
    return nodes, triangles[np.abs(area) > 1e-10], np.flatnonzero(~inner)


def elements(n, kind):
    """Nodes, boundary nodes and discretisation of the unit square."""
    nodes, triangles, rim = square(n)
    if kind == "linear":
        return nodes, rim, equal_order(nodes, triangles, rim)
    mesh = quadratic_mesh(nodes, triangles)
    return mesh.nodes, np.concatenate([rim, mesh.vertices + mesh.rim()]), taylor_hood(mesh)


def taylor_green(nodes, t):
    """Velocity and pressure of the decaying vortex."""
    x, y = np.pi * nodes.T
    decay = np.exp(-2 * np.pi**2 * NU * t)
    velocity = np.stack([-np.cos(x) * np.sin(y), np.sin(x) * np.cos(y)]) * decay
    return velocity, -(np.cos(2 * x) + np.cos(2 * y)) * decay**2 / 4


def flow_errors(n, steps, kind, end=0.5):
    """Relative L2 errors of velocity and pressure at the end of the decaying vortex."""
    nodes, rim, matrices = elements(n, kind)
    dt, k = end / steps, len(matrices.pressure_mass)
    system = prepare(matrices, NU, dt, rim, np.empty(0, np.int64))
    (u0, p0), (u1, _) = taylor_green(nodes, 0.0), taylor_green(nodes, -dt)
    state = initial_state(matrices, (u0, u1), p0[:k])
    for _ in range(steps):
        state = advance(system, state, taylor_green(nodes, state.time + dt)[0][:, rim])
    exact, pressure = taylor_green(nodes, end)
    return relative_errors(matrices, state, exact, pressure[:k])


def relative_errors(matrices, state, exact, pressure):
    mass, weight = matrices.mass, matrices.pressure_mass
    wrong, gap = state.velocity[0] - exact, state.pressure - pressure
    gap = gap - (gap * weight).sum() / weight.sum()
    velocity = sum(c @ (mass @ c) for c in wrong) / sum(c @ (mass @ c) for c in exact)
    return np.sqrt(velocity), np.sqrt((weight * gap**2).sum() / (weight * pressure**2).sum())


def time_errors(steps, end=1.0, nu=0.1):
    """Errors of a flow that quadratic elements hold exactly: all of it comes from the time stepping.

    u = (y^2, x^2) cos t, p = (x - y) sin t with the force that makes them a solution.
    """
    nodes, rim, matrices = elements(4, "quadratic")
    dt, k = end / steps, len(matrices.pressure_mass)
    system = prepare(matrices, nu, dt, rim, np.empty(0, np.int64))
    x, y = nodes.T

    def velocity(t):
        return np.stack([y**2, x**2]) * np.cos(t)

    def load(t):
        # u_t + (u.grad)u - nu lap u + grad p; the weak convection is taken from the scheme's own, exact form
        rate = -np.stack([y**2, x**2]) * np.sin(t)
        viscous = -2 * nu * np.cos(t) * np.ones((2, len(x)))
        gradient = np.stack([np.ones(len(x)), -np.ones(len(x))]) * np.sin(t)
        smooth = np.stack([matrices.mass @ c for c in rate + viscous + gradient])
        return smooth + matrices.convection(velocity(t))

    state = initial_state(matrices, (velocity(0.0), velocity(-dt)), np.zeros(k))
    # the increment of the step before: p(0) - p(-dt)
    before = ((x - y) * np.sin(dt))[:k]
    state = replace(state, increment=(before, before))
    for i in range(steps):
        state = advance(system, state, velocity((i + 1) * dt)[:, rim], load((i + 1) * dt))
    return relative_errors(matrices, state, velocity(end), ((x - y) * np.sin(end))[:k])


def poisson_error(n):
    """Root mean square error of the cosine-transform solve against a product of cosines."""
    h = 1 / n
    x, y = np.meshgrid((np.arange(n) + 0.5) * h, (np.arange(n) + 0.5) * h)
    exact = np.cos(np.pi * x) * np.cos(2 * np.pi * y)
    return np.sqrt(np.square(solve_poisson(-5 * np.pi**2 * exact, h) - exact).mean())


def swirl(x, y):
    return np.sin(np.pi * x) ** 2 * np.sin(2 * np.pi * y), -(np.sin(np.pi * y) ** 2) * np.sin(2 * np.pi * x)


def traced_back(x, y, time, steps=200):
    """Where points of a steady swirl were before (Runge-Kutta of fourth order)."""
    d = -time / steps
    for _ in range(steps):
        k1 = swirl(x, y)
        k2 = swirl(x + d / 2 * k1[0], y + d / 2 * k1[1])
        k3 = swirl(x + d / 2 * k2[0], y + d / 2 * k2[1])
        k4 = swirl(x + d * k3[0], y + d * k3[1])
        x, y = (p + d / 6 * (a + 2 * b + 2 * c + e) for p, a, b, c, e in zip((x, y), k1, k2, k3, k4, strict=True))
    return x, y


def advection_error(n, interpolation, time=0.25):
    """Relative error of a blob carried by a steady swirl, with a time step of two cells."""
    h = 1 / n
    centre, face = (np.arange(n) + 0.5) * h, np.arange(n + 1) * h
    flow = SimpleNamespace(u=swirl(face[None, :], centre[:, None])[0], v=swirl(centre[None, :], face[:, None])[1])
    box = Box(h, 2 * h, 0.0, 0.0, interpolation)

    def blob(x, y):
        return np.exp(-((x - 0.5) ** 2 + (y - 0.72) ** 2) / 0.02)

    x, y = np.meshgrid(centre, centre)
    values = blob(x, y)
    for _ in range(round(time / box.dt)):
        values = advect(values, flow, box, (0.5, 0.5), "nearest")
    exact = blob(*traced_back(x, y, time))
    return np.sqrt(np.square(values - exact).mean() / np.square(exact).mean())
