"""The outer iteration of DCDM: directions from any model, made A-orthogonal to the last ones."""

from __future__ import annotations

from collections import deque
from math import isfinite, sqrt
from typing import Any

from ..directions.base import DirectionModel
from ..operators import Operator
from ..result import Status
from .base import Callback, Outcome, Tolerance

ORTHOGONAL = 1e-10
"""A direction whose cosine with r is below this brings nothing in double precision."""


def conjugate_directions(
    A: Operator,
    f: DirectionModel,
    x: Any,
    r: Any,
    tolerance: Tolerance,
    callback: Callback | None = None,
    history: int = 2,
) -> Outcome:
    """Solve A x = b for symmetric positive definite A and any direction model.

    The model may be neither linear nor symmetric. A direction that is not finite, or on which r does not fall, is
    replaced by r itself (steepest descent, made A-orthogonal as well); the outcome says how often.

    Parameters
    ----------
    A, x, r, tolerance, callback
        As for :func:`.pcg`.
    f : DirectionModel
    history : int
        How many previous directions the new one is made A-orthogonal to; the paper's is 2.

    References
    ----------
    Kaneda et al., "A Deep Conjugate Direction Method for Iteratively Solving Linear Systems", ICML 2023, the
    algorithm of section 4; steps in its order. Unlike the authors' code, A d is formed once an iteration: the
    residual is updated, not formed anew.
    """
    previous: deque[tuple[Any, Any, float]] = deque(maxlen=history)
    norms = [sqrt(A.dot(r, r))]
    fallbacks = 0
    while norms[-1] > tolerance.residual:
        if len(norms) > tolerance.maxiter:
            return Outcome(Status.MAXITER, norms, _notes(fallbacks))
        A.project(r)
        found = _conjugate(A, f(r), previous)  # the model sees r / ||r|| and answers at any scale
        if not _descends(A, found, r, norms[-1]):
            fallbacks += 1
            found = _conjugate(A, r, previous)
        d, q, curvature = found
        if not curvature > 0.0:
            note = f"d.Ad = {curvature:.3g} in iteration {len(norms)}"
            return Outcome(Status.INDEFINITE, norms, note)
        alpha = A.dot(d, r) / curvature  # exact line search
        norms.append(sqrt(A.step(alpha, d, q, x, r)))
        previous.append(found)
        if callback is not None:
            callback(x)
    return Outcome(Status.CONVERGED, norms, _notes(fallbacks))


def _conjugate(A: Operator, z: Any, previous: deque[tuple[Any, Any, float]]) -> tuple[Any, Any, float]:
    """Return d = z made A-orthogonal to the previous directions, A d, and d.Ad."""
    d, q = A.zeros(), A.zeros()
    A.combine(1.0, z, 0.0, d)
    A.project(d)
    for old, image, curvature in previous:
        A.combine(-A.dot(d, image) / curvature, old, 1.0, d)
    return d, q, A.apply(d, q)


def _descends(A: Operator, found: tuple[Any, Any, float], r: Any, norm: float) -> bool:
    """Whether a step along d makes the error smaller by more than round-off."""
    d, _, curvature = found
    gain, length = A.dot(d, r), sqrt(A.dot(d, d))
    return isfinite(gain) and curvature > 0.0 and abs(gain) > ORTHOGONAL * norm * length


def _notes(fallbacks: int) -> str:
    return f"the model's direction was replaced by r in {fallbacks} iterations" if fallbacks else ""
