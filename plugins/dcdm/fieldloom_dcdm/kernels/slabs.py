"""Run a kernel on slabs of planes, one a thread."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import pairwise
from typing import Any

PLANES = 8
"""Fewest planes that are worth a thread: waking one costs as much as a small grid."""


@lru_cache(maxsize=4)
def _pool(process: int, workers: int) -> ThreadPoolExecutor:
    """Threads of this process; a forked child gets its own."""
    return ThreadPoolExecutor(workers, thread_name_prefix="dcdm")


def bounds(planes: int, threads: int) -> list[tuple[int, int]]:
    """Divide ``range(planes)`` into as many slabs as there are threads, fewer if it is small."""
    parts = max(1, min(threads, planes // PLANES))
    edges = [planes * part // parts for part in range(parts + 1)]
    return list(pairwise(edges))


def run(kernel: Callable[..., Any], slabs: list[tuple[int, int]], *arguments: Any) -> list[Any]:
    """Call ``kernel(start, stop, *arguments)`` for each slab at the same time.

    Kernels release the interpreter's lock, so that plain threads serve, and their number is the caller's.
    """
    first, *others = slabs
    if not others:
        return [kernel(*first, *arguments)]
    pool = _pool(os.getpid(), len(others))
    futures = [pool.submit(kernel, *slab, *arguments) for slab in others]
    result = kernel(*first, *arguments)
    return [result, *(future.result() for future in futures)]
