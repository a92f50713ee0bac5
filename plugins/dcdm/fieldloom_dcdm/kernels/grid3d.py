"""Seven-point kernels on 3D grids with a rim; see :mod:`fieldloom_dcdm.kernels` for the layout.

Each kernel works on planes ``start`` to ``stop`` (counted without the rim) and may run on other slabs at the same time.
"""

from __future__ import annotations

import numpy as np

from .compiling import inlined, kernel
from .rows import (
    add_flow,
    add_inflow,
    add_pair,
    invert_row,
    pool_row,
    relax_row,
    relax_zero_row,
    relaxation_of,
    spread_row,
)


@inlined
def _add_flows(t, s0, s1, s2, x, w0, w1, w2, i, j):
    """Add to t what flows into the cells of row (i, j), where axis k's conductances are ``s_k w_k``."""
    c = x[i, j, 1:-1]
    add_flow(t, s0, c, w0[i, j, 1:-1], x[i - 1, j, 1:-1], w0[i + 1, j, 1:-1], x[i + 1, j, 1:-1])
    add_flow(t, s1, c, w1[i, j, 1:-1], x[i, j - 1, 1:-1], w1[i, j + 1, 1:-1], x[i, j + 1, 1:-1])
    add_flow(t, s2, c, w2[i, j, 1:-1], x[i, j, :-2], w2[i, j, 2:], x[i, j, 2:])


@kernel
def apply(start, stop, w0, w1, w2, s0, s1, s2, p, q):
    """Set q = A p, where axis k's conductances are ``s_k w_k``, and return p.q."""
    total = 0.0
    for i in range(start + 1, stop + 1):
        for j in range(1, p.shape[1] - 1):
            out, c = q[i, j, 1:-1], p[i, j, 1:-1]
            out[:] = 0
            _add_flows(out, -s0, -s1, -s2, p, w0, w1, w2, i, j)
            for m in range(out.size):
                total += c[m] * out[m]
    return total


@kernel
def invert_diagonal(start, stop, w0, w1, w2, inverse):
    """Set the inverse of A's diagonal, zero where all faces are closed."""
    for i in range(start + 1, stop + 1):
        for j in range(1, inverse.shape[1] - 1):
            total = inverse[i, j, 1:-1]
            total[:] = 0
            add_pair(total, w0[i, j, 1:-1], w0[i + 1, j, 1:-1])
            add_pair(total, w1[i, j, 1:-1], w1[i, j + 1, 1:-1])
            add_pair(total, w2[i, j, 1:-1], w2[i, j, 2:])
            invert_row(total)


@inlined
def _relax(x, b, inverse, w0, w1, w2, i, colour, weights, t):
    """Over-relax the cells of one colour in plane ``i``; t is memory for a row."""
    for j in range(1, x.shape[1] - 1):
        t[:] = b[i, j, 1:-1]
        add_inflow(t, w0[i, j, 1:-1], x[i - 1, j, 1:-1], w0[i + 1, j, 1:-1], x[i + 1, j, 1:-1])
        add_inflow(t, w1[i, j, 1:-1], x[i, j - 1, 1:-1], w1[i, j + 1, 1:-1], x[i, j + 1, 1:-1])
        add_inflow(t, w2[i, j, 1:-1], x[i, j, :-2], w2[i, j, 2:], x[i, j, 2:])
        relax_row(x[i, j, 1:-1], weights[(i + j + colour) % 2], t, inverse[i, j, 1:-1])


@inlined
def _relax_zero(x, b, inverse, i, colour, weights):
    """Over-relax one colour of plane ``i`` where x is zero so far."""
    for j in range(1, x.shape[1] - 1):
        relax_zero_row(x[i, j, 1:-1], weights[(i + j + colour) % 2], b[i, j, 1:-1], inverse[i, j, 1:-1])


@kernel
def sweep(start, stop, x, b, inverse, w0, w1, w2, colour, first, second, from_zero):
    """Relax ``colour`` by ``first``, then the other by ``second``, one plane behind: x is read once.

    The second colour of planes next to another slab waits for :func:`sweep_edges`.
    """
    planes, n = x.shape[0] - 2, x.shape[2] - 2
    low = start + 1 if start == 0 else start + 2
    high = stop if stop == planes else stop - 1
    ahead, behind, t = relaxation_of(n, first), relaxation_of(n, second), np.empty(n, x.dtype)
    for i in range(start + 1, stop + 2):
        if i <= stop:
            if from_zero:
                _relax_zero(x, b, inverse, i, colour, ahead)
            else:
                _relax(x, b, inverse, w0, w1, w2, i, colour, ahead, t)
        if low <= i - 1 <= high:
            _relax(x, b, inverse, w0, w1, w2, i - 1, 1 - colour, behind, t)


@kernel
def sweep_edges(start, stop, x, b, inverse, w0, w1, w2, colour, second):
    """Finish :func:`sweep` on the planes next to other slabs."""
    n = x.shape[2] - 2
    behind, t = relaxation_of(n, second), np.empty(n, x.dtype)
    if start > 0:
        _relax(x, b, inverse, w0, w1, w2, start + 1, 1 - colour, behind, t)
    if stop < x.shape[0] - 2 and (stop > start + 1 or start == 0):
        _relax(x, b, inverse, w0, w1, w2, stop, 1 - colour, behind, t)


@kernel
def restrict_residual(start, stop, x, b, w0, w1, w2, t0, t1, t2, coarse):
    """Sum the residual b - A x over each coarse cell of ``2**t_k`` cells along axis k; planes are coarse."""
    t = np.empty(x.shape[2] - 2, x.dtype)
    one = np.float32(1)
    for plane in range(start, stop):
        coarse[plane + 1, 1:-1, 1:-1] = 0
        for i in range((plane << t0) + 1, min((plane + 1) << t0, x.shape[0] - 2) + 1):
            for j in range(1, x.shape[1] - 1):
                t[:] = b[i, j, 1:-1]
                _add_flows(t, one, one, one, x, w0, w1, w2, i, j)
                pool_row(t, coarse[plane + 1, ((j - 1) >> t1) + 1, 1:-1], np.uint64(t2))


@kernel
def prolong_add(start, stop, coarse, t0, t1, t2, x):
    """Add to x the value of the coarse cell that it lies in."""
    for i in range(start, stop):
        for j in range(x.shape[1] - 2):
            spread_row(coarse[(i >> t0) + 1, (j >> t1) + 1, 1:-1], x[i + 1, j + 1, 1:-1], np.uint64(t2))


@kernel
def descend(x, b, inverse, w0, w1, w2, omega, from_zero, t0, t1, t2, coarse):
    """Do all sweeps before the coarse grid and restrict, in one call; ``omega`` has shape (sweeps, 2)."""
    for n in range(len(omega)):
        sweep(0, x.shape[0] - 2, x, b, inverse, w0, w1, w2, 0, omega[n, 0], omega[n, 1], from_zero and n == 0)
    restrict_residual(0, coarse.shape[0] - 2, x, b, w0, w1, w2, t0, t1, t2, coarse)


@kernel
def ascend(x, b, inverse, w0, w1, w2, omega, t0, t1, t2, coarse):
    """Prolong and do all sweeps after the coarse grid, backwards, in one call."""
    prolong_add(0, x.shape[0] - 2, coarse, t0, t1, t2, x)
    for n in range(len(omega) - 1, -1, -1):
        sweep(0, x.shape[0] - 2, x, b, inverse, w0, w1, w2, 1, omega[n, 1], omega[n, 0], False)
