"""A smoke plume past a moving disc: one pressure projection a step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from .problem import Mask, Poisson, poisson
from .projection import Projected

Floats = NDArray[np.float64]
Faces = tuple[Floats, Floats]
"""Velocity (v, u): v on faces along y (ny + 1, nx), u on faces along x (ny, nx + 1)."""
Project = Callable[[Poisson, Faces], Projected]


@dataclass(frozen=True, slots=True)
class Setting:
    """The plume.

    Parameters
    ----------
    shape : (int, int)
        Cells along y (up) and x.
    spacing : float
        Edge length of a cell, m.
    time_step : float
        s.
    buoyancy : float
        Upward acceleration by smoke of density 1, m/s^2.
    radius : float
        Of the disc, m.
    period : float
        Time in which the disc goes to and fro, s.
    """

    shape: tuple[int, int] = (192, 128)
    spacing: float = 1 / 128
    time_step: float = 0.02
    buoyancy: float = 1.5
    radius: float = 0.11
    period: float = 3.0

    @property
    def size(self) -> tuple[float, float]:
        """Height and width of the box, m."""
        return self.shape[0] * self.spacing, self.shape[1] * self.spacing


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """One instant: time (s), density of the smoke (ny, nx), velocity on the faces (m/s), fluid cells."""

    time: float
    smoke: Floats
    velocity: Faces
    mask: Mask
    pressure: Floats


def at_rest(setting: Setting) -> State:
    """Air at rest, with smoke where it enters."""
    ny, nx = setting.shape
    still = np.zeros((ny + 1, nx)), np.zeros((ny, nx + 1))
    empty = np.zeros(setting.shape)
    return State(0.0, np.maximum(empty, source(setting)), still, fluid(setting, 0.0), empty)


def simulate(setting: Setting, steps: int, project: Project) -> Iterator[State]:
    """Yield the state after each step."""
    state = at_rest(setting)
    for _ in range(steps):
        state = advance(state, setting, project)
        yield state


def advance(state: State, setting: Setting, project: Project) -> State:
    """Advect, add buoyancy, move the disc, project (Stam, "Stable fluids", 1999, with a moving solid).

    Sides and bottom of the box are walls, its top is open.
    """
    dt, h = setting.time_step, setting.spacing
    time = state.time + dt
    mask = fluid(setting, time)
    smoke = np.maximum(_advect(state.smoke, (0.5, 0.5), state.velocity, dt / h), source(setting)) * mask
    v = _advect(state.velocity[0], (0.0, 0.5), state.velocity, dt / h)
    u = _advect(state.velocity[1], (0.5, 0.0), state.velocity, dt / h)
    v[1:-1] += dt * setting.buoyancy * 0.5 * (smoke[1:] + smoke[:-1])
    problem = poisson(mask, h, [("neumann", "dirichlet"), "neumann"])
    found = project(problem, _with_walls((v, u), problem, disc_velocity(setting, time)))
    return State(time, smoke, (found.velocity[0], found.velocity[1]), mask, found.pressure)


def source(setting: Setting) -> Floats:
    """Density of the smoke where it enters, at the bottom."""
    y, x = _centres(setting)
    width = setting.size[1]
    return np.where((np.abs(x - 0.5 * width) < 0.12 * width) & (y < 0.06 * width), 1.0, 0.0)


def fluid(setting: Setting, time: float) -> Mask:
    """Cells outside the disc."""
    y, x = _centres(setting)
    cy, cx = disc_centre(setting, time)
    return np.asarray((y - cy) ** 2 + (x - cx) ** 2 > setting.radius**2)


def disc_centre(setting: Setting, time: float) -> tuple[float, float]:
    """Place (y, x) of the disc: to and fro across the plume."""
    height, width = setting.size
    return 0.45 * height, 0.5 * width + 0.22 * width * float(np.sin(2 * np.pi * time / setting.period))


def disc_velocity(setting: Setting, time: float) -> float:
    """Velocity of the disc along x, m/s."""
    rate = 2 * np.pi / setting.period
    return 0.22 * setting.size[1] * rate * float(np.cos(rate * time))


def centred(state: State) -> Floats:
    """Velocity (u, v) at the cells' centres, shape (ny, nx, 2); that of the disc's cells is zero."""
    v, u = state.velocity
    pair = np.stack([0.5 * (u[:, 1:] + u[:, :-1]), 0.5 * (v[1:] + v[:-1])], axis=-1)
    return pair * state.mask[..., None]


def _centres(setting: Setting) -> tuple[Floats, Floats]:
    ny, nx = setting.shape
    y, x = np.meshgrid((np.arange(ny) + 0.5), (np.arange(nx) + 0.5), indexing="ij")
    return y * setting.spacing, x * setting.spacing


def _with_walls(velocity: Faces, problem: Poisson, along_x: float) -> Faces:
    """Set closed faces to the velocity of what closes them: the disc's, or zero on the sides of the box."""
    v, u = (np.where(w > 0, part, 0.0) for part, w in zip(velocity, problem.faces, strict=True))
    solid = np.zeros(u.shape, np.bool_)
    solid[:, 1:-1] = ~(problem.mask[:, 1:] & problem.mask[:, :-1])
    u[solid] = along_x
    return v, u


def _advect(field: Floats, offset: tuple[float, float], velocity: Faces, courant: float) -> Floats:
    """Follow each point back for one step (midpoint rule) and interpolate linearly.

    ``offset`` is the place of the first value, in cells; ``courant`` is dt / h.
    """
    places = np.indices(field.shape).astype(np.float64) + np.array(offset)[:, None, None]
    middle = places - 0.5 * courant * _velocity_at(velocity, places)
    back = places - courant * _velocity_at(velocity, middle)
    return _sample(field, offset, back)


def _velocity_at(velocity: Faces, places: Floats) -> Floats:
    return np.stack([_sample(velocity[0], (0.0, 0.5), places), _sample(velocity[1], (0.5, 0.0), places)])


def _sample(field: Floats, offset: tuple[float, float], places: Floats) -> Floats:
    indices: Any = places - np.array(offset)[:, None, None]
    return np.asarray(map_coordinates(field, indices, order=1, mode="nearest"))
