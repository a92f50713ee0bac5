"""The assembled twin of a :class:`~fieldloom_dcdm.problem.Poisson`: a sparse matrix over its fluid cells."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from . import stencil
from .problem import Floats, Poisson


def csr(problem: Poisson) -> sp.csr_array:
    """Assemble A over the fluid cells, numbered in C order.

    Returns
    -------
    csr_array
        Shape (fluid cells, fluid cells), symmetric; A x for ``x = field[problem.mask]``.
    """
    number = np.full(problem.shape, -1, np.int32)
    number[problem.mask] = np.arange(int(problem.mask.sum()), dtype=np.int32)
    rows, columns, values = [], [], []
    for axis, w in enumerate(problem.conductances()):
        inner = np.moveaxis(w, axis, 0)[1:-1]
        cells = np.moveaxis(number, axis, 0)
        is_open = inner > 0
        rows.append(cells[1:][is_open])
        columns.append(cells[:-1][is_open])
        values.append(-inner[is_open])
    i, j, v = (np.concatenate(parts) for parts in (rows, columns, values))
    size = int(problem.mask.sum())
    lower = sp.coo_array((v, (i, j)), shape=(size, size)).tocsr()
    main = sp.diags_array(stencil.diagonal(problem.conductances())[problem.mask])
    return sp.csr_array(lower + lower.T + main)


def gather(problem: Poisson, field: Floats) -> NDArray[np.float64]:
    """Return a field's values in the fluid cells, shape (..., fluid cells)."""
    return np.asarray(field, np.float64)[..., problem.mask]


def scatter(problem: Poisson, values: Floats) -> NDArray[np.float64]:
    """Put values (..., fluid cells) on the grid, zero in solid cells."""
    field = np.zeros((*values.shape[:-1], *problem.shape))
    field[..., problem.mask] = values
    return field
