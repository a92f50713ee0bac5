"""Ports that several stages share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fieldloom import Port, Variable
from fieldloom.contracts import grid_port

AXES = {2: ("y", "x"), 3: ("z", "y", "x")}
"""Names of the grid's axes, in the order of its arrays."""


def systems_port(dimension: int | None = None, coefficient: bool = False, **rest: Any) -> Port:
    """Make the port of a population of systems; without ``dimension``, of any."""
    dims: tuple[Any, ...] = (...,) if dimension is None else ("sample", *AXES[dimension])
    variables: Mapping[str, Variable] = {
        "mask": Variable(dims, "bool", description="fluid cells"),
        "b": Variable(dims, "float64", description="right-hand side"),
        "coefficient": Variable(dims, "float64", "1", "coefficient in the cells", optional=not coefficient),
        "kind": Variable(("sample",), "string", description="what kind of obstacles or coefficient"),
    }
    text = "Pressure-Poisson systems: masks, right-hand sides, and how the sides of the box are closed (JSON)."
    return grid_port(text, variables, attrs=("boundary",), **rest)


MODEL = Port(
    description="A direction model: parameters of a multigrid cycle, or a network's weights; its configuration as JSON "
    "in the attributes.",
    attrs=("model",),
)
PICTURES = Port(description="What was found, drawn.", files=True)
