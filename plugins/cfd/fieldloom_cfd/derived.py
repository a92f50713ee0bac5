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
    values, slopes = velocity.astype(np.float64), []
    for k, h in enumerate(spacings):
        axis = d - 1 - k
        slopes.append(np.gradient(values, h, axis=axis, edge_order=2 if values.shape[axis] > 2 else 1))
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


def cell_to_node(points: Floats, connectivity: Index, offsets: Index) -> sp.csr_array:
    """Nodal values from those of the cells around, exact for linear fields, shape (points, cells).

    Averaging with a linear correction, as Holmes & Connell: equal weights are changed as little as makes them
    reproduce a linear field of the cells' centres. At a boundary, where the cells around a node lie on
    one side of it, the cells around those count, too. Across a sheet one cell thick the value is constant.

    Parameters
    ----------
    points : ndarray, shape (n, d)
    connectivity, offsets : ndarray of int
        All cells, as the mesh contract has them.

    References
    ----------
    D.G. Holmes, S.D. Connell, "Solution of the 2D Navier-Stokes equations on unstructured adaptive grids",
    AIAA 89-1932, 1989.
    """
    n, m = len(points), len(offsets) - 1
    cells = np.repeat(np.arange(m), np.diff(offsets))
    around = sp.csr_array((np.ones(len(cells)), (connectivity, cells)), shape=(n, m))
    around.data[:] = 1.0
    centres = np.stack([np.bincount(cells, points[connectivity, k], m) for k in range(points.shape[1])], axis=1)
    centres /= np.diff(offsets)[:, None]
    weights, off = _linear_weights(points, centres, around)
    lacking = np.flatnonzero(off > 1e-9 * np.ptp(points, axis=0).max())
    if len(lacking):
        wider = sp.csr_array((around[lacking] @ around.T @ around) > 0, dtype=np.float64)
        again, still = _linear_weights(points[lacking], centres, wider)
        better = still < 0.999 * off[lacking]
        keep = sp.diags_array(np.isin(np.arange(n), lacking[better], invert=True).astype(float))
        choose = sp.csr_array((better.astype(float), (lacking, np.arange(len(lacking)))), shape=(n, len(lacking)))
        weights = sp.csr_array(keep @ weights + choose @ again)
    return weights


def _linear_weights(points: Floats, centres: Floats, near: sp.csr_array) -> tuple[sp.csr_array, Floats]:
    """Weights on the pattern ``near`` (n, m), and by how much each row misses its point, in units of length."""
    d, counts = points.shape[1], np.diff(near.indptr)
    row = np.repeat(np.arange(len(points)), counts)
    lever = centres[near.indices] - points[row]
    count = np.maximum(counts, 1)
    size = np.maximum(np.bincount(row, np.linalg.norm(lever, axis=1), len(points)) / count, 1e-300)
    lever = lever / size[row, None]
    mean = np.stack([np.bincount(row, lever[:, i], len(points)) for i in range(d)], axis=1) / count[:, None]
    about = lever - mean[row]
    spread = np.stack(
        [[np.bincount(row, about[:, i] * about[:, j], len(points)) for j in range(d)] for i in range(d)]
    ).transpose(2, 0, 1)
    # sum w = 1 and sum w lever = 0, as near to equal weights as can be; no way to go where there is no spread
    slope = -np.einsum("nij,nj->ni", np.linalg.pinv(spread, rcond=1e-8, hermitian=True), mean)
    value = 1 / count[row] + (about * slope[row]).sum(axis=1)
    off = np.stack([np.bincount(row, value * lever[:, i], len(points)) for i in range(d)], axis=1)
    weights = sp.csr_array((value, near.indices.copy(), near.indptr.copy()), shape=near.shape)
    return weights, np.linalg.norm(off, axis=1) * size


def fill_from_cells(n: int, covered: Index, connectivity: Index, offsets: Index) -> sp.csr_array:
    """Give nodes that no simplex covers (in the middle of quadratic edges) the mean of their cells' covered nodes.

    Shape (n, n); the identity for covered nodes, nothing for nodes that belong to no cell.
    """
    has = np.zeros(n, bool)
    has[covered] = True
    m = len(offsets) - 1
    cells = np.repeat(np.arange(m), np.diff(offsets))
    in_cell = sp.csr_array((np.ones(len(cells)), (connectivity, cells)), shape=(n, m))
    lacking, given = sp.diags_array((~has).astype(float)), sp.diags_array(has.astype(float))
    spread = sp.csr_array(lacking @ in_cell @ in_cell.T @ given)
    total = spread.sum(axis=1)
    share = sp.diags_array(np.where(total > 0, 1 / np.maximum(total, 1), 0.0))
    return sp.csr_array(share @ spread + given)
