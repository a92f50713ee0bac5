"""What the kernels do on one row of cells: short loops over few arrays, which the compiler vectorises."""

from __future__ import annotations

import numpy as np

from .compiling import inlined


@inlined
def add_inflow(t, wa, a, wb, b):
    """Add to t what flows in from two neighbours' values."""
    for m in range(t.size):
        t[m] += wa[m] * a[m] + wb[m] * b[m]


@inlined
def add_flow(t, scale, c, wa, a, wb, b):
    """Add to t what flows from two neighbours to c: ``scale (wa (a - c) + wb (b - c))``."""
    for m in range(t.size):
        t[m] += scale * (wa[m] * (a[m] - c[m]) + wb[m] * (b[m] - c[m]))


@inlined
def add_pair(t, a, b):
    """Add two rows to t."""
    for m in range(t.size):
        t[m] += a[m] + b[m]


@inlined
def invert_row(t):
    """Replace t by 1 / t, and zeros by zero."""
    for m in range(t.size):
        t[m] = 1 / t[m] if t[m] > 0 else 0


@inlined
def relax_row(c, weights, t, inverse):
    """Move c towards t / diagonal: all the way for weight 1, not at all for weight 0."""
    for m in range(t.size):
        c[m] += weights[m] * (t[m] * inverse[m] - c[m])


@inlined
def relax_zero_row(c, weights, rhs, inverse):
    """Do the same where c is zero and has no neighbours yet, whatever its memory holds."""
    for m in range(c.size):
        c[m] = weights[m] * rhs[m] * inverse[m]


@inlined
def relaxation_of(n, omega):
    """Return weights (2, n) with omega in every second cell: from cell 0 on, and from cell 1 on."""
    weights = np.zeros((2, n), np.float32)
    weights[0, 0::2] = omega
    weights[1, 1::2] = omega
    return weights


@inlined
def pool_row(t, target, shift):
    """Add t to a row with half as many cells (shift 1), or as many (shift 0)."""
    for m in range(np.uint64(t.size)):
        target[m >> shift] += t[m]


@inlined
def spread_row(source, target, shift):
    """Add a coarse row to the cells below it."""
    for m in range(np.uint64(target.size)):
        target[m] += source[m >> shift]
