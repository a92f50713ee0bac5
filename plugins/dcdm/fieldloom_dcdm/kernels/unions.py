"""Connected components by union-find."""

from __future__ import annotations

from .compiling import inlined, kernel


@inlined
def _root(parent, i):
    """Return the root of i, halving the path to it."""
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@kernel
def unite(parent, below, stride, start):
    """Join each flat cell i >= start with cell i - stride where the face below it is open."""
    for i in range(start, parent.size):
        if below[i] > 0:
            a, b = _root(parent, i), _root(parent, i - stride)
            if a < b:
                parent[b] = a
            elif b < a:
                parent[a] = b


@kernel
def flatten(parent):
    """Let every cell point to its root; parents come before their children."""
    for i in range(parent.size):
        parent[i] = parent[parent[i]]
