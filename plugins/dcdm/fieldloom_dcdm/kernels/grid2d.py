"""Five-point kernels on 2D grids with a rim: :mod:`.grid3d` with rows for planes."""

from __future__ import annotations

import numpy as np

from .compiling import inlined, kernel

ONE = np.uint64(1)
TWO = np.uint64(2)


@kernel
def apply(start, stop, w0, w1, s0, s1, p, q):
    """Set q = A p, where axis k's conductances are ``s_k w_k``, and return p.q."""
    total = 0.0
    for i in range(start + 1, stop + 1):
        c, a, b = p[i], p[i - 1], p[i + 1]
        wa, wb, wk, out = w0[i], w0[i + 1], w1[i], q[i]
        for m in range(np.uint64(0), np.uint64(p.shape[1] - 2)):
            k = m + ONE
            flow = s0 * (wa[k] * (c[k] - a[k]) + wb[k] * (c[k] - b[k]))
            flow += s1 * (wk[k] * (c[k] - c[m]) + wk[k + ONE] * (c[k] - c[k + ONE]))
            out[k] = flow
            total += c[k] * flow
    return total


@kernel
def invert_diagonal(start, stop, w0, w1, inverse):
    """Set the inverse of A's diagonal, zero where all faces are closed."""
    for i in range(start + 1, stop + 1):
        for k in range(1, inverse.shape[1] - 1):
            total = w0[i, k] + w0[i + 1, k] + w1[i, k] + w1[i, k + 1]
            inverse[i, k] = 1 / total if total > 0 else 0


@inlined
def _relax(x, b, inverse, w0, w1, i, colour, omega):
    """Over-relax the cells of one colour in row ``i``."""
    c, below, above = x[i], x[i - 1], x[i + 1]
    wa, wb, wk, rhs, inv = w0[i], w0[i + 1], w1[i], b[i], inverse[i]
    for m in range(np.uint64((i + 1 + colour) % 2), np.uint64(x.shape[1] - 2), TWO):
        k = m + ONE
        total = rhs[k] + wa[k] * below[k] + wb[k] * above[k] + wk[k] * c[m] + wk[k + ONE] * c[k + ONE]
        c[k] += omega * (total * inv[k] - c[k])


@inlined
def _relax_zero(x, b, inverse, i, colour, omega):
    """Over-relax one colour of row ``i`` where x is zero so far, whatever its memory holds."""
    c, rhs, inv = x[i], b[i], inverse[i]
    for m in range(np.uint64(0), np.uint64(x.shape[1] - 2)):
        k = m + ONE
        chosen = (np.uint64(i + 1 + colour) + m) % TWO == 0
        c[k] = omega * rhs[k] * inv[k] if chosen else 0


@kernel
def sweep(start, stop, x, b, inverse, w0, w1, colour, first, second, from_zero):
    """Relax ``colour`` by ``first``, then the other by ``second``, one row behind; see :func:`.grid3d.sweep`."""
    rows = x.shape[0] - 2
    low = start + 1 if start == 0 else start + 2
    high = stop if stop == rows else stop - 1
    for i in range(start + 1, stop + 2):
        if i <= stop:
            if from_zero:
                _relax_zero(x, b, inverse, i, colour, first)
            else:
                _relax(x, b, inverse, w0, w1, i, colour, first)
        if low <= i - 1 <= high:
            _relax(x, b, inverse, w0, w1, i - 1, 1 - colour, second)


@kernel
def sweep_edges(start, stop, x, b, inverse, w0, w1, colour, second):
    """Finish :func:`sweep` on the rows next to other slabs."""
    if start > 0:
        _relax(x, b, inverse, w0, w1, start + 1, 1 - colour, second)
    if stop < x.shape[0] - 2 and (stop > start + 1 or start == 0):
        _relax(x, b, inverse, w0, w1, stop, 1 - colour, second)


@kernel
def restrict_residual(start, stop, x, b, w0, w1, t0, t1, coarse):
    """Sum the residual b - A x over each coarse cell of ``2**t_k`` cells along axis k; rows are coarse."""
    shift = np.uint64(t1)
    for row in range(start, stop):
        target = coarse[row + 1]
        target[1:-1] = 0
        for i in range((row << t0) + 1, min((row + 1) << t0, x.shape[0] - 2) + 1):
            c, below, above, wa, wb, wk, rhs = x[i], x[i - 1], x[i + 1], w0[i], w0[i + 1], w1[i], b[i]
            for m in range(np.uint64(0), np.uint64(x.shape[1] - 2)):
                k = m + ONE
                value = rhs[k] + wa[k] * (below[k] - c[k]) + wb[k] * (above[k] - c[k])
                value += wk[k] * (c[m] - c[k]) + wk[k + ONE] * (c[k + ONE] - c[k])
                target[(m >> shift) + ONE] += value


@kernel
def prolong_add(start, stop, coarse, t0, t1, x):
    """Add to x the value of the coarse cell that it lies in."""
    shift = np.uint64(t1)
    for i in range(start, stop):
        source, target = coarse[(i >> t0) + 1], x[i + 1]
        for m in range(np.uint64(0), np.uint64(x.shape[1] - 2)):
            target[m + ONE] += source[(m >> shift) + ONE]
