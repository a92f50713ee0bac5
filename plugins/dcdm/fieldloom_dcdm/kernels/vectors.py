"""Vector updates of conjugate gradients, fused so that each vector is read once."""

from __future__ import annotations

from .compiling import kernel


@kernel
def step(start, stop, alpha, p, q, x, r):
    """Set x += alpha p and r -= alpha q on flat vectors, and return r.r."""
    total = 0.0
    for i in range(start, stop):
        x[i] += alpha * p[i]
        r[i] -= alpha * q[i]
        total += r[i] * r[i]
    return total


@kernel
def dot(start, stop, a, b):
    """Return a.b, summed in double precision."""
    total = 0.0
    for i in range(start, stop):
        total += a[i] * b[i]
    return total


@kernel
def combine(start, stop, alpha, z, beta, p):
    """Set p = alpha z + beta p."""
    for i in range(start, stop):
        p[i] = alpha * z[i] + beta * p[i]


@kernel
def scaled_copy(start, stop, scale, source, target):
    """Set target = scale source, whatever their precisions."""
    for i in range(start, stop):
        target[i] = scale * source[i]
