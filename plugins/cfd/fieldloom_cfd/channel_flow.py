"""Flow past an obstacle in a channel: set-up, time step, stored frames.

The default is the benchmark DFG 2D-2 of Schaefer & Turek, "Benchmark
computations of laminar flow around a cylinder", 1996.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial import cKDTree

from .equal_order import equal_order
from .limits import CFL_LIMITS, REYNOLDS_LIMITS, Element, time_step_limit
from .meshing import ChannelMesh, signed_area
from .navier_stokes import (
    Array,
    Discretisation,
    Index,
    State,
    System,
    advance,
    boundary_force,
    directional_outflow,
    initial_state,
    prepare,
    retimed,
)
from .taylor_hood import quadratic_mesh, taylor_hood


@dataclass(frozen=True)
class Domain:
    """Nodes of the velocity, the parts of the boundary, the matrices.

    Attributes
    ----------
    nodes : ndarray, shape (n, 2)
        Metres.
    triangles : ndarray of int, shape (m, 3)
        Linear triangles on all nodes; quadratic elements are divided by four.
    inlet, walls, obstacle : ndarray of int
        Nodes of the Dirichlet boundary. Corners belong to ``walls`` alone.
    outlet : ndarray of int
        Pressure nodes of the do-nothing boundary, the corners included.
    spacing : float
        Mean distance of two nodes on the obstacle, metres.
    altitude : ndarray, shape (m,)
        Least altitude of each of ``triangles``, metres.
    centre : tuple of float
        Middle of the obstacle, metres.
    size : float
        Height of the obstacle across the flow, the reference length, metres.
    elements : Discretisation
    """

    nodes: Array
    triangles: Index
    inlet: Index
    walls: Index
    obstacle: Index
    outlet: Index
    spacing: float
    altitude: Array
    centre: tuple[float, float]
    size: float
    elements: Discretisation

    @property
    def element(self) -> Element:
        return "linear" if self.elements.stabilisation is not None else "quadratic"

    @property
    def fixed(self) -> Index:
        """Nodes with a Dirichlet velocity."""
        return np.concatenate([self.inlet, self.walls, self.obstacle])

    @property
    def height(self) -> float:
        return float(self.nodes[:, 1].max())


def discretise(mesh: ChannelMesh, element: Element = "linear") -> Domain:
    """Put elements on a channel's mesh: P1/P1, or Taylor-Hood with curved edges on the obstacle.

    Raises
    ------
    ValueError
        If a curved element is folded over: the mesh is too coarse for the outline.
    """
    if element == "linear":
        parts = {"inlet": mesh.inlet, "walls": mesh.walls, "obstacle": mesh.obstacle}
        fixed = np.concatenate(list(parts.values()))
        return _domain(mesh, mesh.nodes, mesh.triangles, parts, equal_order(mesh.nodes, mesh.triangles, fixed))
    fine = quadratic_mesh(mesh.nodes, mesh.triangles)
    _curve(fine.nodes, fine.edges, mesh)
    parts = _parts(fine.nodes, fine.vertices + fine.rim(), mesh)
    return _domain(mesh, fine.nodes, fine.subdivided(), parts, taylor_hood(fine))


def _domain(
    mesh: ChannelMesh, nodes: Array, triangles: Index, parts: dict[str, Index], elements: Discretisation
) -> Domain:
    end = np.flatnonzero(nodes[:, 0] == nodes[:, 0].max())
    end = end[np.argsort(nodes[end, 1])]
    lengths = np.gradient(nodes[end, 1])
    outflow = directional_outflow(elements.convection, end, lengths)
    corner = nodes[triangles]
    longest = np.linalg.norm(np.roll(corner, -1, axis=1) - corner, axis=2).max(axis=1)
    return Domain(
        nodes,
        triangles,
        outlet=np.flatnonzero(mesh.nodes[:, 0] == mesh.nodes[:, 0].max()),
        spacing=mesh.outline.perimeter / len(parts["obstacle"]),
        altitude=2 * signed_area(corner) / longest,
        centre=mesh.outline.centre,
        size=mesh.outline.frontal,
        elements=replace(elements, convection=outflow),
        **parts,
    )


def _curve(nodes: Array, edges: Index, mesh: ChannelMesh) -> None:
    """Move the nodes in the middle of the obstacle's edges onto its outline."""
    ring = np.sort(np.stack([mesh.obstacle, np.roll(mesh.obstacle, -1)], axis=1), axis=1)
    v = len(mesh.nodes)
    place = np.searchsorted(edges @ np.array([v, 1]), ring @ np.array([v, 1]))
    nodes[v + place] = mesh.obstacle_midpoints()


def _parts(nodes: Array, middles: Index, mesh: ChannelMesh) -> dict[str, Index]:
    """The boundary parts of a mesh with its edges' middles."""
    x, y = nodes[middles].T
    length, height = nodes.max(axis=0)
    at_wall, at_inlet = (y == 0) | (y == height), x == 0
    inside = (x > 0) & (x < length) & ~at_wall
    return {
        "inlet": np.concatenate([mesh.inlet, middles[at_inlet]]),
        "walls": np.concatenate([mesh.walls, middles[at_wall]]),
        "obstacle": np.concatenate([mesh.obstacle, middles[inside]]),
    }


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
    vorticity : ndarray, shape (n,)
        1/s.
    force_times : ndarray, shape (k,)
        Seconds; the last one is ``time``.
    drag, lift : ndarray, shape (k,)
        Coefficients ``2 F / (U_mean^2 D)``, D the obstacle's height across the flow.
    """

    time: float
    velocity: Array
    pressure: Array
    vorticity: Array
    force_times: Array
    drag: Array
    lift: Array


def inflow(y: Array, height: float, mean: float) -> Array:
    """Parabolic profile with the given mean, m/s (Schaefer & Turek, section 2.1)."""
    return 6 * mean * y * (height - y) / height**2


def nodal_inflow(domain: Domain, mean: float) -> Array:
    """Inflow profile at the height of every node (n,), m/s, with the exact flux.

    The piecewise-linear interpolant of a parabola carries too little flux, by
    ``(h / height)^2``: 1 % on the default mesh, 2 % in drag. It is scaled up.
    Quadratic elements hold the parabola itself.
    """
    y, height = domain.nodes[:, 1], domain.height
    if domain.element == "quadratic":
        return inflow(y, height, mean)
    at_inlet = np.sort(np.concatenate([y[domain.inlet], [0.0, height]]))
    flux = np.trapezoid(inflow(at_inlet, height, mean), at_inlet)
    return inflow(y, height, mean) * (mean * height / flux)


def largest_time_step(domain: Domain, mean: float) -> float:
    """Longest time step in seconds that is to be expected, see `time_step_limit`."""
    return time_step_limit(domain.spacing, mean, domain.size / domain.height, domain.element)


def cfl_rate(domain: Domain, velocity: Array) -> float:
    """Largest ``|u| / h`` over the triangles, 1/s; times the step it is the CFL number."""
    speed = np.hypot(*velocity)
    return float((speed[domain.triangles].max(axis=1) / domain.altitude).max())


def check_flow(domain: Domain, mean: float, nu: float, dt: float | None) -> None:
    """Refuse a Reynolds number or time step outside the documented limits."""
    if not (mean > 0 and nu > 0):
        raise ValueError(f"mean inflow and viscosity must be positive, got {mean}, {nu}")
    reynolds, (low, high) = domain.size * mean / nu, REYNOLDS_LIMITS
    if not low * (1 - 1e-9) <= reynolds <= high * (1 + 1e-9):
        raise ValueError(f"Reynolds number {reynolds:.4g} is outside [{low}, {high}]")
    limit = largest_time_step(domain, mean)
    if dt is not None and not 0 < dt <= limit * (1 + 1e-9):
        raise ValueError(
            f"time_step {dt:.3g} s is above the limit of stability, {limit:.3g} s: the CFL number dt |u| / h may be "
            f"{CFL_LIMITS[domain.element]}; leave it out for the largest"
        )


def initial_velocity(domain: Domain, mean: float, perturbation: float) -> Array:
    """Inflow profile damped towards the obstacle, with one eddy behind it, (2, n).

    The cross-flow eddy (``perturbation * mean``, half the obstacle's height wide, one height
    behind it) breaks the symmetry, so that shedding starts at once and always with the same sign.
    """
    x, y = domain.nodes.T
    radius = domain.size / 2
    ring = domain.nodes[domain.obstacle]
    distance = cKDTree(ring).query(domain.nodes)[0]
    behind = ring[:, 0].max() + 2 * radius
    u = nodal_inflow(domain, mean) * np.tanh(distance / radius)
    eddy = np.exp(-(((x - behind) / radius) ** 2) - ((y - domain.centre[1]) / radius) ** 2)
    velocity = np.stack([u, perturbation * mean * eddy])
    velocity[:, domain.walls] = 0.0
    velocity[:, domain.obstacle] = 0.0
    velocity[0, domain.inlet] = nodal_inflow(domain, mean)[domain.inlet]
    velocity[1, domain.inlet] = 0.0
    return velocity


def channel_flow(
    domain: Domain,
    mean: float = 1.0,
    nu: float = 1e-3,
    duration: float = 6.0,
    frames: int = 150,
    *,
    dt: float | None = None,
    perturbation: float = 0.5,
    start: tuple[Array, Array] | None = None,
) -> Iterator[Frame]:
    """Simulate the flow and yield ``frames`` equally spaced instants.

    Parameters
    ----------
    domain : Domain
    mean : float
        Mean inflow velocity, m/s, positive.
    nu : float
        Kinematic viscosity, m2/s; ``mean * domain.size / nu`` must lie in
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
    start : tuple of ndarray, shapes (n, 2) and (n,), optional
        Velocity (m/s) and kinematic pressure (m2/s2) at time 0, at the nodes of linear elements. The
        velocity's values on inlet, walls and obstacle are replaced by those of the boundary conditions.

    Raises
    ------
    ValueError
        For parameters outside the limits, or a start on other nodes, before anything is computed.
    FloatingPointError
        If the solution ceases to be finite.
    """
    check_flow(domain, mean, nu, dt)
    if not (duration > 0 and frames >= 1):
        raise ValueError(f"duration and frames must be positive, got {duration}, {frames}")
    velocity = initial_velocity(domain, mean, perturbation)
    pressure = np.zeros(len(domain.elements.pressure_mass))
    if start is not None:
        velocity, pressure = _given(domain, velocity, *start)
    return _frames(domain, mean, nu, duration / frames, frames, dt, (velocity, pressure))


def _given(domain: Domain, usual: Array, velocity: Array, pressure: Array) -> tuple[Array, Array]:
    """A start from given fields; ``usual`` (2, n) has the values on the Dirichlet boundary."""
    n = len(domain.nodes)
    if domain.element != "linear" or velocity.shape != (n, 2) or pressure.shape != (n,):
        raise ValueError(
            f"a start needs a velocity of shape ({n}, 2) and a pressure of shape ({n},) on linear elements, got "
            f"{velocity.shape} and {pressure.shape} on {domain.element} ones"
        )
    if not (np.isfinite(velocity).all() and np.isfinite(pressure).all()):
        raise ValueError("the velocity or pressure to start from has values that are not finite")
    found = velocity.T.astype(np.float64)
    found[:, domain.fixed] = usual[:, domain.fixed]
    return found, pressure.astype(np.float64)


_STEPS_A_SAMPLE, _PATIENCE = 5, 20
"""Steps to expect between two samples of the force, and calm samples before the step grows again."""


def _frames(
    domain: Domain, mean: float, nu: float, every: float, frames: int, dt: float | None, start: tuple[Array, Array]
) -> Iterator[Frame]:
    """Lazy part of `channel_flow`: memory holds one frame at a time."""
    samples = max(1, int(np.ceil(every / (_STEPS_A_SAMPLE * largest_time_step(domain, mean)) - 1e-9)))
    march = _March(domain, nu, *start, every / samples, dt)
    force = boundary_force(domain.elements, domain.obstacle)
    scale = 2 / (mean**2 * domain.size)
    with np.errstate(over="ignore", invalid="ignore"):  # a flow that diverges is reported once, by as_frame
        for _ in range(frames):
            history = np.empty((samples, 3))
            for row in history:
                march.sample()
                row[0], row[1:] = march.state.time, scale * force(march.system, march.state)
            yield as_frame(march.system, march.state, history)


class _March:
    """Integrates from sample to sample, in as many steps as the CFL number asks for."""

    def __init__(
        self, domain: Domain, nu: float, velocity: Array, pressure: Array, every: float, bound: float | None
    ) -> None:
        self._domain, self._nu, self._every = domain, nu, every
        self._least = int(np.ceil(every / bound - 1e-9)) if bound else 1
        self._fixed_velocity = velocity[:, domain.fixed]
        self._systems: dict[int, System] = {}
        self._steps = self._needed(velocity, 1.2)
        self._calm = 0
        self.state = initial_state(domain.elements, (velocity,), pressure)

    @property
    def system(self) -> System:
        """The factors for the present step."""
        if self._steps not in self._systems:
            d = self._domain
            self._systems[self._steps] = prepare(d.elements, self._nu, self._every / self._steps, d.fixed, d.outlet)
        return self._systems[self._steps]

    def _needed(self, velocity: Array, margin: float) -> int:
        rate = cfl_rate(self._domain, velocity)
        limit = CFL_LIMITS[self._domain.element]
        return max(self._least, int(np.ceil(margin * rate * self._every / limit))) if np.isfinite(rate) else self._steps

    def sample(self) -> None:
        """Adapt the step to the flow, and advance to the next sample."""
        needed = self._needed(self.state.velocity[0], 1.0)
        self._calm = self._calm + 1 if needed < self._steps else 0
        if needed > self._steps or self._calm > _PATIENCE:
            self._change(max(needed, -(-self._steps // 2)))  # at most twice as long: `retimed` interpolates then
        for _ in range(self._steps):
            self.state = advance(self.system, self.state, self._fixed_velocity)

    def _change(self, steps: int) -> None:
        old, self._steps, self._calm = self._steps, steps, 0
        dt, new = self._every / old, self._every / steps
        self.state = retimed(self._domain.elements, self.state, dt, new)


def as_frame(system: System, state: State, history: Array) -> Frame:
    """Copy a state out of the time loop.

    Raises
    ------
    FloatingPointError
        If velocity or pressure is not finite.
    """
    u, elements = state.velocity[0], system.elements
    if not (np.isfinite(u).all() and np.isfinite(state.pressure).all()):
        raise FloatingPointError(
            f"the flow diverged before t = {state.time:.4g} s with dt = {system.dt:.3g} s: "
            "refine the mesh or shorten the time step"
        )
    return Frame(state.time, u.T.copy(), elements.to_nodes @ state.pressure, elements.curl @ u.ravel(), *history.T)
