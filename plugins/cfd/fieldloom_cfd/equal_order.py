"""Linear triangles for velocity and pressure (P1/P1), stabilised: the cheapest pair that sheds at the right frequency.

References
----------
R. Codina, "Pressure stability in fractional step finite element methods for
incompressible flows", J. Comput. Phys. 170, 112-140, 2001.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.sparse as sp

from .navier_stokes import Array, Discretisation, Index, assembled


def equal_order(nodes: Array, triangles: Index, fixed: Index) -> Discretisation:
    """Assemble the matrices of P1/P1 elements on ``n`` nodes and ``m`` triangles.

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
    n = len(nodes)
    area, slope = basis_gradients(nodes, triangles)

    def matrix(local: Array) -> sp.csr_array:
        return assembled(local, triangles, triangles, (n, n))

    touching = np.isin(triangles, fixed).any(axis=1)[:, None, None]
    unit_mass = np.where(touching, np.eye(3) / 3, (1 + np.eye(3)) / 12)
    mass = matrix(area[:, None, None] * unit_mass)
    stiffness = matrix(area[:, None, None] * np.einsum("mik,mjk->mij", slope, slope))
    third = np.broadcast_to(area[:, None, None] / 3, (len(area), 3, 1))
    gradient = [matrix(third * slope[:, None, :, k]) for k in range(2)]
    lumped = mass.sum(axis=1)
    seen = sum(g.T @ sp.diags_array(1 / lumped) @ g for g in gradient)
    around = sp.diags_array(1 / lumped)  # row sums are thirds of the areas around a node, lumped or not
    return Discretisation(
        mass=mass,
        stiffness=stiffness,
        divergence=sp.hstack(gradient, format="csr"),
        pressure_force=pressure_operator(mass, lumped, gradient),
        laplacian=stiffness,
        stabilisation=sp.csr_array(stiffness - seen),  # Codina 2001, eq. 30 ff.
        pressure_mass=lumped,
        convection=convection(area, slope, triangles, n),
        curl=sp.hstack([-around @ gradient[1], around @ gradient[0]], format="csr"),
        to_nodes=sp.eye_array(n, format="csr"),
    )


def basis_gradients(nodes: Array, triangles: Index) -> tuple[Array, Array]:
    """Areas (m,) and constant gradients (m, 3, 2) of the three hat functions."""
    corner = nodes[triangles]
    edge = np.roll(corner, 1, axis=1) - np.roll(corner, -1, axis=1)  # opposite each corner
    area = 0.5 * (edge[:, 0, 0] * edge[:, 1, 1] - edge[:, 0, 1] * edge[:, 1, 0])
    normal = np.stack([-edge[..., 1], edge[..., 0]], axis=-1)
    return area, normal / (2 * area)[:, None, None]


def pressure_operator(mass: sp.csr_array, lumped: Array, gradient: list[sp.csr_array]) -> sp.csr_array:
    """Pressure term of the momentum equation, shape (2 n, n).

    Galerkin's term is ``int p div v = -G p + (boundary)``. The projection
    corrects velocity with the lumped mass, the momentum equation keeps the
    consistent one (fourth-order dispersion on regular meshes). Their mismatch,
    ``G^T M^-1 G`` up to 4 times ``K``, makes the splitting unstable whatever
    the time step, so the gradient is lumped first: ``-M M_L^-1 G p``. Where M
    couples free and Dirichlet nodes the mismatch would come back; it is lumped
    there. Then ``M_ff^-1 M M_L^-1 G = M_L^-1 G`` and ``G^T M_L^-1 G <= K``.
    """
    recover = mass @ sp.diags_array(1 / lumped)
    return sp.vstack([(g + g.T) - recover @ g for g in gradient], format="csr")


def convection(area: Array, slope: Array, triangles: Index, n: int) -> Callable[[Array], Array]:
    """Weak convection as a function of velocity, with exact quadrature, see `Discretisation`."""
    m = len(area)
    element = np.repeat(np.arange(m, dtype=np.int32), 3)
    corners = triangles.ravel().astype(np.int32)
    values = [slope[:, :, 0], slope[:, :, 1], np.ones((m, 3))]
    d_dx_d_dy_sum = sp.vstack([sp.csr_array((v.ravel(), (element, corners)), shape=(m, n)) for v in values], "csr")
    scatter = sp.csr_array((np.repeat(area / 12, 3), (corners, element)), shape=(n, m))

    def apply(u: Array) -> Array:
        (ux_x, ux_y, ux_sum), (uy_x, uy_y, uy_sum) = ((d_dx_d_dy_sum @ component).reshape(3, m) for component in u)
        half_div = 0.5 * (ux_x + uy_y)
        xx, yy = ux_x + half_div, uy_y + half_div
        # exact for P1: int phi_i u_j = area / 12 (sum_j u_j + u_i)
        x = scatter @ (ux_sum * xx + uy_sum * ux_y) + u[0] * (scatter @ xx) + u[1] * (scatter @ ux_y)
        y = scatter @ (ux_sum * uy_x + uy_sum * yy) + u[0] * (scatter @ uy_x) + u[1] * (scatter @ yy)
        return np.stack([x, y])

    return apply
