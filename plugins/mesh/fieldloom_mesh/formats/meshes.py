"""The mesh in memory: VTK's flat arrays, and the few operations that readers and writers share."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

#: Nodes of each VTK cell type with a fixed count.
NODES_OF_TYPE = {
    0: 0, 1: 1, 3: 2, 5: 3, 8: 4, 9: 4, 10: 4, 11: 8, 12: 8, 13: 6, 14: 5, 15: 10, 16: 12, 21: 3, 22: 6, 23: 8, 24: 10,
    25: 20, 26: 15, 27: 13, 28: 9, 29: 27, 30: 6, 31: 12, 32: 18, 33: 24, 34: 7, 35: 4, 37: 19,
}  # fmt: skip
NAME_OF_TYPE = {
    0: "empty", 1: "vertex", 2: "poly-vertex", 3: "line", 4: "poly-line", 5: "triangle", 6: "triangle strip",
    7: "polygon", 8: "pixel", 9: "quad", 10: "tetrahedron", 11: "voxel", 12: "hexahedron", 13: "wedge", 14: "pyramid",
    15: "pentagonal prism", 16: "hexagonal prism", 21: "quadratic line", 22: "quadratic triangle", 23: "quadratic quad",
    24: "quadratic tetrahedron", 25: "quadratic hexahedron", 26: "quadratic wedge", 27: "quadratic pyramid",
    28: "biquadratic quad", 29: "triquadratic hexahedron", 34: "biquadratic triangle", 42: "polyhedron",
}  # fmt: skip
POLYHEDRON = 42
_VARIABLE = {2, 4, 6, 7, 36, *range(41, 43), *range(60, 67), *range(68, 82)}


@dataclass(frozen=True, slots=True)
class Mesh:
    """Points, cells and fields.

    Attributes
    ----------
    points : (n, 3) float64
    connectivity : (k,) int64
        Node numbers of all cells, one cell after the other.
    offsets : (m + 1,) int64
        Cell i owns ``connectivity[offsets[i]:offsets[i + 1]]``.
    types : (m,) uint8
        VTK cell types.
    point_data, cell_data : mapping of str to array
        (n,) or (n, components); (m,) or (m, components).
    """

    points: Array
    connectivity: Array
    offsets: Array
    types: Array
    point_data: Mapping[str, Array] = field(default_factory=dict)
    cell_data: Mapping[str, Array] = field(default_factory=dict)


def flaw(mesh: Mesh) -> str | None:
    """Say what makes a mesh impossible, or None: the last guard against a file with flipped bytes."""
    n, k, m = len(mesh.points), len(mesh.connectivity), len(mesh.types)
    if not n:
        return "it has no points"
    if not m:
        return "it has points but no cells"
    if len(mesh.offsets) != m + 1 or mesh.offsets[0] != 0 or mesh.offsets[-1] != k or (np.diff(mesh.offsets) < 0).any():
        return "its cell offsets do not fit its connectivity"
    if k and (mesh.connectivity.min() < 0 or mesh.connectivity.max() >= n):
        bad = mesh.connectivity[(mesh.connectivity < 0) | (mesh.connectivity >= n)][0]
        return f"a cell uses node {bad}, but there are {n} nodes (0 to {n - 1})"
    return _flaw_of_types(mesh) or _flaw_of_values(mesh)


def _flaw_of_types(mesh: Mesh) -> str | None:
    counts = np.diff(mesh.offsets)
    for kind in np.unique(mesh.types).tolist():
        if kind not in NODES_OF_TYPE and kind not in _VARIABLE:
            return f"cell type {kind} does not exist in VTK"
        wanted = NODES_OF_TYPE.get(kind)
        found = counts[mesh.types == kind]
        if wanted is not None and (found != wanted).any():
            return f"a {name_of(kind)} has {found[found != wanted][0]} nodes instead of {wanted}"
    return None


def _flaw_of_values(mesh: Mesh) -> str | None:
    if not np.isfinite(mesh.points).all():
        return f"point {int(np.argmin(np.isfinite(mesh.points).all(axis=1)))} has a coordinate that is not finite"
    for where, data, count in (("point", mesh.point_data, len(mesh.points)), ("cell", mesh.cell_data, len(mesh.types))):
        for name, values in data.items():
            if len(values) != count:
                return f"{where} field {name!r} has {len(values)} values for {count} {where}s"
    return None


def name_of(kind: int) -> str:
    """English name of a VTK cell type."""
    return NAME_OF_TYPE.get(kind, f"VTK cell type {kind}")


def same_topology(a: Mesh, b: Mesh) -> bool:
    """True if two meshes have equal points and cells; arrays that they share are not compared."""
    pairs = ((getattr(a, name), getattr(b, name)) for name in ("points", "connectivity", "offsets", "types"))
    return all(one is other or np.array_equal(one, other) for one, other in pairs)


def mesh_from_blocks(points: Array, blocks: Iterable[tuple[int, Array]], **data: Mapping[str, Array]) -> Mesh:
    """Build a mesh from ``(VTK type, (cells, nodes) connectivity)`` blocks in their order."""
    blocks = list(blocks)
    sizes = np.concatenate([[0], *(np.full(len(cells), cells.shape[1]) for _, cells in blocks)])
    return Mesh(
        three_columns(np.asarray(points, dtype=np.float64)),
        np.concatenate([np.zeros(0, np.int64), *(cells.ravel() for _, cells in blocks)]).astype(np.int64),
        np.cumsum(sizes).astype(np.int64),
        np.concatenate([np.zeros(0, np.uint8), *(np.full(len(cells), kind, np.uint8) for kind, cells in blocks)]),
        **data,
    )


def blocks_of(mesh: Mesh) -> list[tuple[int, Array, slice]]:
    """Runs of equal cells: VTK type, (cells, nodes) connectivity, their cell numbers."""
    counts = np.diff(mesh.offsets)
    changes = np.flatnonzero((np.diff(mesh.types.astype(int)) != 0) | (np.diff(counts) != 0)) + 1
    bounds = [0, *changes.tolist(), len(mesh.types)]
    runs = [slice(a, b) for a, b in itertools.pairwise(bounds)]
    return [(int(mesh.types[run.start]), _cells_of(mesh, run), run) for run in runs]


def _cells_of(mesh: Mesh, run: slice) -> Array:
    return mesh.connectivity[mesh.offsets[run.start] : mesh.offsets[run.stop]].reshape(run.stop - run.start, -1)


def three_columns(points: Array) -> Array:
    """Append zero coordinates to 1-D or 2-D points."""
    points = points.reshape(len(points), -1)
    return np.ascontiguousarray(np.pad(points, ((0, 0), (0, 3 - points.shape[1]))))


def keep_cells(mesh: Mesh, mask: Array) -> Mesh:
    """Keep the cells where ``mask`` is true, and all points."""
    counts = np.diff(mesh.offsets)
    return replace(
        mesh,
        connectivity=mesh.connectivity[np.repeat(mask, counts)],
        offsets=np.concatenate([[0], np.cumsum(counts[mask])]).astype(np.int64),
        types=mesh.types[mask],
        cell_data={name: values[mask] for name, values in mesh.cell_data.items()},
    )


def merge(parts: Sequence[Mesh]) -> tuple[Mesh, list[str]]:
    """Put meshes side by side, points not welded.

    Returns
    -------
    Mesh
        A float field that some part lacks is NaN there; an integer field that some part lacks is left out.
    list of str
        One sentence per field that was filled or left out.
    """
    if len(parts) == 1:
        return parts[0], []
    starts = np.cumsum([0, *(len(part.points) for part in parts)])
    point_data, lost_p = _merge_fields([part.point_data for part in parts], [len(part.points) for part in parts])
    cell_data, lost_c = _merge_fields([part.cell_data for part in parts], [len(part.types) for part in parts])
    counts = np.concatenate([[0], *(np.diff(part.offsets) for part in parts)])
    merged = Mesh(
        np.concatenate([part.points for part in parts]),
        np.concatenate([part.connectivity + start for part, start in zip(parts, starts, strict=False)]),
        np.cumsum(counts).astype(np.int64),
        np.concatenate([part.types for part in parts]),
        point_data,
        cell_data,
    )
    return merged, lost_p + lost_c


def _merge_fields(fields: list[Mapping[str, Array]], counts: list[int]) -> tuple[dict[str, Array], list[str]]:
    merged, notes = {}, []
    for name in dict.fromkeys(name for part in fields for name in part):
        known = [part[name] for part in fields if name in part]
        whole = len(known) == len(fields)
        if len({values.shape[1:] for values in known}) > 1 or not (whole or known[0].dtype.kind == "f"):
            notes.append(f"field {name!r} was left out: not every block has it, or with another shape")
            continue
        if not whole:
            notes.append(f"field {name!r} is NaN in the blocks that lack it")
        shape = known[0].shape[1:]
        pairs = zip(fields, counts, strict=True)
        merged[name] = np.concatenate([p[name] if name in p else np.full((n, *shape), np.nan) for p, n in pairs])
    return merged, notes


def with_polyhedra_split(mesh: Mesh, faces_of: Mapping[int, list[Array]]) -> Mesh:
    """Replace each polyhedron by tetrahedra around its centre (mean of its nodes).

    Parameters
    ----------
    mesh : Mesh
        Holds polyhedra (type 42) whose connectivity lists their nodes.
    faces_of : mapping of int to list of array
        Nodes of each face, for each polyhedral cell.

    Notes
    -----
    Cell values are repeated; the value at a new centre is the mean over the polyhedron's nodes (floats; for integers
    the first node's value).
    """
    poly = np.array(sorted(faces_of), dtype=np.int64)
    nodes = [mesh.connectivity[mesh.offsets[cell] : mesh.offsets[cell + 1]] for cell in poly]
    points = np.concatenate([mesh.points, [mesh.points[used].mean(axis=0) for used in nodes]])
    tets = [_tets_around(points, faces_of[cell], len(mesh.points) + i) for i, cell in enumerate(poly.tolist())]
    plain = keep_cells(mesh, mesh.types != POLYHEDRON)
    source = np.repeat(poly, [len(block) for block in tets])
    added = np.concatenate(tets)
    kept = np.flatnonzero(mesh.types != POLYHEDRON)
    origin = np.concatenate([kept, source])
    order = np.argsort(origin, kind="stable")
    joined = Mesh(
        points,
        np.concatenate([plain.connectivity, added.ravel()]),
        np.concatenate([plain.offsets, plain.offsets[-1] + 4 * np.arange(1, len(added) + 1)]),
        np.concatenate([plain.types, np.full(len(added), 10, np.uint8)]),
        {name: _with_centres(values, nodes) for name, values in mesh.point_data.items()},
        {name: values[origin] for name, values in mesh.cell_data.items()},
    )
    return reordered(joined, order)


def _with_centres(values: Array, nodes: list[Array]) -> Array:
    at = [values[used].mean(axis=0) if values.dtype.kind == "f" else values[used[0]] for used in nodes]
    return np.concatenate([values, np.asarray(at, dtype=values.dtype)])


def _tets_around(points: Array, faces: list[Array], centre: int) -> Array:
    fans = [np.stack([np.full(len(f) - 2, f[0]), f[1:-1], f[2:]], axis=1) for f in faces]
    triangles = np.concatenate(fans)
    a, b, c = (points[triangles[:, i]] for i in range(3))
    volume = np.einsum("ij,ij->i", np.cross(b - a, c - a), points[centre] - a)
    triangles[volume < 0] = triangles[volume < 0][:, ::-1]
    return np.column_stack([triangles, np.full(len(triangles), centre)])[volume != 0]


def reordered(mesh: Mesh, order: Array) -> Mesh:
    """The same mesh with its cells in another order."""
    counts = np.diff(mesh.offsets)[order]
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    within = np.arange(offsets[-1]) - np.repeat(offsets[:-1], counts)
    return replace(
        mesh,
        connectivity=mesh.connectivity[np.repeat(mesh.offsets[order], counts) + within],
        offsets=offsets,
        types=mesh.types[order],
        cell_data={name: values[order] for name, values in mesh.cell_data.items()},
    )
