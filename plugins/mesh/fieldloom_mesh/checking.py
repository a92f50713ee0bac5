"""What is wrong, or odd, with a dataset or mesh, in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from fieldloom import contracts
from fieldloom.contracts import cells as cells_of
from fieldloom.contracts import mesh as meshes
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

if TYPE_CHECKING:
    import xarray as xr

Index = NDArray[np.int64]
Severity = Literal["error", "warning", "note"]

COINCIDENT = 1e-9
"""Nodes nearer than this, relative to the size of the mesh, are duplicates."""
SLIVER = 5.0
"""Smallest angle in degrees below which a triangle is called a sliver."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found.

    Attributes
    ----------
    severity : {"error", "warning", "note"}
        An error makes results wrong; a warning may; a note describes.
    subject : str
        The variable, or ``mesh``.
    message, advice : str
        What was found, with the first place; what to do.
    """

    severity: Severity
    subject: str
    message: str
    advice: str = ""


def examine(data: xr.Dataset) -> list[Finding]:
    """Look at a mesh, population or grid and at its fields.

    Reads everything: topology, coordinates, and each field one instant at a time.
    """
    kind = contracts.kind_of(data)
    if not kind:
        advice = "a mesh has node_x, cell_connectivity, ...; a grid has coordinates x and y; see the data contracts"
        return [Finding("error", "dataset", "this is neither a mesh nor a grid", advice)]
    missing = [v for v, want in contracts.variables_of(kind).items() if not want.optional and v not in data.variables]
    if missing:
        return [Finding("error", "dataset", f"a {kind} needs the variables {', '.join(missing)}", "add them")]
    broken = [Finding("error", kind, text, "mend the file or its export") for text in contracts.violations(data, kind)]
    found = [*broken]
    if kind != "grid" and not broken:
        found += _mesh_findings(data)
    found += _unit_findings(data, kind)
    found += _time_findings(data)
    found += _value_findings(data)
    return found


def _mesh_findings(data: xr.Dataset) -> Iterator[Finding]:
    points = meshes.points_of(data)
    yield from _node_findings(data, points)
    types = data["cell_types"].to_numpy()
    dimension = max(meshes.CELL_TYPES[kind].dimension for kind in np.unique(types).tolist())
    counts = ", ".join(f"{int((types == kind).sum()):,} {meshes.CELL_TYPES[kind].name}s" for kind in np.unique(types))
    yield Finding("note", "mesh", f"{len(points):,} nodes; {counts}; {extent_text(data, points)}")
    if dimension < 2:
        return
    simplices, parents = meshes.simplices(data)
    yield from _shape_findings(data, points, simplices, parents)
    if dimension == 2:
        yield from _surface_findings(points, data)


def extent_text(data: xr.Dataset, points: NDArray[np.float64]) -> str:
    """Describe the bounding box, such as ``2.2 x 0.41 m``."""
    size = [s for s in np.ptp(points, axis=0).tolist() if s > 0]
    return " x ".join(f"{s:.4g}" for s in size) + " " + data["node_x"].attrs.get("units", "(unit unknown)")


def _node_findings(data: xr.Dataset, points: NDArray[np.float64]) -> Iterator[Finding]:
    used = np.zeros(len(points), bool)
    used[data["cell_connectivity"].to_numpy()] = True
    if unused := int((~used).sum()):
        message = f"{unused:,} nodes belong to no cell, first {int((~used).argmax())}"
        yield Finding("warning", "mesh", message, "drop them: they distort means over nodes")
    nodes = np.flatnonzero(used)
    step = COINCIDENT * (float(np.linalg.norm(np.ptp(points[nodes], axis=0))) or 1.0)
    rounded = np.round((points[nodes] - points[nodes].min(axis=0)) / step)
    _, first, place = np.unique(rounded, axis=0, return_index=True, return_inverse=True)
    again = np.flatnonzero(first[place.reshape(-1)] != np.arange(len(nodes)))
    if len(again):
        pair = nodes[first[place.reshape(-1)[again[0]]]], nodes[again[0]]
        message = (
            f"{len(again):,} nodes coincide with others, first {min(pair)} and {max(pair)}: the mesh is torn there"
        )
        yield Finding("warning", "mesh", message, "merge them, unless a crack is meant")


def _shape_findings(
    data: xr.Dataset, points: NDArray[np.float64], simplices: Index, parents: Index
) -> Iterator[Finding]:
    flat_plane = simplices.shape[1] == 3 and meshes.is_flat(points)
    measure = cells_of.measures(points, simplices)
    corner = points[simplices]
    span = np.linalg.norm(np.ptp(corner, axis=1), axis=1)
    if (degenerate := measure <= 1e-12 * span ** (simplices.shape[1] - 1)).any():
        cells = np.unique(parents[degenerate])
        message = f"{len(cells):,} cells have no extent, first {cells[0]}"
        yield Finding("error", "mesh", message, "remove them")
    if flat_plane or simplices.shape[1] == 4:
        inverted, looked_at = inverted_cells(data, points)
        if len(inverted) == looked_at:
            yield Finding("note", "mesh", "all cells are numbered the other way round", "nothing: the rooms turn them")
        elif len(inverted):
            message = f"{len(inverted):,} of {looked_at:,} cells are inverted or folded, first {inverted[0]}"
            yield Finding("error", "mesh", message, "renumber their corners, or remesh: solvers fail on folded cells")
    if simplices.shape[1] == 3:
        angle = smallest_angles(points, simplices)
        slivers = int((angle < SLIVER).sum())
        severity: Severity = "warning" if slivers else "note"
        message = f"smallest angle {angle.min():.1f} degrees" + (f"; {slivers:,} below {SLIVER:g}" if slivers else "")
        yield Finding(severity, "mesh", message, "remesh there" if slivers else "")


def inverted_cells(data: xr.Dataset, points: NDArray[np.float64]) -> tuple[Index, int]:
    """Cells of highest dimension with a corner that is turned inside out, and how many were looked at.

    Clockwise on a plane, inside out in space, or folded; of quadratic cells the corners count.
    """
    connectivity, offsets, types = (data[f"cell_{part}"].to_numpy() for part in ("connectivity", "offsets", "types"))
    highest = cells_of.dimension(types)
    found: list[Index] = [np.empty(0, np.int64)]
    for kind in np.unique(types).tolist():
        cells = np.flatnonzero(types == kind)
        if meshes.CELL_TYPES[kind].dimension < highest:
            continue
        if kind == 7:
            found.append(cells[_polygon_areas(points, connectivity, offsets, cells) < 0])
        bad = np.zeros(len(cells), bool)
        for frame in cells_of.FRAMES.get(cells_of.LINEAR.get(kind, kind), ()):
            corner = points[connectivity[offsets[cells][:, None] + np.array(frame)]]
            edges = corner[:, 1:] - corner[:, :1]
            bad |= np.linalg.det(edges[..., : edges.shape[1]]) < 0
        found.append(cells[bad])
    dimensions = np.array([meshes.CELL_TYPES[kind].dimension for kind in types.tolist()])
    return np.sort(np.concatenate(found)), int((dimensions == highest).sum())


def _polygon_areas(points: NDArray[np.float64], connectivity: Index, offsets: Index, cells: Index) -> NDArray[Any]:
    """Signed areas of polygons on a plane, by the shoelace formula."""
    sizes = offsets[cells + 1] - offsets[cells]
    step = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    start, size = np.repeat(offsets[cells], sizes), np.repeat(sizes, sizes)
    a, b = points[connectivity[start + step]], points[connectivity[start + (step + 1) % size]]
    return np.add.reduceat(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0], np.cumsum(sizes) - sizes) / 2


def smallest_angles(points: NDArray[np.float64], triangles: Index) -> NDArray[np.float64]:
    """Smallest interior angle (m,) of each triangle in degrees."""
    corner = points[triangles]
    one, two = np.roll(corner, -1, axis=1) - corner, np.roll(corner, 1, axis=1) - corner
    sine = np.linalg.norm(np.cross(one, two), axis=-1)
    angle: NDArray[np.float64] = np.degrees(np.arctan2(sine, (one * two).sum(axis=-1))).min(axis=1)
    return angle


def _surface_findings(points: NDArray[np.float64], data: xr.Dataset) -> Iterator[Finding]:
    corners, _ = meshes.simplices(data)
    sides = corners[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    ordered = np.sort(sides, axis=1)
    unique, place, count = np.unique(ordered, axis=0, return_inverse=True, return_counts=True)
    parts, _ = connected_components(coo_array((np.ones(len(unique)), tuple(unique.T)), shape=(len(points),) * 2))
    parts -= len(points) - len(np.unique(corners))
    in_space = not meshes.is_flat(points)
    open_edges = unique[count == 1]
    if in_space:
        if len(open_edges):
            message = (
                f"the surface is open: {len(open_edges):,} edges belong to one face only, first {_pair(open_edges)}"
            )
            yield Finding("warning", "mesh", message, "close it before asking what is inside")
        else:
            yield Finding("note", "mesh", "the surface is closed")
    if (several := count > 2).any():
        message = f"{int(several.sum()):,} edges join more than two faces, first {_pair(unique[several])}"
        yield Finding("warning", "mesh", message, "split or remove the extra faces")
    forward = np.bincount(place.ravel(), sides[:, 0] == ordered[:, 0], len(unique))
    if in_space and (turned := (count == 2) & (forward != 1)).any():
        message = f"neighbouring faces are turned against each other at {int(turned.sum()):,} edges"
        yield Finding("warning", "mesh", message, "orient them consistently: normals and insides depend on it")
    if parts > 1:
        yield Finding("note", "mesh", f"it consists of {parts} separate parts")


def _pair(edges: Index) -> str:
    return f"{edges[0][0]} to {edges[0][1]}"


def _unit_findings(data: xr.Dataset, kind: str) -> Iterator[Finding]:
    coordinates = ["x", "y"] if kind == "grid" else ["node_x"]
    for name in [*coordinates, *fields_of(data, kind), *(["time"] if "time" in data.coords else [])]:
        if not data[name].attrs.get("units") and data[name].dtype.kind != "M":
            yield Finding(
                "warning", name, "its unit is not stated", f'set the attribute units, e.g. units: {{{name}: "m"}}'
            )


def fields_of(data: xr.Dataset, kind: str) -> list[str]:
    """Names of the fields of a mesh, population or grid."""
    if kind == "grid":
        return [str(n) for n, v in data.data_vars.items() if {"x", "y"} <= set(v.dims) and v.dtype.kind in "fiub"]
    return meshes.field_names(data)


def _time_findings(data: xr.Dataset) -> Iterator[Finding]:
    if "time" in data.coords and data["time"].attrs.get("counted"):
        advice = "give time_step to mesh.read: frequencies and rates depend on it"
        yield Finding("warning", "time", "the files say no times; instants are counted", advice)
    if "time" in data.coords and data["time"].ndim == 1 and data.sizes["time"] > 1:
        steps = np.diff(data["time"].to_numpy()).astype(np.float64)
        if (steps > 0).all() and steps.max() > 1.5 * np.median(steps):
            message = f"instants are not equally spaced: steps from {steps.min():.4g} to {steps.max():.4g}"
            yield Finding("note", "time", message)


def _value_findings(data: xr.Dataset) -> Iterator[Finding]:
    for name in fields_of(data, contracts.kind_of(data)):
        bad, first = _not_finite(data[name])
        if bad:
            message = f"{bad:,} of {data[name].size:,} values are not finite, first at {first}"
            yield Finding("error", name, message, "mask or fill them; find what made them")


def _not_finite(field: xr.DataArray) -> tuple[int, str]:
    """Count NaN and infinities, one instant at a time, and say where the first is."""
    if field.dtype.kind != "f":
        return 0, ""
    leading = field.dims[0] if field.ndim > 1 else None
    bad, first = 0, ""
    for i in range(field.sizes[leading] if leading else 1):
        values: NDArray[Any] = (field.isel({leading: i}) if leading else field).to_numpy()
        wrong = ~np.isfinite(values)
        if wrong.any() and not first:
            dims = field.dims[1:] if leading else field.dims
            place = np.unravel_index(int(wrong.argmax()), values.shape)
            words = ([f"{leading} {i}"] if leading else []) + [f"{d} {p}" for d, p in zip(dims, place, strict=True)]
            first = ", ".join(words)
        bad += int(wrong.sum())
    return bad, first
