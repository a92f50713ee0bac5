"""Buoyant smoke in a closed two-dimensional box, on a staggered (marker-and-cell) grid.

One step: carry smoke and velocity along the flow (semi-Lagrangian), lift by the
smoke, diffuse, make the velocity divergence-free by a fast cosine transform.
The set-up is PDEArena's (Gupta & Brandstetter, "Towards multi-spatiotemporal-scale
generalized PDE modeling", TMLR 2023, appendix B); the scheme with linear
interpolation is the one that it computes.

References
----------
F.H. Harlow, J.E. Welch, "Numerical calculation of time-dependent viscous
incompressible flow of fluid with free surface", Phys. Fluids 8, 2182-2189, 1965.
J. Stam, "Stable fluids", SIGGRAPH 1999.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dctn, idctn
from scipy.ndimage import map_coordinates

Array = NDArray[np.float64]
Interpolation = Literal["linear", "cubic"]
DIFFUSION_LIMIT = 0.25
"""Largest nu dt / h2 of one explicit diffusion step in two dimensions; longer steps are divided."""


@dataclass(frozen=True)
class Smoke:
    """One instant on ``ny`` x ``nx`` cells.

    Attributes
    ----------
    density : ndarray, shape (ny, nx)
        Smoke at the cells' centres, dimensionless.
    u : ndarray, shape (ny, nx + 1)
        Horizontal velocity on vertical faces; zero on the walls.
    v : ndarray, shape (ny + 1, nx)
        Vertical velocity on horizontal faces; zero on the walls.
    """

    density: Array
    u: Array
    v: Array


@dataclass(frozen=True)
class Box:
    """Fluid and numerics of a run.

    Attributes
    ----------
    h : float
        Side of a cell, in units of length.
    dt : float
        Time step.
    viscosity : float
        Kinematic viscosity.
    buoyancy : float
        Upward acceleration by unit density.
    interpolation : {"linear", "cubic"}
        Of the advection. Linear with a first-order path: diffusive, never overshoots. Cubic with a
        second-order path, held between the neighbouring values.
    """

    h: float
    dt: float
    viscosity: float
    buoyancy: float
    interpolation: Interpolation = "linear"


def random_smoke(rng: np.random.Generator, n: int, *, scale: float = 11.0, smoothness: float = 6.0) -> Array:
    """Smooth random blobs: the absolute value of a Gaussian random field, shape (n, n), dimensionless.

    Parameters
    ----------
    rng : Generator
    n : int
        Cells along a side.
    scale : float
        Larger gives larger blobs.
    smoothness : float
        Decay of the spectrum: amplitudes fall as ``|k|^-smoothness`` above the wave number ``n / scale``-th part.

    Notes
    -----
    Modes with ``|k| scale^2 < 0.1`` (in cycles a side, over the domain) are left out, and the field is scaled to
    unit variance, so that blobs of several sizes appear in every sample.
    """
    spectrum = rng.standard_normal((n, n)) + 1j * rng.standard_normal((n, n))
    k = np.fft.fftfreq(n) * n / 32 * scale  # cycles along the 32 units of PDEArena's box
    k2 = k[:, None] ** 2 + k[None, :] ** 2
    weight = np.where(k2 > 0.1, np.maximum(k2, 0.1), np.inf) ** (-smoothness / 2)
    field = np.fft.fft2(spectrum * weight).real
    return np.abs((field - field.mean()) / field.std())


def simulate(start: Smoke, box: Box, steps: int) -> Iterator[Smoke]:
    """Yield the state after each of ``steps`` time steps.

    Raises
    ------
    FloatingPointError
        If the solution ceases to be finite.
    """
    state = start
    for i in range(steps):
        state = advance(state, box)
        if not np.isfinite(state.v).all():
            raise FloatingPointError(f"the smoke diverged in step {i + 1}: shorten the time step or lower the buoyancy")
        yield state


def at_rest(density: Array) -> Smoke:
    """Smoke in still air."""
    ny, nx = density.shape
    return Smoke(density, np.zeros((ny, nx + 1)), np.zeros((ny + 1, nx)))


def start_from(density: Array, velocity: Array, h: float) -> Smoke:
    """A state whose velocity is known at the cells' centres only, and there but nearly free of divergence.

    Parameters
    ----------
    density : ndarray, shape (ny, nx)
    velocity : ndarray, shape (ny, nx, 2)
    h : float
        Side of a cell.

    Raises
    ------
    ValueError
        If a value is not finite.
    """
    if not (np.isfinite(density).all() and np.isfinite(velocity).all()):
        raise ValueError("the smoke or velocity to start from has values that are not finite")
    ny, nx = density.shape
    u, v = np.zeros((ny, nx + 1)), np.zeros((ny + 1, nx))
    u[:, 1:-1] = (velocity[:, 1:, 0] + velocity[:, :-1, 0]) / 2
    v[1:-1] = (velocity[1:, :, 1] + velocity[:-1, :, 1]) / 2
    return Smoke(density, *project(u, v, h))


def advance(state: Smoke, box: Box) -> Smoke:
    """One time step."""
    density = advect(state.density, state, box, (0.5, 0.5), "nearest")
    u = advect(state.u, state, box, (0.5, 0.0), "grid-constant")
    v = advect(state.v, state, box, (0.0, 0.5), "grid-constant")
    v[1:-1] += box.dt * box.buoyancy * 0.5 * (density[1:] + density[:-1])
    u, v = closed(diffuse(u, box), diffuse(v, box))
    return Smoke(density, *project(u, v, box.h))


def closed(u: Array, v: Array) -> tuple[Array, Array]:
    """Let nothing through the walls."""
    u[:, [0, -1]] = 0.0
    v[[0, -1]] = 0.0
    return u, v


def advect(values: Array, flow: Smoke, box: Box, place: tuple[float, float], outside: str) -> Array:
    """Carry values along the flow for one time step (semi-Lagrangian).

    Parameters
    ----------
    values : ndarray
        On points at ``(i + place[0], j + place[1]) h``.
    flow : Smoke
        Its velocity carries.
    place : tuple of float
        Offset (row, column) of the first value from the corner of the box, in cells.
    outside : {"nearest", "grid-constant"}
        What lies beyond the outermost points: the nearest value, or zero.
    """
    rows, columns = np.indices(values.shape, dtype=np.float64)
    y, x = rows + place[0], columns + place[1]
    cells = box.dt / box.h
    v, u = velocity_at(flow, y, x)
    if box.interpolation == "cubic":  # midpoint rule along the path
        v, u = velocity_at(flow, y - 0.5 * cells * v, x - 0.5 * cells * u)
    back = np.stack([y - cells * v - place[0], x - cells * u - place[1]])
    carried: Array = map_coordinates(values, back, order=1, mode=outside)
    if box.interpolation == "linear":
        return carried
    return limited(map_coordinates(values, back, order=3, mode=outside), values, back, outside)


def limited(carried: Array, values: Array, back: Array, outside: str) -> Array:
    """Hold interpolated values between the four values around them."""
    low = np.floor(back)
    around = [
        map_coordinates(values, low + np.array([i, j])[:, None, None], order=0, mode=outside)
        for i in (0, 1)
        for j in (0, 1)
    ]
    return np.clip(carried, np.minimum.reduce(around), np.maximum.reduce(around))


def velocity_at(flow: Smoke, y: Array, x: Array) -> tuple[Array, Array]:
    """Velocity (v, u) at points given in cells from the corner, by linear interpolation."""
    v: Array = map_coordinates(flow.v, np.stack([y, x - 0.5]), order=1, mode="grid-constant")
    u: Array = map_coordinates(flow.u, np.stack([y - 0.5, x]), order=1, mode="grid-constant")
    return v, u


def diffuse(values: Array, box: Box) -> Array:
    """Explicit diffusion with zero beyond the outermost points, in as many parts as stability asks for."""
    number = box.viscosity * box.dt / box.h**2
    parts = max(1, int(np.ceil(number / DIFFUSION_LIMIT)))
    for _ in range(parts):
        padded = np.pad(values, 1)
        sides = padded[2:, 1:-1] + padded[:-2, 1:-1] + padded[1:-1, 2:] + padded[1:-1, :-2]
        values = values + number / parts * (sides - 4 * values)
    return values


def divergence(u: Array, v: Array, h: float) -> Array:
    """Net outflow of each cell per area, shape (ny, nx)."""
    return np.diff(u, axis=1) / h + np.diff(v, axis=0) / h


def project(u: Array, v: Array, h: float) -> tuple[Array, Array]:
    """Nearest divergence-free velocity with the same values on the walls (Harlow & Welch 1965).

    The pressure solves the five-point Poisson equation with Neumann walls, which the cosine transform
    diagonalises: exact to round-off.
    """
    pressure = solve_poisson(divergence(u, v, h), h)
    u, v = u.copy(), v.copy()
    u[:, 1:-1] -= np.diff(pressure, axis=1) / h
    v[1:-1] -= np.diff(pressure, axis=0) / h
    return u, v


def solve_poisson(source: Array, h: float) -> Array:
    """Solve the five-point Poisson equation with Neumann walls; the mean of the solution is zero.

    Parameters
    ----------
    source : ndarray, shape (ny, nx)
        Its mean must vanish; what is left of it is dropped.
    """
    spectrum = dctn(source, type=2) * inverse_symbol(*source.shape) * h**2
    solution: Array = idctn(spectrum, type=2)
    return solution


@cache
def inverse_symbol(ny: int, nx: int) -> Array:
    """Inverse eigenvalues of the five-point Laplacian with unit spacing, zero for the constant, shape (ny, nx)."""
    y, x = (2 * np.cos(np.pi * np.arange(n) / n) - 2 for n in (ny, nx))
    symbol = y[:, None] + x[None, :]
    symbol[0, 0] = np.inf
    return 1 / symbol


def centred(state: Smoke) -> Array:
    """Velocity at the cells' centres, shape (ny, nx, 2)."""
    u, v = state.u, state.v
    return np.stack([(u[:, 1:] + u[:, :-1]) / 2, (v[1:] + v[:-1]) / 2], axis=-1)
