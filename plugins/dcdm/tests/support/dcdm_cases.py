"""Systems that the tests share, and small measurements."""

import numpy as np
from fieldloom_dcdm import poisson
from fieldloom_dcdm.systems import random_coefficient, random_mask

BOUNDARIES_2D = ["dirichlet", "neumann", [("dirichlet", "neumann"), "neumann"], ["neumann", ("neumann", "dirichlet")]]
SINGLE = 3e-5
"""Tolerance of what the cycle computes in single precision, relative."""
DOUBLE = 1e-12
"""Tolerance of what is computed in double precision, relative."""


def obstacles(shape, boundary="dirichlet", seed=0, kind="blobs", spacing=1.0):
    return poisson(random_mask(np.random.default_rng(seed), shape, kind), spacing, boundary)


def jumps(shape, boundary="dirichlet", seed=0, kind="inclusions", jump=1000.0):
    coefficient = random_coefficient(np.random.default_rng(seed), shape, kind, jump)
    return poisson(np.ones(shape, bool), 1.0, boundary, coefficient)


def dense_of(model, problem):
    """The matrix of a direction model over the fluid cells."""
    from fieldloom_dcdm import Preconditioner

    operator = Preconditioner(problem, model)
    return operator.matmat(np.eye(operator.shape[0]))


def relative(a, b):
    """Largest difference relative to the largest value."""
    return float(np.abs(np.asarray(a) - np.asarray(b)).max() / np.abs(np.asarray(b)).max())
