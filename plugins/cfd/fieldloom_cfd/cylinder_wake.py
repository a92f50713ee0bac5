"""Flow past a circular cylinder in a channel: set-up, time step, stored frames.

The default is the benchmark DFG 2D-2 of Schaefer & Turek, "Benchmark
computations of laminar flow around a cylinder", 1996.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .mesh import ChannelMesh
from .navier_stokes import (
    Array,
    State,
    System,
    advance,
    assemble,
    boundary_force,
    initial_state,
    prepare,
)

CFL_LIMIT = 0.40
"""Largest dt U_gap / h_min up to Re 80; times sqrt(80 / Re) beyond (`largest_time_step`)."""
REYNOLDS_LIMITS = (1.0, 200.0)


@dataclass(frozen=True)
class Frame:
    """One stored instant and the force history since the frame before it.

    Attributes
    ----------
    time : float
        Seconds.
    velocity : ndarray, shape (n, 2)
        m/s.
    pressure : ndarray, shape (n,)
        Kinematic pressure, m2/s2, near zero at the outlet.
    force_times : ndarray, shape (k,)
        Seconds; the last one is ``time``.
    drag, lift : ndarray, shape (k,)
        Coefficients ``2 F / (U_mean^2 D)``.
    """

    time: float
    velocity: Array
    pressure: Array
    force_times: Array
    drag: Array
    lift: Array


def inflow(y: Array, height: float, mean: float) -> Array:
    """Parabolic profile with the given mean, m/s (Schaefer & Turek, section 2.1)."""
    return 6 * mean * y * (height - y) / height**2


def nodal_inflow(mesh: ChannelMesh, mean: float) -> Array:
    """Inflow profile at the height of every node (n,), m/s, with the exact flux.

    The piecewise-linear interpolant of a parabola carries too little flux, by
    ``(h / height)^2``: 1 % on the default mesh, 2 % in drag. It is scaled up.
    """
    y = mesh.nodes[:, 1]
    height = y.max()
    at_inlet = np.sort(np.concatenate([y[mesh.inlet], [0.0, height]]))
    flux = np.trapezoid(inflow(at_inlet, height, mean), at_inlet)
    return inflow(y, height, mean) * (mean * height / flux)


def largest_time_step(mesh: ChannelMesh, mean: float, nu: float) -> float:
    """Stable time step in seconds: ``CFL_LIMIT * min(1, sqrt(80 / Re)) h_min / U_gap``.

    ``U_gap = 1.5 mean / (1 - D / height)`` is the profile's maximum sped up by
    the blockage, ``h_min`` the edge length on the cylinder. The dependence on
    Re is empirical: BDF2 with extrapolated convection is stable on the
    imaginary axis by viscosity alone.
    """
    height = mesh.nodes[:, 1].max()
    first, second = mesh.nodes[mesh.obstacle[:2]]
    gap_speed = 1.5 * mean / (1 - 2 * mesh.radius / height)
    cfl = CFL_LIMIT * min(1.0, np.sqrt(40 * nu / (mean * mesh.radius)))
    return float(cfl * np.linalg.norm(second - first) / gap_speed)


def check_flow(mesh: ChannelMesh, mean: float, nu: float, dt: float | None) -> None:
    """Refuse a Reynolds number or time step outside the documented limits."""
    if not (mean > 0 and nu > 0):
        raise ValueError(f"mean inflow and viscosity must be positive, got {mean}, {nu}")
    reynolds, (low, high) = 2 * mesh.radius * mean / nu, REYNOLDS_LIMITS
    if not low <= reynolds <= high:
        raise ValueError(f"Reynolds number {reynolds:.4g} is outside [{low}, {high}]")
    limit = largest_time_step(mesh, mean, nu)
    if dt is not None and not 0 < dt <= limit:
        raise ValueError(
            f"time step {dt:.3g} s is outside (0, {limit:.3g}] s, the limit "
            f"CFL = dt U_gap / h_min <= {CFL_LIMIT} min(1, sqrt(80 / Re))"
        )


def initial_velocity(mesh: ChannelMesh, mean: float, perturbation: float) -> Array:
    """Inflow profile damped towards the cylinder, with one eddy behind it, (2, n).

    The cross-flow eddy (``perturbation * mean``, one radius wide, two radii
    behind the rear stagnation point) breaks the symmetry, so that shedding
    starts at once and always with the same sign.
    """
    x, y = mesh.nodes.T
    dx, dy = x - mesh.centre[0], y - mesh.centre[1]
    distance = np.hypot(dx, dy) - mesh.radius
    u = nodal_inflow(mesh, mean) * np.tanh(distance / mesh.radius)
    eddy = np.exp(-((dx / mesh.radius - 3) ** 2) - (dy / mesh.radius) ** 2)
    velocity = np.stack([u, perturbation * mean * eddy])
    velocity[:, mesh.walls] = 0.0
    velocity[:, mesh.obstacle] = 0.0
    velocity[1, mesh.inlet] = 0.0
    return velocity


def cylinder_wake(
    mesh: ChannelMesh,
    mean: float = 1.0,
    nu: float = 1e-3,
    duration: float = 6.0,
    frames: int = 150,
    *,
    dt: float | None = None,
    perturbation: float = 0.5,
) -> Iterator[Frame]:
    """Simulate the wake and yield ``frames`` equally spaced instants.

    Parameters
    ----------
    mesh : ChannelMesh
    mean : float
        Mean inflow velocity, m/s, positive.
    nu : float
        Kinematic viscosity, m2/s; ``mean * 2 radius / nu`` must lie in
        ``REYNOLDS_LIMITS``.
    duration : float
        Seconds.
    frames : int
        Number of stored instants; the last is at ``duration``.
    dt : float, optional
        Upper bound of the time step in seconds; the largest stable one unless
        given. It is shortened so that frames fall on steps.
    perturbation : float
        Initial cross-flow as a fraction of ``mean``; 0 starts symmetric.

    Raises
    ------
    ValueError
        For parameters outside the limits, before anything is computed.
    FloatingPointError
        If the solution ceases to be finite.
    """
    check_flow(mesh, mean, nu, dt)
    if not (duration > 0 and frames >= 1):
        raise ValueError(f"duration and frames must be positive, got {duration}, {frames}")
    substeps = int(np.ceil(duration / frames / (dt or largest_time_step(mesh, mean, nu)) - 1e-9))
    return _frames(mesh, mean, nu, duration / frames / substeps, frames, substeps, perturbation)


def _frames(
    mesh: ChannelMesh,
    mean: float,
    nu: float,
    dt: float,
    frames: int,
    substeps: int,
    perturbation: float,
) -> Iterator[Frame]:
    """Lazy part of `cylinder_wake`: memory holds one frame at a time."""
    fixed = np.concatenate([mesh.inlet, mesh.walls, mesh.obstacle])
    ops = assemble(mesh.nodes, mesh.triangles, fixed)
    system = prepare(ops, nu, dt, fixed, mesh.outlet)
    start = initial_velocity(mesh, mean, perturbation)
    state = initial_state(ops, (start,), np.zeros(len(mesh.nodes)))
    force = boundary_force(ops, mesh.obstacle)
    scale = 2 / (mean**2 * 2 * mesh.radius)
    for _ in range(frames):
        history = np.empty((substeps, 3))
        for row in history:
            state = advance(system, state, start[:, fixed])
            row[0], row[1:] = state.time, scale * force(system, state)
        yield as_frame(system, state, history)


def as_frame(system: System, state: State, history: Array) -> Frame:
    """Copy a state out of the time loop.

    Raises
    ------
    FloatingPointError
        If velocity or pressure is not finite.
    """
    u = state.velocity[0].T.copy()
    if not (np.isfinite(u).all() and np.isfinite(state.pressure).all()):
        raise FloatingPointError(
            f"the flow diverged before t = {state.time:.4g} s with dt = {system.dt:.3g} s: "
            "refine the mesh or shorten the time step"
        )
    return Frame(state.time, u, state.pressure.copy(), *history.T)
