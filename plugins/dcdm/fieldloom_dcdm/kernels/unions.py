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
def join_rows(parent, below):
    """Start: along the last axis each flat cell points to the first cell of its run of open faces."""
    for i in range(parent.size):
        parent[i] = parent[i - 1] if below[i] > 0 else i


@kernel
def unite(parent, below, stride):
    """Join each flat cell with cell i - stride where the face below it is open; runs are joined once."""
    last_a, last_b = -1, -1
    for i in range(stride, parent.size):
        if below[i] > 0:
            a, b = parent[i], parent[i - stride]
            if a != last_a or b != last_b:
                last_a, last_b = a, b
                a, b = _root(parent, a), _root(parent, b)
                parent[max(a, b)] = min(a, b)


@kernel
def flatten(parent):
    """Let every cell point to its root; parents come before their children."""
    for i in range(parent.size):
        parent[i] = parent[parent[i]]
