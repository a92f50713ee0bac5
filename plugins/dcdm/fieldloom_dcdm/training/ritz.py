"""Residuals to train on: combinations of Ritz vectors, made on the fly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh_tridiagonal

from ..components import find_components
from ..kernels.numba_grid import pad, unpad
from ..operators import GridOperator
from ..problem import Poisson

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Ritz:
    """Ritz pairs of A, lowest first.

    Parameters
    ----------
    values : ndarray, shape (m,)
    vectors : ndarray of float32, shape (m, *grid)
        Of norm 1, zero in solid cells.
    """

    values: NDArray[np.float64]
    vectors: Floats


def ritz(problem: Poisson, m: int, rng: np.random.Generator) -> Ritz:
    """Run m steps of Lanczos with full reorthogonalisation from A times a normal vector.

    Memory is 2 m floats a cell (the basis in single precision, and the vectors): 1 GB for m = 500 at 64^3.

    References
    ----------
    Y. Saad, *Numerical Methods for Large Eigenvalue Problems*, 2011, algorithm 6.5; the start is DCDM's (Kaneda et
    al. 2023, section 5.1), which leaves out the null space.
    """
    operator = GridOperator(problem, components=find_components(problem))
    basis, alpha, beta = np.zeros((m, *problem.shape), np.float32), np.zeros(m), np.zeros(m)
    v, w = operator.zeros(), operator.zeros()
    operator.apply(pad(rng.standard_normal(problem.shape) * problem.mask, np.float64), v)
    v /= np.linalg.norm(v)
    steps = m
    for j in range(m):
        basis[j] = unpad(v)
        alpha[j] = operator.apply(v, w)
        _orthogonalise(unpad(w), basis[: j + 1])
        beta[j] = np.linalg.norm(w)
        if beta[j] < 1e-8 * abs(alpha[0]):  # the Krylov space is complete
            steps = j + 1
            break
        v = w / beta[j]
    values, modes = eigh_tridiagonal(alpha[:steps], beta[: steps - 1])
    vectors = (modes.T.astype(np.float32) @ basis[:steps].reshape(steps, -1)).reshape(steps, *problem.shape)
    return Ritz(values, vectors)


def _orthogonalise(w: NDArray[Any], basis: Floats) -> None:
    """Subtract from w its part in the basis, twice (twice is enough)."""
    flat = basis.reshape(len(basis), -1)
    for _ in range(2):
        inner = flat @ w.ravel().astype(np.float32)
        w -= (inner @ flat).reshape(w.shape)


def draw(rng: np.random.Generator, pairs: Ritz, batch: int, emphasis: float = 9.0, low: float = 0.55) -> Floats:
    """Draw residuals of norm 1: normal combinations, with more weight on the lowest Ritz vectors.

    Parameters
    ----------
    batch : int
    emphasis, low : float
        Factor for the lowest part, and that part; DCDM's are 9 and 0.55.

    Returns
    -------
    ndarray of float32, shape (batch, *grid)
    """
    m = len(pairs.values)
    weights = rng.standard_normal((batch, m)).astype(np.float32)
    weights[:, : int(low * m)] *= emphasis
    r = weights @ pairs.vectors.reshape(m, -1)
    r /= np.linalg.norm(r, axis=1, keepdims=True)
    return r.reshape(batch, *pairs.vectors.shape[1:])
