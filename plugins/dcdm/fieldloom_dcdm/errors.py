"""What can be wrong with a system, each also a builtin error."""

from __future__ import annotations


class DcdmError(Exception):
    """Base of this room's errors."""


class InvalidProblem(DcdmError, ValueError):
    """The mask, boundary, coefficient, right-hand side or tolerance does not describe a solvable system."""


class IncompatibleRhs(InvalidProblem):
    """A singular part of the system has a right-hand side that no solution can have."""


class WrongDimension(DcdmError, ValueError):
    """Parameters or weights were made for grids of another dimension."""


class NotConverged(DcdmError, RuntimeError):
    """A solve that must converge did not; the message holds the result's advice."""
