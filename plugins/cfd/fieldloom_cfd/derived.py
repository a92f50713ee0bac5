"""Quantities derived from a velocity: gradients, vorticity, Q-criterion; on meshes and on grids.

References
----------
J.C.R. Hunt, A.A. Wray, P. Moin, "Eddies, streams, and convergence zones in
turbulent flows", CTR Summer Program, 193-208, 1988 (Q-criterion).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Index = NDArray[np.int64]


def gradient_operator(points: Floats, simplices: Index) -> sp.csr_array:
    """Nodal gradient of a linear field on triangles or tetrahedra.

    The constant gradients of the simplices around a node, averaged by their measure: exact for
    linear fields, second order inside regular meshes, first at boundaries.

    Parameters
    ----------
    points : ndarray, shape (n, d)
        Coordinates, d = 2 or 3.
    simplices : ndarray of int, shape (s, d + 1)

    Returns
    -------
    csr_array, shape (d n, n)
        Derivatives along the axes, stacked. Rows of nodes without a simplex are zero.
    """
    n, d = points.shape
    edges = (points[simplices[:, 1:]] - points[simplices[:, :1]]).astype(np.float64)  # (s, d, d)
    measure = np.abs(np.linalg.det(edges))
    keep = measure > 1e-14 * measure.mean()
    simplices, measure = simplices[keep], measure[keep]
    slope = np.linalg.inv(edges[keep]).transpose(0, 2, 1)  # gradients of the last d hat functions
    slope = np.concatenate([-slope.sum(axis=1, keepdims=True), slope], axis=1)  # (s, d + 1, d)
    around = np.bincount(simplices.ravel(), np.repeat(measure, d + 1), n)
    share = measure[:, None] / around[simplices]
    rows = np.repeat(simplices[:, :, None], d + 1, axis=2).ravel()
    columns = np.repeat(simplices[:, None, :], d + 1, axis=1).ravel()
    parts = [
        sp.csr_array(((share[:, :, None] * slope[:, None, :, k]).ravel(), (rows, columns)), shape=(n, n))
        for k in range(d)
    ]
    return sp.vstack(parts, format="csr")


def mesh_gradient(operator: sp.csr_array, velocity: Floats) -> Floats:
    """Velocity gradient (n, components, d), ``d u_i / d x_j``, from nodal velocity (n, components)."""
    n, components = velocity.shape
    return (operator @ velocity.astype(np.float64)).reshape(-1, n, components).transpose(1, 2, 0)


def grid_gradient(velocity: Floats, spacings: tuple[float, ...]) -> Floats:
    """Velocity gradient (..., components, d) on a uniform grid by central differences, one-sided at the rim.

    Parameters
    ----------
    velocity : ndarray, shape ([nz,] ny, nx, components)
    spacings : tuple of float
        Along x, y[, z].
    """
    d = len(spacings)
    slopes = [np.gradient(velocity.astype(np.float64), h, axis=d - 1 - k, edge_order=2) for k, h in enumerate(spacings)]
    return np.stack(slopes, axis=-1)


def vorticity(gradient: Floats) -> Floats:
    """Curl of the velocity: ``dv/dx - du/dy`` (...,) in two dimensions, a vector (..., 3) in three.

    Parameters
    ----------
    gradient : ndarray, shape (..., components, d)
        In the plane, components beyond the second are ignored.
    """
    g = gradient
    if g.shape[-1] == 2:
        return g[..., 1, 0] - g[..., 0, 1]
    curl = [g[..., 2, 1] - g[..., 1, 2], g[..., 0, 2] - g[..., 2, 0], g[..., 1, 0] - g[..., 0, 1]]
    return np.stack(curl, axis=-1)


def q_criterion(gradient: Floats) -> Floats:
    """Excess of rotation over strain, ``(|Omega|^2 - |S|^2) / 2`` (Hunt, Wray & Moin 1988), shape (...,)."""
    d = gradient.shape[-1]
    g = gradient[..., :d, :]
    transposed = np.swapaxes(g, -1, -2)
    strain, spin = (g + transposed) / 2, (g - transposed) / 2
    q: Floats = 0.5 * ((spin**2).sum(axis=(-1, -2)) - (strain**2).sum(axis=(-1, -2)))
    return q


def cell_to_node(points: int, simplices: Index, parents: Index, measure: Floats) -> sp.csr_array:
    """Average of the values of the cells around each node, weighted by their measure, shape (points, cells).

    Parameters
    ----------
    parents : ndarray of int, shape (s,)
        The cell of each simplex.
    measure : ndarray, shape (s,)
        Area or volume of each simplex.
    """
    corners = simplices.shape[1]
    rows, columns = simplices.ravel(), np.repeat(parents, corners)
    weights = sp.csr_array((np.repeat(measure, corners), (rows, columns)), shape=(points, int(parents.max()) + 1))
    return sp.diags_array(1 / np.maximum(weights.sum(axis=1), 1e-300)) @ weights


def measures(points: Floats, simplices: Index) -> Floats:
    """Area (d = 2) or volume (d = 3) of each simplex."""
    d = simplices.shape[1] - 1
    edges = points[simplices[:, 1:], :d] - points[simplices[:, :1], :d]
    size: Floats = np.abs(np.linalg.det(edges)) / (2 if d == 2 else 6)
    return size
