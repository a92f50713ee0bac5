"""Incompressible Navier-Stokes equations by finite elements: the scheme in time, for any pair of elements.

Incremental pressure correction in rotational form with BDF2 in time and
extrapolated, explicit convection: three back-substitutions a step with two
matrices that are factorised once. Density is 1 kg/m3 throughout, pressure is
kinematic (m2/s2).

References
----------
J.L. Guermond, P. Minev, J. Shen, "An overview of projection methods for
incompressible flows", CMAME 195, 6011-6045, 2006 (GMS below).
V. John, "Reference values for drag and lift of a two-dimensional time-dependent
flow around a cylinder", Int. J. Numer. Meth. Fluids 44, 777-788, 2004 (volume forces).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.linalg import SuperLU, splu

Array = NDArray[np.float64]
Index = NDArray[np.int64]


@dataclass(frozen=True)
class Discretisation:
    """Matrices of a pair of elements with ``n`` velocity nodes and ``k`` pressure nodes.

    :func:`~fieldloom_cfd.equal_order.equal_order` and :func:`~fieldloom_cfd.taylor_hood.taylor_hood` make them.

    Attributes
    ----------
    mass, stiffness : csr_array, shape (n, n)
        ``int phi_i phi_j`` and ``int grad phi_i . grad phi_j`` of the velocity.
    divergence : csr_array, shape (k, 2 n)
        ``int psi_i div u`` of the stacked components.
    pressure_force : csr_array, shape (2 n, k)
        Pressure term of the momentum equation, components stacked.
    laplacian : csr_array, shape (k, k)
        ``int grad psi_i . grad psi_j`` of the pressure.
    stabilisation : csr_array, shape (k, k), or None
        Damps the pressure modes that elements of equal order do not control.
    pressure_mass : ndarray, shape (k,)
        Row sums of ``int psi_i psi_j``, m2.
    convection : callable
        Maps velocity (2, n) in m/s to ``int phi_i ((u . grad) u + 1/2 (div u) u)``, (2, n) in m3/s2. The second
        term makes the form skew-symmetric (Temam): it neither adds nor removes energy where the discrete
        divergence is not zero.
    curl : csr_array, shape (n, 2 n)
        Vorticity ``dv/dx - du/dy`` at the nodes: the area-weighted mean over the elements around each.
    to_nodes : csr_array, shape (n, k)
        Values of the pressure at the velocity's nodes.
    """

    mass: sp.csr_array
    stiffness: sp.csr_array
    divergence: sp.csr_array
    pressure_force: sp.csr_array
    laplacian: sp.csr_array
    stabilisation: sp.csr_array | None
    pressure_mass: Array
    convection: Callable[[Array], Array]
    curl: sp.csr_array
    to_nodes: sp.csr_array


def assembled(local: Array, rows: Index, cols: Index, shape: tuple[int, int]) -> sp.csr_array:
    """Sum element matrices (m, r, c) whose degrees of freedom are ``rows`` (m, r) and ``cols`` (m, c)."""
    r = np.broadcast_to(rows[:, :, None], local.shape).ravel().astype(np.int32)  # 32 bits: a faster product
    c = np.broadcast_to(cols[:, None, :], local.shape).ravel().astype(np.int32)
    return sp.csr_array((local.ravel(), (r, c)), shape=shape)


def factorise(matrix: sp.csr_array) -> SuperLU:
    """LU factors of a symmetric positive definite matrix."""
    return splu(
        matrix.tocsc(),
        permc_spec="MMD_AT_PLUS_A",
        diag_pivot_thresh=0.0,
        options={"SymmetricMode": True},
    )


@dataclass(frozen=True)
class System:
    """Everything that stays constant during one integration.

    Attributes
    ----------
    elements : Discretisation
    nu, dt : float
        Kinematic viscosity (m2/s) and time step (s).
    fixed, free : ndarray of int
        Velocity nodes with and without a Dirichlet value.
    pressure_free : ndarray of int
        Pressure nodes whose increment is unknown.
    momentum, poisson : SuperLU
        Factors of ``3/(2 dt) M + nu K`` and of the pressure's Laplacian.
    coupling : csr_array
        Rows ``free``, columns ``fixed`` of the momentum matrix.
    """

    elements: Discretisation
    nu: float
    dt: float
    fixed: Index
    free: Index
    pressure_free: Index
    momentum: SuperLU
    poisson: SuperLU
    coupling: sp.csr_array


def prepare(elements: Discretisation, nu: float, dt: float, fixed: Index, outlet: Index) -> System:
    """Factorise the two matrices of the scheme.

    Parameters
    ----------
    elements : Discretisation
    nu, dt : float
        Kinematic viscosity (m2/s) and time step (s), both positive.
    fixed : ndarray of int
        Velocity nodes with a Dirichlet value.
    outlet : ndarray of int
        Pressure nodes of the do-nothing boundary, its ends included: the increment must vanish wherever a free
        velocity crosses the boundary, or the splitting is unstable. Empty for an enclosed flow, whose pressure
        is then zero at node 0.
    """
    free = np.setdiff1d(np.arange(elements.mass.shape[0]), fixed)
    pressure_free = np.setdiff1d(np.arange(len(elements.pressure_mass)), outlet if len(outlet) else [0])
    momentum = sp.csr_array(1.5 / dt * elements.mass + nu * elements.stiffness)
    return System(
        elements=elements,
        nu=nu,
        dt=dt,
        fixed=fixed,
        free=free,
        pressure_free=pressure_free,
        momentum=factorise(momentum[free][:, free]),
        poisson=factorise(elements.laplacian[pressure_free][:, pressure_free]),
        coupling=sp.csr_array(momentum[free][:, fixed]),
    )


@dataclass(frozen=True)
class State:
    """Time levels that the next step needs; newest first.

    Attributes
    ----------
    time : float
        Seconds.
    velocity : tuple of three ndarray, shape (2, n)
        m/s; the oldest one serves the time derivative in the force alone.
    convection : tuple of two ndarray, shape (2, n)
        Weak convection, m3/s2.
    pressure : ndarray, shape (k,)
        Kinematic pressure, m2/s2.
    increment : tuple of two ndarray, shape (k,)
        Increments phi of the projection, m2/s2.
    """

    time: float
    velocity: tuple[Array, Array, Array]
    convection: tuple[Array, Array]
    pressure: Array
    increment: tuple[Array, Array]


def initial_state(elements: Discretisation, levels: tuple[Array, ...], pressure: Array) -> State:
    """Start at time 0 from one or two velocity levels (2, n), newest first."""
    u = (levels[0], levels[-1], levels[-1])
    zero = np.zeros_like(pressure)
    c = elements.convection(u[0]), elements.convection(u[1])
    return State(0.0, u, c, pressure, (zero, zero))


def retimed(elements: Discretisation, state: State, dt: float, new: float) -> State:
    """The same state for steps of another length, by quadratic interpolation of the time levels."""
    u, u1, u2 = state.velocity

    def before(lag: float) -> Array:
        s = lag / dt
        return u * (1 - s) * (2 - s) / 2 + u1 * s * (2 - s) - u2 * s * (1 - s) / 2

    levels = (u, before(new), before(min(2 * new, 2 * dt)))
    q1, q2 = (q * new / dt for q in state.increment)
    c = state.convection[0], elements.convection(levels[1])
    return State(state.time, levels, c, state.pressure, (q1, q2))


def advance(system: System, state: State, fixed_velocity: Array, load: Array | float = 0.0) -> State:
    """One step of the rotational incremental pressure-correction scheme.

    Parameters
    ----------
    system : System
    state : State
    fixed_velocity : ndarray, shape (2, number of fixed nodes)
        Dirichlet velocity at the new time, m/s.
    load : ndarray, shape (2, n)
        ``int phi_i f`` at the new time, m3/s2.
    """
    elements, dt = system.elements, system.dt
    (u1, u2, _), (c1, c2), (q1, q2) = state.velocity, state.convection, state.increment
    history = (4 * u1 - u2) / (2 * dt)
    rhs = load - (2 * c1 - c2)  # second-order extrapolation to the new time
    rhs += np.stack([elements.mass @ component for component in history])
    # GMS (3.6)-(3.8) with the end-of-step velocity eliminated
    rhs += (elements.pressure_force @ (state.pressure + (4 * q1 - q2) / 3)).reshape(u1.shape)
    u = np.empty_like(u1)
    u[:, system.fixed] = fixed_velocity
    known = rhs[:, system.free].T - system.coupling @ fixed_velocity.T
    u[:, system.free] = system.momentum.solve(known).T
    phi, pressure = project(system, u, state.pressure)
    return State(state.time + dt, (u, u1, u2), (elements.convection(u), c1), pressure, (phi, q1))


def project(system: System, u: Array, p: Array) -> tuple[Array, Array]:
    """Pressure increment phi and new pressure, both (k,), m2/s2."""
    elements, some = system.elements, system.pressure_free
    div = elements.divergence @ u.ravel()
    rhs = -1.5 / system.dt * div  # -L phi = 3/(2 dt) D u + S p
    if elements.stabilisation is not None:
        rhs -= elements.stabilisation @ p
    phi = np.zeros_like(p)
    phi[some] = system.poisson.solve(rhs[some])
    return phi, p + phi - system.nu * div / elements.pressure_mass  # rotational form, GMS (3.20)


def directional_outflow(convection: Callable[[Array], Array], nodes: Index, lengths: Array) -> Callable[[Array], Array]:
    """Convection that gains no energy from fluid that comes back through the outlet.

    Adds ``-1/2 int min(u . n, 0) u`` over the do-nothing boundary (Braack & Mucha 2014, eq. 7): without it a vortex
    that leaves can suck in fluid at a growing rate, whatever the time step.

    Parameters
    ----------
    nodes : ndarray of int, shape (k,)
        Nodes of the outlet, whose normal is the first axis.
    lengths : ndarray, shape (k,)
        Length of the outlet that belongs to each, metres.

    References
    ----------
    M. Braack, P.B. Mucha, "Directional do-nothing condition for the Navier-Stokes equations",
    J. Comput. Math. 32, 507-521, 2014.
    """

    def apply(u: Array) -> Array:
        weak = convection(u)
        there = u[:, nodes]
        weak[:, nodes] -= 0.5 * lengths * np.minimum(there[0], 0.0) * there
        return weak

    return apply


def boundary_force(elements: Discretisation, rows: Index) -> Callable[[System, State], Array]:
    """Force of the fluid on a boundary part, by the volume formulation.

    Tests the momentum equation with the discrete field that is one on the
    nodes ``rows`` and zero elsewhere (John 2004, eq. 4): twice the order of
    integrating the stress along the boundary.

    Returns
    -------
    callable
        Maps (system, state) to the force (2,) in m3/s2 (N/m per unit density).
    """
    n = elements.mass.shape[0]
    mass, stiff = (np.asarray(m[rows].sum(axis=0)) for m in (elements.mass, elements.stiffness))
    div = np.stack([np.asarray(elements.divergence[:, rows + k * n].sum(axis=1)) for k in range(2)])

    def force(system: System, state: State) -> Array:
        u, u1, u2 = state.velocity
        rate = (3 * u - 4 * u1 + u2) / (2 * system.dt)
        inertia = rate @ mass + state.convection[0][:, rows].sum(axis=1)
        return div @ state.pressure - inertia - system.nu * (u @ stiff)

    return force
