"""What a Krylov method needs of a matrix, fused where the grid allows it."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from .components import Components, find_components
from .kernels import numba_grid, slabs, vectors
from .problem import Poisson

Array = NDArray[Any]


class Operator(Protocol):
    """A symmetric matrix and the updates of vectors of its kind; ``apply``, ``step`` and ``combine`` write."""

    def zeros(self) -> Any:
        """Return a new zero vector."""

    def apply(self, p: Any, q: Any) -> float:
        """Set q = A p and return p.q."""

    def step(self, alpha: float, p: Any, q: Any, x: Any, r: Any) -> float:
        """Set x += alpha p, r -= alpha q and return r.r."""

    def combine(self, alpha: float, z: Any, beta: float, p: Any) -> None:
        """Set p = alpha z + beta p."""

    def dot(self, a: Any, b: Any) -> float:
        """Return a.b."""

    def project(self, v: Any) -> None:
        """Remove the null space from v, in place."""


class GridOperator:
    """A :class:`Poisson` system on fields with a rim."""

    def __init__(self, problem: Poisson, threads: int = 1, components: Components | None = None) -> None:
        self.problem = problem
        self.components = components or find_components(problem)
        dtype = np.result_type(*problem.padded)
        self._faces = tuple(w.astype(dtype, copy=False) for w in problem.padded)
        self._apply = numba_grid.kernels(problem.ndim).apply
        self._planes = slabs.bounds(problem.shape[0], threads)
        self._parts = slabs.bounds(int(np.prod(self._faces[0].shape)), threads)

    def zeros(self) -> NDArray[np.float64]:
        return np.zeros(self._faces[0].shape)

    def apply(self, p: Array, q: Array) -> float:
        return float(sum(slabs.run(self._apply, self._planes, *self._faces, *self.problem.scales, p, q)))

    def step(self, alpha: float, p: Array, q: Array, x: Array, r: Array) -> float:
        flat = (v.ravel() for v in (p, q, x, r))
        return float(sum(slabs.run(vectors.step, self._parts, alpha, *flat)))

    def combine(self, alpha: float, z: Array, beta: float, p: Array) -> None:
        slabs.run(vectors.combine, self._parts, alpha, z.ravel(), beta, p.ravel())

    def dot(self, a: Array, b: Array) -> float:
        return float(sum(slabs.run(vectors.dot, self._parts, a.ravel(), b.ravel())))

    def project(self, v: Array) -> None:
        self.components.project(v)


class MatrixOperator:
    """A SciPy sparse matrix on plain vectors."""

    def __init__(self, matrix: sp.sparray) -> None:
        self.matrix = matrix

    def zeros(self) -> NDArray[np.float64]:
        return np.zeros(self.matrix.shape[0])

    def apply(self, p: Array, q: Array) -> float:
        q[...] = self.matrix @ p
        return float(p @ q)

    def step(self, alpha: float, p: Array, q: Array, x: Array, r: Array) -> float:
        x += alpha * p
        r -= alpha * q
        return float(r @ r)

    def combine(self, alpha: float, z: Array, beta: float, p: Array) -> None:
        p *= beta
        p += alpha * z

    def dot(self, a: Array, b: Array) -> float:
        return float(a @ b)

    def project(self, v: Array) -> None:
        """Do nothing: a plain matrix is taken as regular."""
