"""Fast Poisson: the box without its solids, solved by sine and cosine transforms."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from ..kernels.numba_grid import unpad
from ..problem import Poisson, Side
from .base import DirectionModel

Transform = tuple[str, int, float]
"""Family ("dst" or "dct"), type, and the shift of the wave numbers."""

TRANSFORMS: dict[tuple[Side, Side], Transform] = {
    ("dirichlet", "dirichlet"): ("dst", 2, 1.0),
    ("neumann", "neumann"): ("dct", 2, 0.0),
    ("dirichlet", "neumann"): ("dst", 4, 0.5),
    ("neumann", "dirichlet"): ("dct", 4, 0.5),
}


class Dst(DirectionModel):
    """The inverse of the box's Laplacian with the mean coefficient, restricted to the fluid.

    Needs no set-up beside the eigenvalues, and knows nothing of solids. Symmetric, and positive definite but for
    constants in a box without a Dirichlet side, which are mapped to zero.

    References
    ----------
    G. Strang, "The discrete cosine transform", SIAM Review 41, 1999: the eigenvectors for each pair of sides.
    """

    name: ClassVar[str] = "dst"

    def __init__(self, problem: Poisson, threads: int = 1) -> None:
        self._threads = threads
        self._transforms = [TRANSFORMS[pair] for pair in problem.boundary]
        self._inverse = _inverse_eigenvalues(problem, self._transforms)
        self._out = np.zeros([n + 2 for n in problem.shape])

    def __call__(self, r: NDArray[Any]) -> NDArray[np.float64]:
        spectrum = self._transform(unpad(r), inverse=False)
        spectrum *= self._inverse
        unpad(self._out)[...] = self._transform(spectrum, inverse=True)
        return self._out

    def _transform(self, field: NDArray[Any], *, inverse: bool) -> NDArray[np.float64]:
        for axis, (family, kind, _) in enumerate(self._transforms):
            function = getattr(fft, f"i{family}" if inverse else family)
            field = function(field, kind, axis=axis, norm="ortho", workers=self._threads, overwrite_x=axis > 0)
        return field


def _inverse_eigenvalues(problem: Poisson, transforms: list[Transform]) -> NDArray[np.float64]:
    total = np.zeros(problem.shape)
    for axis, ((_, _, shift), scale) in enumerate(zip(transforms, problem.scales, strict=True)):
        n = problem.shape[axis]
        values = scale * 4.0 * np.sin(0.5 * np.pi * (np.arange(n) + shift) / n) ** 2
        total += values.reshape([-1 if k == axis else 1 for k in range(problem.ndim)])
    total *= _mean_coefficient(problem)
    return np.divide(1.0, total, out=np.zeros_like(total), where=total > 1e-12 * total.max())


def _mean_coefficient(problem: Poisson) -> float:
    """Geometric mean of c over the open faces."""
    if problem.uniform:
        return 1.0
    return float(np.exp(np.concatenate([np.log(w[w > 0], dtype=np.float64) for w in problem.faces]).mean()))
