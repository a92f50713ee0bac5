"""Seven-point kernels on 3D grids with a rim; see :mod:`fieldloom_dcdm.kernels` for the layout.

Each kernel works on planes ``start`` to ``stop`` (without the rim) and may run at the same time on other slabs.
Indices are unsigned, for Numba then leaves out the test of negative indices, which would prevent vector instructions.
"""

from __future__ import annotations

import numpy as np

from .compiling import inlined, kernel

ONE = np.uint64(1)
TWO = np.uint64(2)


@kernel
def apply(start, stop, w0, w1, w2, s0, s1, s2, p, q):
    """Set q = A p, where axis k's conductances are ``s_k w_k``, and return p.q."""
    total = 0.0
    for i in range(start + 1, stop + 1):
        for j in range(1, p.shape[1] - 1):
            c, a, b, d, e = p[i, j], p[i - 1, j], p[i + 1, j], p[i, j - 1], p[i, j + 1]
            wa, wb, wd, we, wk, out = w0[i, j], w0[i + 1, j], w1[i, j], w1[i, j + 1], w2[i, j], q[i, j]
            for m in range(np.uint64(0), np.uint64(p.shape[2] - 2)):
                k = m + ONE
                flow = s0 * (wa[k] * (c[k] - a[k]) + wb[k] * (c[k] - b[k]))
                flow += s1 * (wd[k] * (c[k] - d[k]) + we[k] * (c[k] - e[k]))
                flow += s2 * (wk[k] * (c[k] - c[m]) + wk[k + ONE] * (c[k] - c[k + ONE]))
                out[k] = flow
                total += c[k] * flow
    return total


@kernel
def invert_diagonal(start, stop, w0, w1, w2, inverse):
    """Set the inverse of A's diagonal, zero where all faces are closed."""
    for i in range(start + 1, stop + 1):
        for j in range(1, inverse.shape[1] - 1):
            for k in range(1, inverse.shape[2] - 1):
                total = w0[i, j, k] + w0[i + 1, j, k] + w1[i, j, k] + w1[i, j + 1, k] + w2[i, j, k] + w2[i, j, k + 1]
                inverse[i, j, k] = 1 / total if total > 0 else 0


@inlined
def _relax(x, b, inverse, w0, w1, w2, i, colour, omega):
    """Over-relax the cells of one colour in plane ``i``."""
    for j in range(1, x.shape[1] - 1):
        c, below, above, left, right = x[i, j], x[i - 1, j], x[i + 1, j], x[i, j - 1], x[i, j + 1]
        wa, wb, wd, we, wk = w0[i, j], w0[i + 1, j], w1[i, j], w1[i, j + 1], w2[i, j]
        rhs, inv = b[i, j], inverse[i, j]
        for m in range(np.uint64((i + j + colour) % 2), np.uint64(x.shape[2] - 2), TWO):
            k = m + ONE
            total = rhs[k] + wa[k] * below[k] + wb[k] * above[k] + wd[k] * left[k] + we[k] * right[k]
            total += wk[k] * c[m] + wk[k + ONE] * c[k + ONE]
            c[k] += omega * (total * inv[k] - c[k])


@inlined
def _relax_zero(x, b, inverse, i, colour, omega):
    """Over-relax one colour of plane ``i`` where x is zero so far, whatever its memory holds."""
    for j in range(1, x.shape[1] - 1):
        c, rhs, inv = x[i, j], b[i, j], inverse[i, j]
        for m in range(np.uint64(0), np.uint64(x.shape[2] - 2)):
            k = m + ONE
            chosen = (np.uint64(i + j + colour) + m) % TWO == 0
            c[k] = omega * rhs[k] * inv[k] if chosen else 0


@kernel
def sweep(start, stop, x, b, inverse, w0, w1, w2, colour, first, second, from_zero):
    """Relax ``colour`` by ``first``, then the other by ``second``, one plane behind: x is read once.

    The second colour of planes next to another slab waits for :func:`sweep_edges`.
    """
    planes = x.shape[0] - 2
    low = start + 1 if start == 0 else start + 2
    high = stop if stop == planes else stop - 1
    for i in range(start + 1, stop + 2):
        if i <= stop:
            if from_zero:
                _relax_zero(x, b, inverse, i, colour, first)
            else:
                _relax(x, b, inverse, w0, w1, w2, i, colour, first)
        if low <= i - 1 <= high:
            _relax(x, b, inverse, w0, w1, w2, i - 1, 1 - colour, second)


@kernel
def sweep_edges(start, stop, x, b, inverse, w0, w1, w2, colour, second):
    """Finish :func:`sweep` on the planes next to other slabs."""
    if start > 0:
        _relax(x, b, inverse, w0, w1, w2, start + 1, 1 - colour, second)
    if stop < x.shape[0] - 2 and (stop > start + 1 or start == 0):
        _relax(x, b, inverse, w0, w1, w2, stop, 1 - colour, second)


@inlined
def _restrict_row(x, b, w0, w1, w2, i, j, target, shift):
    """Add the residual of row (i, j) to a row of the coarse grid."""
    c, below, above, left, right = x[i, j], x[i - 1, j], x[i + 1, j], x[i, j - 1], x[i, j + 1]
    wa, wb, wd, we, wk, rhs = w0[i, j], w0[i + 1, j], w1[i, j], w1[i, j + 1], w2[i, j], b[i, j]
    for m in range(np.uint64(0), np.uint64(x.shape[2] - 2)):
        k = m + ONE
        value = rhs[k] + wa[k] * (below[k] - c[k]) + wb[k] * (above[k] - c[k])
        value += wd[k] * (left[k] - c[k]) + we[k] * (right[k] - c[k])
        value += wk[k] * (c[m] - c[k]) + wk[k + ONE] * (c[k + ONE] - c[k])
        target[(m >> shift) + ONE] += value


@kernel
def restrict_residual(start, stop, x, b, w0, w1, w2, t0, t1, t2, coarse):
    """Sum the residual b - A x over each coarse cell of ``2**t_k`` cells along axis k; planes are coarse."""
    n0, n1, shift = x.shape[0] - 2, x.shape[1] - 2, np.uint64(t2)
    for i in range(start, stop):
        coarse[i + 1, 1:-1, 1:-1] = 0
        for fine_i in range(i << t0, min((i + 1) << t0, n0)):
            for fine_j in range(n1):
                target = coarse[i + 1, (fine_j >> t1) + 1]
                _restrict_row(x, b, w0, w1, w2, fine_i + 1, fine_j + 1, target, shift)


@kernel
def prolong_add(start, stop, coarse, t0, t1, t2, x):
    """Add to x the value of the coarse cell that it lies in."""
    shift = np.uint64(t2)
    for i in range(start, stop):
        for j in range(x.shape[1] - 2):
            source, target = coarse[(i >> t0) + 1, (j >> t1) + 1], x[i + 1, j + 1]
            for m in range(np.uint64(0), np.uint64(x.shape[2] - 2)):
                target[m + ONE] += source[(m >> shift) + ONE]
