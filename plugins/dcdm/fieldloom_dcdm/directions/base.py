"""What a direction model is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar


class DirectionModel(ABC):
    """Maps a residual r to a search direction z that should be close to the error A^-1 r.

    A model is made for one system. ``linear``, ``symmetric`` and ``positive_definite`` say what holds for all r, and
    the outer iteration believes them: with all three plain preconditioned conjugate gradients are used, otherwise
    directions are A-orthogonalised one by one (the algorithm of DCDM).

    References
    ----------
    A. Kaneda, O. Akar, J. Chen, V. Kala, D. Hyde, J. Teran, "A Deep Conjugate Direction Method for Iteratively
    Solving Linear Systems", ICML 2023.
    """

    name: ClassVar[str]
    linear: ClassVar[bool] = True
    symmetric: ClassVar[bool] = True
    positive_definite: ClassVar[bool] = True

    @abstractmethod
    def __call__(self, r: Any) -> Any:
        """Return z.

        The law: z has the shape of r and may share memory with the model until its next call; r is not modified;
        the same r gives the same z; f(0) = 0; values of z in solid cells mean nothing and are finite. Where the
        class says so, f(a r + c s) = a f(r) + c f(s), s.f(r) = r.f(s) and r.f(r) > 0 for every r that is not
        zero in the range of A, up to the precision in which the model computes.

        Parameters
        ----------
        r : ndarray
            Residual: a field with a rim (see :mod:`fieldloom_dcdm.kernels`), or a vector for a plain matrix.
        """

    @property
    def is_preconditioner(self) -> bool:
        """Whether conjugate gradients may use it."""
        return self.linear and self.symmetric and self.positive_definite
