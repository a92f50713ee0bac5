"""Many meshes of different sizes in flat arrays: join them, take one out, say what is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from . import mesh

if TYPE_CHECKING:
    import xarray as xr

_EDGES = ("sample_node_offsets", "sample_cell_offsets")


def join(meshes: Sequence[xr.Dataset], covariates: Mapping[str, Sequence[Any]] | None = None) -> xr.Dataset:
    """Put meshes one after the other.

    Parameters
    ----------
    meshes : sequence of Dataset
        Meshes with the same fields, and the same number of instants.
    covariates : mapping of str to sequence, optional
        One value a mesh, such as a Reynolds number.

    Returns
    -------
    Dataset
        The population: the disjoint union of the meshes, whose indices count through all of them. Instants that
        differ from mesh to mesh are kept as ``sample_time`` (time, sample); ``time`` then counts them.

    Raises
    ------
    ValueError
        If there is none, or they differ in fields, units or number of instants.
    """
    import xarray as xr

    if not meshes:
        raise ValueError("there is no mesh to join")
    first = meshes[0]
    names = mesh.field_names(first)
    for i, other in enumerate(meshes):
        if _described(other) != _described(first):
            raise ValueError(f"mesh {i} has {_described(other)}; mesh 0 has {_described(first)}")
        for name in (*names, "node_x"):
            if (got := other[name].attrs.get("units")) != (unit := first[name].attrs.get("units")):
                raise ValueError(f"{name!r} of mesh {i} is in {got!r}, that of mesh 0 in {unit!r}")
    nodes = np.cumsum([0, *(m.sizes["node"] for m in meshes)])
    cells = np.cumsum([0, *(m.sizes["cell"] for m in meshes)])
    points = np.concatenate([mesh.points_of(m) for m in meshes])
    connectivity = np.concatenate([m["cell_connectivity"].to_numpy() + n for m, n in zip(meshes, nodes, strict=False)])
    counts = np.concatenate([np.diff(m["cell_offsets"].to_numpy()) for m in meshes])
    offsets = np.concatenate([[0], np.cumsum(counts)])
    types = np.concatenate([m["cell_types"].to_numpy() for m in meshes])
    variables = mesh.mesh_variables(points, connectivity, offsets, types, first["node_x"].attrs.get("units", ""))
    variables |= {"sample_node_offsets": ("sample_edge", nodes), "sample_cell_offsets": ("sample_edge", cells)}
    for name in names:
        axis = first[name].dims.index("node" if "node" in first[name].dims else "cell")
        values = np.concatenate([m[name].to_numpy() for m in meshes], axis=axis)
        variables[name] = (first[name].dims, values, first[name].attrs)
    for name, given in (covariates or {}).items():
        if name in variables or name in first.dims:
            raise ValueError(f"{name!r} is a field or dimension of the meshes; name the covariate otherwise")
        if len(given) != len(meshes):
            raise ValueError(f"the covariate {name!r} has {len(given)} values for {len(meshes)} meshes")
        variables[name] = ("sample", np.asarray(given))
    variables |= _times(meshes)
    data = xr.Dataset(variables, attrs={"Conventions": mesh.CONVENTIONS})
    return data.set_coords([name for name in ("node_x", "node_y", "node_z", "time") if name in data])


def _described(data: xr.Dataset) -> str:
    """Fields with all dimensions but the mesh's own, and the number of instants."""
    fields = []
    for name in sorted(mesh.field_names(data)):  # the store sorts variables, fresh meshes do not
        sizes = [dim if dim in ("node", "cell", "time") else f"{dim} {data.sizes[dim]}" for dim in data[name].dims]
        fields.append(f"{name} ({', '.join(map(str, sizes))})")
    return f"the fields {', '.join(fields) or 'none'} at {data.sizes.get('time', 'no')} instants"


def _times(meshes: Sequence[xr.Dataset]) -> dict[str, tuple[Any, ...]]:
    if "time" not in meshes[0].coords:
        return {}
    times, attrs = np.stack([m["time"].to_numpy() for m in meshes], axis=1), meshes[0]["time"].attrs
    if np.allclose(times, times[:, :1], rtol=1e-9, atol=1e-9 * max(float(np.abs(times).max()), 1e-300)):
        return {"time": ("time", times[:, 0], attrs)}
    return {
        "time": ("time", np.arange(len(times), dtype=np.float64), {"units": "1", "long_name": "number of instant"}),
        "sample_time": (("time", "sample"), times, attrs),
    }


def part(population: xr.Dataset, i: int) -> xr.Dataset:
    """Take the mesh number ``i`` out, with its fields and its values of (sample,).

    Raises
    ------
    IndexError
        If there is no such mesh.
    """
    count = population.sizes["sample_edge"] - 1
    if not -count <= i < count:
        raise IndexError(f"the population has {count} meshes; there is no number {i}")
    i %= count
    (n0, n1), (c0, c1) = (map(int, population[name].to_numpy()[i : i + 2]) for name in _EDGES)
    k0, k1 = map(int, population["cell_offsets"].to_numpy()[[c0, c1]])
    found = population.isel(
        node=slice(n0, n1), cell=slice(c0, c1), conn=slice(k0, k1), cell_edge=slice(c0, c1 + 1)
    ).drop_vars(list(_EDGES))
    if "sample" in found.dims:
        found = found.isel(sample=i)
    if "sample_time" in found.variables:
        found = found.assign_coords(time=("time", found["sample_time"].to_numpy(), found["sample_time"].attrs))
        found = found.drop_vars("sample_time")
    shifted = {"cell_connectivity": found["cell_connectivity"] - n0, "cell_offsets": found["cell_offsets"] - k0}
    if "face_nodes" in found:
        faces = found["face_nodes"]
        shifted["face_nodes"] = faces.where(faces < 0, faces - n0).astype(faces.dtype).assign_attrs(faces.attrs)
    return found.assign(shifted)


def violations(data: xr.Dataset) -> Iterator[str]:
    """Say what makes ``data`` no valid population."""
    found = list(mesh.violations(data))
    yield from found
    nodes, cells = (data[name].to_numpy() for name in _EDGES)
    for name, offsets, size in zip(_EDGES, (nodes, cells), (data.sizes["node"], data.sizes["cell"]), strict=True):
        if len(offsets) < 2 or offsets[0] != 0 or offsets[-1] != size or (np.diff(offsets) <= 0).any():
            found.append(f"{name!r} should increase from 0 to {size}")
            yield found[-1]
    if "sample" in data.sizes and data.sizes["sample"] != len(nodes) - 1:
        found.append(f"there are {len(nodes) - 1} samples, and values for {data.sizes['sample']} on (sample)")
        yield found[-1]
    if not found:
        yield from _strangers(data, nodes, cells)


def _strangers(data: xr.Dataset, nodes: mesh.Index, cells: mesh.Index) -> Iterator[str]:
    """Say which sample has a cell with a node of another sample."""
    starts = data["cell_offsets"].to_numpy()[cells[:-1]]
    connectivity = data["cell_connectivity"].to_numpy()
    low, high = np.minimum.reduceat(connectivity, starts), np.maximum.reduceat(connectivity, starts)
    wrong = (low < nodes[:-1]) | (high >= nodes[1:])
    if wrong.any():
        i = int(wrong.argmax())
        yield f"cells of sample {i} point to nodes {low[i]} to {high[i]}; its own are {nodes[i]} to {nodes[i + 1] - 1}"
