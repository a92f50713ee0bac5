"""Incompressible Navier-Stokes equations on triangles, P1 velocity and P1 pressure.

Incremental pressure correction in rotational form with BDF2 in time and
extrapolated, explicit convection: three back-substitutions a step with two
matrices that are factorised once. Density is 1 kg/m3 throughout, pressure is
kinematic (m2/s2).

References
----------
J.L. Guermond, P. Minev, J. Shen, "An overview of projection methods for
incompressible flows", CMAME 195, 6011-6045, 2006 (GMS below).
R. Codina, "Pressure stability in fractional step finite element methods for
incompressible flows", J. Comput. Phys. 170, 112-140, 2001.
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
class Operators:
    """Finite-element matrices of P1 elements on ``n`` nodes and ``m`` triangles.

    Attributes
    ----------
    mass, stiffness : csr_array, shape (n, n)
        ``int phi_i phi_j`` and ``int grad phi_i . grad phi_j``.
    lumped : ndarray, shape (n,)
        Row sums of ``mass``, in square metres.
    gradient : tuple of two csr_array, shape (n, n)
        ``int phi_i d phi_j / d x_k``.
    elementwise : csr_array, shape (3 m, n)
        Stack of d/dx, d/dy and the sum over the three corners.
    scatter : csr_array, shape (n, m)
        ``area / 12`` of every triangle around a node.
    oscillation : csr_array, shape (n, n)
        ``stiffness - G^T diag(lumped)^-1 G``: pressure that the nodal
        gradient does not see.
    """

    mass: sp.csr_array
    stiffness: sp.csr_array
    lumped: Array
    gradient: tuple[sp.csr_array, sp.csr_array]
    elementwise: sp.csr_array
    scatter: sp.csr_array
    oscillation: sp.csr_array


def assemble(nodes: Array, triangles: Index, fixed: Index) -> Operators:
    """Assemble all operators.

    The mass matrix is lumped in triangles that touch a node with a Dirichlet
    velocity, see `pressure_operator`.

    Parameters
    ----------
    nodes : ndarray, shape (n, 2)
        Metres.
    triangles : ndarray of int, shape (m, 3)
        Counter-clockwise corners.
    fixed : ndarray of int
        Nodes with a Dirichlet velocity.
    """
    n, m = len(nodes), len(triangles)
    triangles = triangles.astype(np.int32)  # 32-bit sparse indices: a faster product
    area, slope = basis_gradients(nodes, triangles)
    rows, cols = np.repeat(triangles, 3, axis=1).ravel(), np.tile(triangles, (1, 3)).ravel()

    def matrix(local: Array) -> sp.csr_array:  # local: (m, 3, 3)
        return sp.csr_array((local.ravel(), (rows, cols)), shape=(n, n))

    touching = np.isin(triangles, fixed).any(axis=1)[:, None, None]
    unit_mass = np.where(touching, np.eye(3) / 3, (1 + np.eye(3)) / 12)
    mass = matrix(area[:, None, None] * unit_mass)
    stiffness = matrix(area[:, None, None] * np.einsum("mik,mjk->mij", slope, slope))
    third = np.broadcast_to(area[:, None, None] / 3, (m, 3, 1))
    gradient = tuple(matrix(third * slope[:, None, :, k]) for k in range(2))
    lumped = mass.sum(axis=1)
    element = np.repeat(np.arange(m, dtype=np.int32), 3)
    corners = [slope[:, :, 0], slope[:, :, 1], np.ones((m, 3))]
    per_element = [sp.csr_array((c.ravel(), (element, triangles.ravel())), shape=(m, n)) for c in corners]
    weight = np.repeat(area / 12, 3)
    scatter = sp.csr_array((weight, (triangles.ravel(), element)), shape=(n, m))
    seen = sum(g.T @ sp.diags_array(1 / lumped) @ g for g in gradient)
    return Operators(
        mass=mass,
        stiffness=stiffness,
        lumped=lumped,
        gradient=gradient,
        elementwise=sp.vstack(per_element, format="csr"),
        scatter=scatter,
        oscillation=sp.csr_array(stiffness - seen),
    )


def basis_gradients(nodes: Array, triangles: Index) -> tuple[Array, Array]:
    """Areas (m,) and constant gradients (m, 3, 2) of the three hat functions."""
    corner = nodes[triangles]
    edge = np.roll(corner, 1, axis=1) - np.roll(corner, -1, axis=1)  # opposite each corner
    area = 0.5 * (edge[:, 0, 0] * edge[:, 1, 1] - edge[:, 0, 1] * edge[:, 1, 0])
    normal = np.stack([-edge[..., 1], edge[..., 0]], axis=-1)
    return area, normal / (2 * area)[:, None, None]


def convection(ops: Operators, u: Array) -> Array:
    """Weak convection ``int phi_i ((u . grad) u + 1/2 (div u) u)``.

    The second term makes the form skew-symmetric (Temam), so that it neither
    adds nor removes energy where the discrete divergence is not zero.

    Parameters
    ----------
    ops : Operators
    u : ndarray, shape (2, n)
        Velocity, m/s.

    Returns
    -------
    ndarray, shape (2, n)
        m3/s2 for each hat function.
    """
    m = ops.scatter.shape[1]
    (ux_x, ux_y, ux_sum), (uy_x, uy_y, uy_sum) = ((ops.elementwise @ component).reshape(3, m) for component in u)
    half_div = 0.5 * (ux_x + uy_y)
    xx, yy = ux_x + half_div, uy_y + half_div
    w = ops.scatter
    # exact quadrature for P1: int phi_i u_j = area / 12 (sum_j u_j + u_i)
    x = w @ (ux_sum * xx + uy_sum * ux_y) + u[0] * (w @ xx) + u[1] * (w @ ux_y)
    y = w @ (ux_sum * uy_x + uy_sum * yy) + u[0] * (w @ uy_x) + u[1] * (w @ yy)
    return np.stack([x, y])


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
    ops : Operators
    nu, dt : float
        Kinematic viscosity (m2/s) and time step (s).
    fixed, free : ndarray of int
        Nodes with and without a Dirichlet velocity.
    pressure_free : ndarray of int
        Nodes whose pressure increment is unknown.
    momentum, poisson : SuperLU
        Factors of ``3/(2 dt) M + nu K`` and of ``K``.
    coupling : csr_array
        Rows ``free``, columns ``fixed`` of the momentum matrix.
    divergence : csr_array, shape (n, 2 n)
        ``int phi_i div u`` of the stacked components.
    pressure_force : csr_array, shape (2 n, n)
        Pressure term of the momentum equation, components stacked.
    """

    ops: Operators
    nu: float
    dt: float
    fixed: Index
    free: Index
    pressure_free: Index
    momentum: SuperLU
    poisson: SuperLU
    coupling: sp.csr_array
    divergence: sp.csr_array
    pressure_force: sp.csr_array


def prepare(ops: Operators, nu: float, dt: float, fixed: Index, outlet: Index) -> System:
    """Factorise the two matrices of the scheme.

    Parameters
    ----------
    ops : Operators
    nu, dt : float
        Kinematic viscosity (m2/s) and time step (s), both positive.
    fixed : ndarray of int
        Nodes with a Dirichlet velocity.
    outlet : ndarray of int
        Nodes of the do-nothing boundary; empty for an enclosed flow, whose
        pressure is then zero at node 0.
    """
    n = len(ops.lumped)
    free = np.setdiff1d(np.arange(n), fixed)
    pressure_free = np.setdiff1d(np.arange(n), outlet if len(outlet) else [0])
    momentum = sp.csr_array(1.5 / dt * ops.mass + nu * ops.stiffness)
    return System(
        ops=ops,
        nu=nu,
        dt=dt,
        fixed=fixed,
        free=free,
        pressure_free=pressure_free,
        momentum=factorise(momentum[free][:, free]),
        poisson=factorise(ops.stiffness[pressure_free][:, pressure_free]),
        coupling=sp.csr_array(momentum[free][:, fixed]),
        divergence=sp.hstack(ops.gradient, format="csr"),
        pressure_force=pressure_operator(ops),
    )


def pressure_operator(ops: Operators) -> sp.csr_array:
    """Pressure term of the momentum equation, shape (2 n, n).

    Galerkin's term is ``int p div v = -G p + (boundary)``. The projection
    corrects velocity with the lumped mass, the momentum equation keeps the
    consistent one (fourth-order dispersion on regular meshes). Their mismatch,
    ``G^T M^-1 G`` up to 4 times ``K``, makes the splitting unstable whatever
    the time step, so the gradient is lumped first: ``-M M_L^-1 G p``. Where M
    couples free and Dirichlet nodes the mismatch would come back; it is lumped
    there. Then ``M_ff^-1 M M_L^-1 G = M_L^-1 G`` and ``G^T M_L^-1 G <= K``.
    """
    recover = ops.mass @ sp.diags_array(1 / ops.lumped)
    return sp.vstack([(g + g.T) - recover @ g for g in ops.gradient], format="csr")


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
    pressure : ndarray, shape (n,)
        Kinematic pressure, m2/s2.
    increment : tuple of two ndarray, shape (n,)
        Increments phi of the projection, m2/s2.
    """

    time: float
    velocity: tuple[Array, Array, Array]
    convection: tuple[Array, Array]
    pressure: Array
    increment: tuple[Array, Array]


def initial_state(ops: Operators, levels: tuple[Array, ...], pressure: Array) -> State:
    """Start at time 0 from one or two velocity levels (2, n), newest first."""
    u = (levels[0], levels[-1], levels[-1])
    zero = np.zeros_like(pressure)
    c = convection(ops, u[0]), convection(ops, u[1])
    return State(0.0, u, c, pressure, (zero, zero))


def advance(system: System, state: State, fixed_velocity: Array, load: Array | float = 0.0) -> State:
    """One step of the rotational incremental pressure-correction scheme.

    Parameters
    ----------
    system : System
    state : State
    fixed_velocity : ndarray, shape (2, k)
        Dirichlet velocity at the new time, m/s.
    load : ndarray, shape (2, n)
        ``int phi_i f`` at the new time, m3/s2.
    """
    ops, dt, n = system.ops, system.dt, len(state.pressure)
    (u1, u2, _), (c1, c2), (q1, q2) = state.velocity, state.convection, state.increment
    history = (4 * u1 - u2) / (2 * dt)
    rhs = load - (2 * c1 - c2)  # second-order extrapolation to the new time
    rhs += np.stack([ops.mass @ component for component in history])
    # GMS (3.6)-(3.8) with the end-of-step velocity eliminated
    p_star = state.pressure + (4 * q1 - q2) / 3
    rhs += (system.pressure_force @ p_star).reshape(2, n)
    u = np.empty_like(u1)
    u[:, system.fixed] = fixed_velocity
    known = rhs[:, system.free].T - system.coupling @ fixed_velocity.T
    u[:, system.free] = system.momentum.solve(known).T
    phi, pressure = project(system, u, state.pressure)
    return State(state.time + dt, (u, u1, u2), (convection(ops, u), c1), pressure, (phi, q1))


def project(system: System, u: Array, p: Array) -> tuple[Array, Array]:
    """Pressure increment phi and new pressure, both (n,), m2/s2."""
    ops, some = system.ops, system.pressure_free
    div = system.divergence @ u.ravel()
    # -K phi = 3/(2 dt) D u + S p; S (Codina 2001, eq. 30 ff.) damps the pressure modes
    # that equal-order elements do not control
    rhs = -1.5 / system.dt * div - ops.oscillation @ p
    phi = np.zeros_like(p)
    phi[some] = system.poisson.solve(rhs[some])
    return phi, p + phi - system.nu * div / ops.lumped  # rotational form, GMS (3.20)


def boundary_force(ops: Operators, rows: Index) -> Callable[[System, State], Array]:
    """Force of the fluid on a boundary part, by the volume formulation.

    Tests the momentum equation with the discrete field that is one on the
    nodes ``rows`` and zero elsewhere (John 2004, eq. 4): twice the order of
    integrating the stress along the boundary.

    Returns
    -------
    callable
        Maps (system, state) to the force (2,) in m3/s2 (N/m per unit density).
    """
    mass, stiff = (np.asarray(m[rows].sum(axis=0)) for m in (ops.mass, ops.stiffness))
    div = np.stack([np.asarray(g[:, rows].sum(axis=1)) for g in ops.gradient])

    def force(system: System, state: State) -> Array:
        u, u1, u2 = state.velocity
        rate = (3 * u - 4 * u1 + u2) / (2 * system.dt)
        inertia = rate @ mass + state.convection[0][:, rows].sum(axis=1)
        return div @ state.pressure - inertia - system.nu * (u @ stiff)

    return force


def vorticity(nodes: Array, triangles: Index, velocity: Array) -> Array:
    """Vorticity ``dv/dx - du/dy`` (n,) in 1/s: lumped L2 projection onto P1.

    Parameters
    ----------
    nodes : ndarray, shape (n, 2)
    triangles : ndarray of int, shape (m, 3)
    velocity : ndarray, shape (n, 2)
    """
    area, slope = basis_gradients(nodes, triangles)
    u = velocity[triangles]  # (m, 3, 2)
    curl = ((u[..., 1] * slope[..., 0]) - (u[..., 0] * slope[..., 1])).sum(axis=1)
    corners = triangles.ravel()
    weighted = np.bincount(corners, np.repeat(area * curl, 3), len(nodes))
    return weighted / np.bincount(corners, np.repeat(area, 3), len(nodes))
