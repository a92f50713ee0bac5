"""Vector updates of conjugate gradients, fused so that each vector is read once.

Slices come first because Numba tests indices of unknown sign, which prevents vector instructions; those that count
from zero to a size it trusts.
"""

from __future__ import annotations

from .compiling import kernel


@kernel
def step(start, stop, alpha, p, q, x, r):
    """Set x += alpha p and r -= alpha q on flat vectors, and return r.r."""
    p, q, x, r = p[start:stop], q[start:stop], x[start:stop], r[start:stop]
    total = 0.0
    for i in range(x.size):
        x[i] += alpha * p[i]
        r[i] -= alpha * q[i]
        total += r[i] * r[i]
    return total


@kernel
def dot(start, stop, a, b):
    """Return a.b, summed in double precision."""
    a, b = a[start:stop], b[start:stop]
    total = 0.0
    for i in range(a.size):
        total += a[i] * b[i]
    return total


@kernel
def combine(start, stop, alpha, z, beta, p):
    """Set p = alpha z + beta p."""
    z, p = z[start:stop], p[start:stop]
    for i in range(p.size):
        p[i] = alpha * z[i] + beta * p[i]


@kernel
def scaled_copy(start, stop, scale, source, target):
    """Set target = scale source, whatever their precisions."""
    source, target = source[start:stop], target[start:stop]
    for i in range(target.size):
        target[i] = scale * source[i]
