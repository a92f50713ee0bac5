"""Between generated arrays and Datasets: what to draw on, and what comes out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .autoencoders.mesh import MeshAutoencoderConfig
from .generator.model import Generator
from .trajectories import Channel, Sample, mesh_of

if TYPE_CHECKING:
    import xarray as xr

Array = NDArray[np.floating[Any]]


def sample_of(model: Generator, data: xr.Dataset | None, number: int, *, with_fields: bool) -> Sample:
    """Take what is to be drawn on out of a mesh, population or grid.

    Parameters
    ----------
    data : Dataset, optional
        The model's own grid if not given.
    number : int
        Of the sample.
    with_fields : bool
        Read the first instant of the model's fields, too.

    Raises
    ------
    ValueError
        If there is no such sample, or fields, units or grid are not the model's.
    """
    config = model.autoencoder.config
    if isinstance(config, MeshAutoencoderConfig):
        if data is None:
            raise ValueError("the model was trained on meshes; it has no grid of its own: give it a `domain`")
        mesh = _one_mesh(data, number)
        points, triangles = mesh_of(mesh)
        values = _first_instant(model, mesh, len(points)) if with_fields else _nothing(model, len(points))
        return Sample(values, points, triangles, {})
    points = config.box.centres(*config.shape)
    if data is None:
        return Sample(_nothing(model, len(points)), points, np.zeros((0, 3), np.int64), {})
    grid = _one_grid(data, number)
    shape = (grid.sizes["y"], grid.sizes["x"])
    if shape != config.shape:
        raise ValueError(
            f"the grid has {shape[0]} x {shape[1]} cells, the model's "
            f"{config.shape[0]} x {config.shape[1]}; resample it"
        )
    values = _first_instant(model, grid, len(points)) if with_fields else _nothing(model, len(points))
    return Sample(values, points, np.zeros((0, 3), np.int64), {})


def _one_mesh(data: xr.Dataset, number: int) -> xr.Dataset:
    from fieldloom.contracts import kind_of
    from fieldloom.contracts.population import part

    if kind_of(data) == "grid":
        raise ValueError("the model was trained on meshes and the domain is a grid")
    if kind_of(data) == "population":
        return part(data, _existing(number, data.sizes["sample_edge"] - 1))
    return data


def _one_grid(data: xr.Dataset, number: int) -> xr.Dataset:
    from fieldloom.contracts import kind_of

    if kind_of(data) != "grid":
        raise ValueError("the model was trained on a grid and the domain is a mesh; resample it")
    return data.isel(sample=_existing(number, data.sizes["sample"])) if "sample" in data.sizes else data


def _existing(number: int, count: int) -> int:
    if number >= count:
        raise ValueError(f"the domain has {count} samples; there is no number {number}")
    return number


def _nothing(model: Generator, n: int) -> Array:
    return np.zeros((1, n, sum(c.count for c in model.setting.channels)), np.float32)


def _first_instant(model: Generator, data: xr.Dataset, n: int) -> Array:
    from fieldloom.units import same

    columns = []
    for c in model.setting.channels:
        if c.name not in data:
            raise ValueError(f"the domain has no field {c.name!r}; the model was trained on {_names(model)}")
        unit = str(data[c.name].attrs.get("units", ""))
        if unit and c.units and not same(unit, c.units):
            raise ValueError(
                f"the domain's {c.name!r} is in {unit!r}; the model was trained in {c.units!r}: convert it"
            )
        field = data[c.name].isel(time=0) if "time" in data[c.name].dims else data[c.name]
        columns.append(field.to_numpy().reshape(n, c.count))
    values = np.concatenate(columns, axis=-1).astype(np.float32)[None]
    if not np.isfinite(values).all():
        raise ValueError("the domain's first instant has values that are not finite")
    return values


def _names(model: Generator) -> str:
    return ", ".join(f"{c.name} [{c.units}]" for c in model.setting.channels)


def ensemble(model: Generator, sample: Sample, members: Array) -> dict[str, xr.Dataset]:
    """Datasets of an ensemble: ``mean`` (with ``<field>_std``), ``first`` (one member) and ``members`` (all).

    Parameters
    ----------
    members : ndarray, shape (members, time, n, channels)
    """
    mean, deviation = members.mean(axis=0), members.std(axis=0, ddof=min(1, len(members) - 1))
    base = _frame(model, sample)
    found = {c.name: _field(model, c, mean) for c in model.setting.channels}
    found |= {
        f"{c.name}_std": _field(model, c, deviation, "standard deviation of the ") for c in model.setting.channels
    }
    one = {c.name: _field(model, c, members[0]) for c in model.setting.channels}
    every = {c.name: _field(model, c, members, extra=("member",)) for c in model.setting.channels}
    member = np.arange(len(members))
    return {
        "mean": base.assign(found).assign_attrs(title="Mean of an ensemble"),
        "first": base.assign(one).assign_attrs(title="One member of an ensemble"),
        "members": _bare(model, every).assign_coords(member=("member", member)).assign_attrs(title="An ensemble"),
    }


def _bare(model: Generator, variables: dict[str, Any]) -> xr.Dataset:
    """Members have a dimension before time, which a mesh's fields may not: a Dataset without the mesh."""
    import xarray as xr

    return xr.Dataset(variables, {"time": ("time", list(model.setting.times), {"units": "s", "axis": "T"})})


def _frame(model: Generator, sample: Sample) -> xr.Dataset:
    """Mesh or grid without fields, with the instants."""
    import xarray as xr
    from fieldloom.contracts.mesh import CONVENTIONS, triangle_variables

    config = model.autoencoder.config
    time = {"time": ("time", list(model.setting.times), {"units": "s", "axis": "T"})}
    if isinstance(config, MeshAutoencoderConfig):
        data = xr.Dataset(triangle_variables(sample.points, sample.triangles), time, {"Conventions": CONVENTIONS})
        return data.set_coords(["node_x", "node_y", "node_z"])
    centres = config.box.centres(*config.shape).reshape(*config.shape, 2)
    axes = {"x": ("x", centres[0, :, 0], {"units": "m"}), "y": ("y", centres[:, 0, 1], {"units": "m"})}
    return xr.Dataset({}, {**time, **axes}, {"Conventions": "CF-1.11"})


def _field(model: Generator, c: Channel, values: Array, prefix: str = "", extra: tuple[str, ...] = ()) -> Any:
    config = model.autoencoder.config
    chosen = values[..., list(c.channels)] if c.count > 1 else values[..., c.first]
    about = {"units": c.units, "long_name": f"{prefix}{c.name}"}
    component = ("component",) if c.count > 1 else ()
    if isinstance(config, MeshAutoencoderConfig):
        place = {} if extra else {"mesh": "mesh", "location": "node"}
        return ((*extra, "time", "node", *component), chosen.astype(np.float32), {**about, **place})
    rest = chosen.shape[len(extra) + 2 :]
    shaped = chosen.reshape(*chosen.shape[: len(extra) + 1], *config.shape, *rest)
    return ((*extra, "time", "y", "x", *component), shaped.astype(np.float32), about)
