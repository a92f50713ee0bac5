"""What data of one kind looks like wherever it passes between stages: meshes, grids, populations.

Rooms do not import each other; they agree on these contracts. :func:`mesh_port` and its siblings make ports whose
data is validated on its way in and out of a stage; :mod:`~fieldloom.contracts.mesh` and
:mod:`~fieldloom.contracts.population` build Datasets that keep them.

mesh
    One mesh in VTK's flat arrays: nodes ``node_x/y/z`` (node), cells ``cell_connectivity`` (conn),
    ``cell_offsets`` (cell_edge), ``cell_types`` (cell); for triangles and quadrilaterals UGRID's ``face_nodes``
    beside them. Fields lie on (node) or (cell), with ``time`` before and ``component`` after.
grid
    A uniform grid: coordinates ``x``, ``y`` and in three dimensions ``z`` of the cells' centres, increasing by a
    constant step. Fields lie on ([sample,] [time,] [z,] y, x[, component]), values on faces on ``x_face``, ``y_face``.
population
    Many meshes of different sizes one after the other, without padding: a mesh (their disjoint union) with
    ``sample_node_offsets`` and ``sample_cell_offsets`` (sample_edge), and one value a sample on (sample).
field
    Any of these: for stages that take whatever carries fields.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ..stage import Port, Variable

if TYPE_CHECKING:
    import xarray as xr

MESH: Mapping[str, Variable] = {
    "node_x": Variable(("node",), "float", description="first coordinate of the nodes"),
    "node_y": Variable(("node",), "float", description="second coordinate"),
    "node_z": Variable(("node",), "float", description="third coordinate; zero on a plane"),
    "cell_connectivity": Variable(("conn",), "int", description="node indices of all cells, one after the other"),
    "cell_offsets": Variable(("cell_edge",), "int", description="where each cell starts in them, and the end"),
    "cell_types": Variable(("cell",), "int", description="VTK's cell types: 5 triangle, 9 quadrilateral, ..."),
    "face_nodes": Variable(
        ("cell", "face_corner"), "int", description="triangles and quadrilaterals as UGRID lists them", optional=True
    ),
}
GRID: Mapping[str, Variable] = {
    "x": Variable(("x",), "float", description="first coordinate of the cells' centres"),
    "y": Variable(("y",), "float", description="second coordinate"),
    "z": Variable(("z",), "float", description="third coordinate", optional=True),
}
POPULATION: Mapping[str, Variable] = {
    **MESH,
    "sample_node_offsets": Variable(("sample_edge",), "int", description="first node of each sample, and the end"),
    "sample_cell_offsets": Variable(("sample_edge",), "int", description="first cell of each sample, and the end"),
}
_VARIABLES: Mapping[str, Mapping[str, Variable]] = {"mesh": MESH, "grid": GRID, "population": POPULATION, "field": {}}


def mesh_port(description: str, variables: Mapping[str, Variable] | None = None, **rest: Any) -> Port:
    """Make a port for a mesh with fields; ``rest`` are further arguments of :class:`~fieldloom.Port`."""
    return _port("mesh", description, variables, rest)


def grid_port(description: str, variables: Mapping[str, Variable] | None = None, **rest: Any) -> Port:
    """Make a port for fields on a uniform grid."""
    return _port("grid", description, variables, rest)


def population_port(description: str, variables: Mapping[str, Variable] | None = None, **rest: Any) -> Port:
    """Make a port for meshes of different sizes."""
    return _port("population", description, variables, rest)


def field_port(description: str, variables: Mapping[str, Variable] | None = None, **rest: Any) -> Port:
    """Make a port for fields on a mesh, a population or a grid, whichever comes."""
    return _port("field", description, variables, rest)


def _port(contract: str, description: str, variables: Mapping[str, Variable] | None, rest: dict[str, Any]) -> Port:
    return Port({**_VARIABLES[contract], **(variables or {})}, description, contract=contract, **rest)


def variables_of(contract: str) -> Mapping[str, Variable]:
    """What the contract of that name asks for."""
    return _VARIABLES[contract]


def kind_of(data: xr.Dataset) -> str:
    """Tell ``"mesh"``, ``"population"`` or ``"grid"`` by the variables; empty text for anything else."""
    if "cell_connectivity" in data.variables or "cell_types" in data.variables:
        return "population" if "sample_node_offsets" in data.variables else "mesh"
    return "grid" if {"x", "y"} <= set(data.dims) & set(map(str, data.coords)) else ""


def violations(data: xr.Dataset, contract: str) -> Iterator[str]:
    """Say in words where ``data``, whose variables are all there, breaks the contract of that name.

    Reads the topology and the coordinates, not the fields.
    """
    if contract == "field":
        contract = kind_of(data)
        missing = [name for name, v in _VARIABLES[contract or "field"].items() if not (v.optional or name in data)]
        if missing or not contract:
            yield f"a {contract} lacks {', '.join(missing)}" if contract else "it is neither a mesh nor a grid"
            return
    if contract == "mesh":
        from .mesh import violations as of_mesh

        yield from of_mesh(data)
    elif contract == "grid":
        from .grid import violations as of_grid

        yield from of_grid(data)
    elif contract == "population":
        from .population import violations as of_population

        yield from of_population(data)
    elif contract:
        raise ValueError(f"there is no contract {contract!r}; there are {', '.join(_VARIABLES)}")
