"""Random systems to train and test on: obstacles, coefficients that jump, right-hand sides."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from .components import find_components
from .kernels.numba_grid import pad, unpad
from .problem import Mask, Poisson
from .stencil import divergence

Floats = NDArray[np.float64]
MaskKind = Literal["blobs", "discs", "boxes", "porous", "channels"]
MASK_KINDS: tuple[MaskKind, ...] = get_args(MaskKind)
CoefficientKind = Literal["inclusions", "patches", "layers"]
COEFFICIENT_KINDS: tuple[CoefficientKind, ...] = get_args(CoefficientKind)


def cell_centres(shape: Sequence[int]) -> list[Floats]:
    """Coordinates of the cells in units of the longest side, one array an axis, of shape ``shape``."""
    longest = max(shape)
    return list(np.meshgrid(*((np.arange(n) + 0.5) / longest for n in shape), indexing="ij"))


def random_mask(rng: np.random.Generator, shape: Sequence[int], kind: MaskKind) -> Mask:
    """Draw solid obstacles in a box.

    Parameters
    ----------
    rng : Generator
    shape : sequence of int
        2D or 3D.
    kind : {"blobs", "discs", "boxes", "porous", "channels"}
        Star-shaped bodies, discs or spheres, boxes and thin plates, many small discs, walls with one gap each.

    Returns
    -------
    ndarray of bool
        True in fluid cells.
    """
    draw: dict[str, Callable[[np.random.Generator, list[Floats]], Mask]] = {
        "blobs": _blobs,
        "discs": _discs,
        "boxes": _boxes,
        "porous": _porous,
        "channels": _channels,
    }
    return ~draw[kind](rng, cell_centres(shape))


def _size(x: list[Floats]) -> Floats:
    """Sides of the box in units of the longest."""
    longest = max(x[0].shape)
    return np.array([n / longest for n in x[0].shape])


def _ball(x: list[Floats], centre: Floats, radius: float) -> Mask:
    return np.asarray(sum((xi - c) ** 2 for xi, c in zip(x, centre, strict=True)) < radius**2)


def _union(parts: Iterator[Mask]) -> Mask:
    return np.asarray(np.logical_or.reduce(list(parts)))


def _discs(rng: np.random.Generator, x: list[Floats]) -> Mask:
    size = _size(x)
    return _union(
        _ball(x, rng.uniform(0.15, 0.85, len(x)) * size, rng.uniform(0.06, 0.16)) for _ in range(rng.integers(2, 6))
    )


def _porous(rng: np.random.Generator, x: list[Floats]) -> Mask:
    size, number = _size(x), int(rng.integers(30, 60))
    return _union(_ball(x, rng.uniform(0, 1, len(x)) * size, rng.uniform(0.02, 0.06)) for _ in range(number))


def _blobs(rng: np.random.Generator, x: list[Floats]) -> Mask:
    return _union(_star(rng, x) for _ in range(rng.integers(1, 4)))


def _star(rng: np.random.Generator, x: list[Floats]) -> Mask:
    """Return a ball whose radius waves around it."""
    centre = rng.uniform(0.25, 0.75, len(x)) * _size(x)
    offsets = [xi - c for xi, c in zip(x, centre, strict=True)]
    angle = np.arctan2(offsets[1], offsets[0])
    height = offsets[2] if len(x) == 3 else 0.0
    radius = rng.uniform(0.1, 0.2) * np.ones(x[0].shape)
    for waves in range(2, 6):
        amplitude, phase = rng.normal(0, 0.02), rng.uniform(0, 2 * np.pi)
        radius += amplitude * np.cos(waves * angle + phase + 8.0 * height)
    return np.asarray(sum(offset**2 for offset in offsets) < np.maximum(radius, 0.03) ** 2)


def _boxes(rng: np.random.Generator, x: list[Floats]) -> Mask:
    return _union(_box(rng, x) for _ in range(rng.integers(2, 6)))


def _box(rng: np.random.Generator, x: list[Floats]) -> Mask:
    """Return a box; every second one is a plate of 2 or 3 cells."""
    half = rng.uniform(0.05, 0.2, len(x))
    if rng.random() < 0.5:
        half[rng.integers(len(x))] = 1.25 / max(x[0].shape)
    centre = rng.uniform(0.15, 0.85, len(x)) * _size(x)
    inside = [np.abs(xi - c) < h for xi, c, h in zip(x, centre, half, strict=True)]
    return np.asarray(np.logical_and.reduce(inside))


def _channels(rng: np.random.Generator, x: list[Floats]) -> Mask:
    """Return walls across the box, each with one gap."""
    axis = int(rng.integers(len(x)))
    cell = 1.0 / max(x[0].shape)
    places = (np.arange(1, 4) / 4 + rng.uniform(-0.06, 0.06, 3)) * _size(x)[axis]
    walls = (
        (np.abs(x[axis] - place) < 1.6 * cell) & ~_ball(x, _on_wall(rng, x, axis, place), rng.uniform(0.08, 0.16))
        for place in places
    )
    return _union(walls)


def _on_wall(rng: np.random.Generator, x: list[Floats], axis: int, place: float) -> Floats:
    centre = rng.uniform(0.2, 0.8, len(x)) * _size(x)
    centre[axis] = place
    return np.asarray(centre)


def random_coefficient(
    rng: np.random.Generator, shape: Sequence[int], kind: CoefficientKind, jump: float = 1000.0
) -> Floats:
    """Draw a coefficient in the cells that jumps by the factor ``jump``.

    Parameters
    ----------
    kind : {"inclusions", "patches", "layers"}
        Bodies of 1 or ``jump`` in a background of the other, a patchwork (Voronoi cells) with values from 1 to
        ``jump`` on a logarithmic scale, wavy layers of 1 and ``jump``.

    Returns
    -------
    ndarray, shape ``shape``
        From 1 to ``jump``.
    """
    x = cell_centres(shape)
    if kind == "inclusions":
        inside = _discs(rng, x) | _blobs(rng, x)
        return np.where(inside == (rng.random() < 0.5), jump, 1.0)
    if kind == "patches":
        return np.asarray(jump ** _patchwork(rng, x))
    wave = 0.05 * np.sin(2 * np.pi * x[1] * rng.uniform(1, 3) + rng.uniform(0, 6))
    layer = np.floor((x[0] + wave) * rng.integers(4, 9))
    return np.where(layer % 2 == 0, jump, 1.0)


def _patchwork(rng: np.random.Generator, x: list[Floats]) -> Floats:
    """Return a value in [0, 1] for each Voronoi cell of random seeds; the extremes occur."""
    from scipy.spatial import cKDTree

    seeds = rng.uniform(0, 1, (24, len(x))) * _size(x)
    values = rng.permutation(np.linspace(0, 1, len(seeds)))
    _, nearest = cKDTree(seeds).query(np.stack([xi.ravel() for xi in x], -1))
    return np.asarray(values[nearest].reshape(x[0].shape))


def white_rhs(rng: np.random.Generator, problem: Poisson) -> Floats:
    """Draw independent normal numbers in the fluid cells, with mean zero in closed regions."""
    b = pad(rng.standard_normal(problem.shape) * problem.mask, np.float64)
    find_components(problem).project(b)
    return unpad(b).copy()


def flow_rhs(rng: np.random.Generator, problem: Poisson) -> Floats:
    """Return minus the divergence of a smooth random velocity that stops at solids: a projection's right-hand side.

    Nothing flows through closed faces, so that the right-hand side of a closed region adds up to zero.
    """
    b = np.zeros(problem.shape)
    for axis, w in enumerate(problem.faces):
        velocity = _smooth(rng, w.shape) + (1.0 if axis == 0 else 0.0)
        b -= divergence(velocity * (w > 0), axis - problem.ndim) / problem.spacing[axis]
    return b * problem.mask


def _smooth(rng: np.random.Generator, shape: Sequence[int]) -> Floats:
    """Return a sum of a few waves along the axes."""
    x = cell_centres(shape)
    total = np.zeros(tuple(shape))
    for _ in range(4):
        waves, phases = rng.integers(0, 4, len(x)), rng.uniform(0, 2 * np.pi, len(x))
        factors: list[Any] = [np.cos(2 * np.pi * k * xi + f) for k, xi, f in zip(waves, x, phases, strict=True)]
        total += rng.normal() * np.prod(factors, axis=0)
    return total


def moving_obstacle(shape: Sequence[int], frames: int, radius: float = 0.12, turns: float = 1.0) -> Iterator[Mask]:
    """Yield the masks of a disc or sphere that goes around the middle of the box.

    Parameters
    ----------
    frames : int
    radius : float
        In units of the longest side.
    turns : float
        Rounds in all frames.
    """
    x = cell_centres(shape)
    middle = 0.5 * _size(x)
    for frame in range(frames):
        angle = 2 * np.pi * turns * frame / frames
        centre = middle.copy()
        centre[0] += 0.22 * np.sin(angle)
        centre[-1] += 0.22 * np.cos(angle)
        yield ~_ball(x, centre, radius)
