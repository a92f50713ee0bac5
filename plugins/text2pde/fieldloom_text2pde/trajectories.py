"""Trajectories taken out of Datasets: populations of meshes, single meshes and grids become one list of samples."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .geometry import Box, box_of

if TYPE_CHECKING:
    import xarray as xr

Array = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class Channel:
    """A field, and where it lies among the channels.

    Attributes
    ----------
    name, units : str
    first, count : int
        Its first channel and how many it has: the components of a vector.
    """

    name: str
    units: str
    first: int
    count: int

    @property
    def channels(self) -> tuple[int, ...]:
        """Numbers of its channels."""
        return tuple(range(self.first, self.first + self.count))


@dataclass(frozen=True, slots=True)
class Sample:
    """One trajectory.

    Attributes
    ----------
    values : ndarray, shape (time, n, channels)
        Physical units; of a grid, x runs fastest.
    points : ndarray, shape (n, 2)
        Metres.
    triangles : ndarray of int, shape (m, 3)
        Empty on a grid.
    numbers : dict of str to float
        What is known of it besides.
    """

    values: Array
    points: NDArray[np.float64]
    triangles: NDArray[np.int64]
    numbers: Mapping[str, float]

    def numbers_in(self, names: Sequence[str]) -> dict[str, float]:
        """Those of its numbers that a model knows."""
        return {name: self.numbers[name] for name in names if name in self.numbers}


@dataclass(frozen=True, slots=True)
class Trajectories:
    """Samples with the same fields and instants.

    Attributes
    ----------
    samples : tuple of Sample
    channels : tuple of Channel
    times : ndarray, shape (time,)
        Seconds.
    units : dict of str to str
        Of the numbers.
    grid : tuple of int, optional
        (ny, nx) if all samples lie on one uniform grid.
    box : Box
        Around all points; for a grid, the outline of its cells.
    """

    samples: tuple[Sample, ...]
    channels: tuple[Channel, ...]
    times: NDArray[np.float64]
    units: Mapping[str, str]
    grid: tuple[int, int] | None
    box: Box

    def __len__(self) -> int:
        return len(self.samples)

    def some(self, which: Sequence[int]) -> Trajectories:
        """Those samples only."""
        chosen = tuple(self.samples[i] for i in which)
        return Trajectories(chosen, self.channels, self.times, self.units, self.grid, self.box)

    def columns(self) -> dict[str, Array]:
        """The numbers that every sample has, each (samples,)."""
        names = [n for n in self.samples[0].numbers if all(n in s.numbers for s in self.samples)]
        return {n: np.array([s.numbers[n] for s in self.samples]) for n in names}

    @property
    def vectors(self) -> list[tuple[int, ...]]:
        """Channels of each vector."""
        return [c.channels for c in self.channels if c.count > 1]


def collect(collection: Mapping[str, xr.Dataset], fields: Sequence[str] | None = None) -> Trajectories:
    """Take trajectories out of Datasets.

    Parameters
    ----------
    collection : mapping of str to Dataset
        Populations, meshes or grids (of one kind), by the names of their instances. Where an instance is one
        trajectory, its coordinates in the fan-out (``Collection.coords``) count as its numbers, too.
    fields : sequence of str, optional
        Which to take; all on nodes (or cells of a grid) over time unless given.

    Raises
    ------
    ValueError
        If kinds, fields, units or instants differ, or values are not finite: saying where.
    """
    found: list[Sample] = []
    first: tuple[str, tuple[Channel, ...], NDArray[np.float64], tuple[int, int] | None] | None = None
    boxes: list[Box] = []
    units: dict[str, str] = {}
    for name, data in collection.items():
        channels, times, shape = _channels(data, fields, name), _times(data, name), _shape(data)
        here = (name, channels, times, shape)
        if first is not None:
            _same(first, here)
        first = first or here
        extra = _coordinates(collection, name) if _is_one(data) else {}
        for i, sample in enumerate(_samples(data, channels, extra)):
            _finite(sample, channels, times, f"{name or 'the fields'}, trajectory {i}")
            found.append(sample)
        boxes.append(_outline(data))
        units |= {str(n): str(v.attrs.get("units", "1")) for n, v in data.variables.items() if v.dims == ("sample",)}
    if first is None:
        raise ValueError("there are no trajectories")
    low, high = np.min([b.low for b in boxes], axis=0), np.max([b.high for b in boxes], axis=0)
    box = Box(tuple(low.tolist()), tuple(high.tolist()))
    return Trajectories(tuple(found), first[1], first[2], units, first[3], box)


def mesh_of(data: xr.Dataset) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Nodes (n, 2) and triangles (m, 3) of a flat mesh; other cells are cut into triangles."""
    from fieldloom.contracts.cells import simplices

    points = np.stack([data["node_x"].to_numpy(), data["node_y"].to_numpy()], axis=1).astype(np.float64)
    corners = simplices(data)[0] if not _triangles_only(data) else data["cell_connectivity"].to_numpy().reshape(-1, 3)
    return points, np.asarray(corners, np.int64)


def read_table(path: str | Path, rows: int) -> tuple[dict[str, Array], dict[str, str]]:
    """Read a CSV table of numbers, one row a trajectory; headings such as ``inflow [m s-1]`` carry units.

    Raises
    ------
    ValueError
        If the number of rows is another, or an entry is no finite number (file:line and column).
    """
    with Path(path).open(newline="", encoding="utf-8") as file:
        header, *lines = list(csv.reader(file)) or [[]]
    if len(lines) != rows:
        raise ValueError(f"{path} has {len(lines)} rows below its heading; there are {rows} trajectories")
    columns, units = {}, {}
    for k, heading in enumerate(header):
        match = re.fullmatch(r"\s*([^\[\]]+?)\s*(?:\[(.*)\])?\s*", heading)
        name = match[1] if match else heading
        units[name] = (match and match[2]) or "1"
        columns[name] = np.array([_number(path, i, k, name, line) for i, line in enumerate(lines, 2)])
    return columns, units


def _number(path: str | Path, line: int, k: int, name: str, cells: list[str]) -> float:
    try:
        value = float(cells[k])
    except (ValueError, IndexError):
        value = float("nan")
    if not np.isfinite(value):
        got = cells[k] if k < len(cells) else "nothing"
        raise ValueError(f"{path}:{line}: column {name!r} has {got!r}, which is no finite number")
    return value


def _triangles_only(data: xr.Dataset) -> bool:
    return bool((data["cell_types"].to_numpy() == 5).all())


def _is_grid(data: xr.Dataset) -> bool:
    from fieldloom.contracts import kind_of

    return kind_of(data) == "grid"


def _shape(data: xr.Dataset) -> tuple[int, int] | None:
    return (data.sizes["y"], data.sizes["x"]) if _is_grid(data) else None


def _outline(data: xr.Dataset) -> Box:
    if not _is_grid(data):
        return box_of(np.stack([data["node_x"].to_numpy(), data["node_y"].to_numpy()], axis=1).astype(np.float64))
    x, y = (data[axis].to_numpy().astype(np.float64) for axis in "xy")
    half = np.array([x[1] - x[0], y[1] - y[0]]) / 2
    low, high = np.array([x[0], y[0]]) - half, np.array([x[-1], y[-1]]) + half
    return Box(tuple(low.tolist()), tuple(high.tolist()))


def _channels(data: xr.Dataset, fields: Sequence[str] | None, name: str) -> tuple[Channel, ...]:
    place = {"y", "x"} if _is_grid(data) else {"node"}
    offered = [str(n) for n, v in data.data_vars.items() if {"time", *place} <= set(v.dims) and v.dtype.kind == "f"]
    chosen, count = [], 0
    for field in fields or offered:
        if field not in offered:
            raise ValueError(f"{name}: there is no field {field!r} over time; there are {', '.join(offered) or 'none'}")
        size = data.sizes["component"] if "component" in data[field].dims else 1
        chosen.append(Channel(field, str(data[field].attrs.get("units", "")), count, size))
        count += size
    if not chosen:
        raise ValueError(f"{name}: there are no fields over time on the {'cells' if _is_grid(data) else 'nodes'}")
    return tuple(chosen)


def _times(data: xr.Dataset, name: str) -> NDArray[np.float64]:
    if "time" not in data.coords:
        raise ValueError(f"{name}: the fields have no coordinate `time`")
    times = data["time"].to_numpy().astype(np.float64)
    if len(times) > 2 and np.ptp(np.diff(times)) > 1e-6 * np.diff(times).mean():
        raise ValueError(f"{name}: the instants are not equally spaced; resample the fields over time")
    return times


def _same(a: tuple[Any, ...], b: tuple[Any, ...]) -> None:
    for what, x, y in (("the fields", a[1], b[1]), ("a grid of", a[3], b[3])):
        if x != y:
            raise ValueError(f"{b[0]} has {what} {_words(y)}, but {a[0]} has {_words(x)}; a model needs them alike")
    if len(a[2]) != len(b[2]) or not np.allclose(a[2], b[2], atol=1e-6 * max(1.0, abs(float(a[2][-1])))):
        raise ValueError(f"{b[0]} has other instants than {a[0]}; resample them to the same")


def _words(value: Any) -> str:
    if isinstance(value, tuple) and value and isinstance(value[0], Channel):
        return ", ".join(f"{c.name} ({c.units or 'no unit'}, {c.count})" for c in value)
    return "no grid" if value is None else " x ".join(map(str, value))


def _is_one(data: xr.Dataset) -> bool:
    """Whether a Dataset is one trajectory rather than several."""
    return "sample_edge" not in data.sizes and "sample" not in data.sizes


def _coordinates(collection: Mapping[str, Any], name: str) -> dict[str, float]:
    coords = getattr(collection, "coords", lambda _: {})(name)
    return {k: float(v) for k, v in coords.items() if isinstance(v, int | float) and not isinstance(v, bool)}


def _samples(data: xr.Dataset, channels: Sequence[Channel], extra: Mapping[str, float]) -> Iterator[Sample]:
    from fieldloom.contracts import kind_of
    from fieldloom.contracts.population import part

    if kind_of(data) == "grid":
        yield from _grid_samples(data, channels, extra)
    elif kind_of(data) == "population":
        loaded = data.load()
        for i in range(data.sizes["sample_edge"] - 1):
            yield _mesh_sample(part(loaded, i), channels, extra)
    else:
        attrs = {k: float(v) for k, v in data.attrs.items() if isinstance(v, int | float)}
        yield _mesh_sample(data, channels, attrs | dict(extra))


def _mesh_sample(data: xr.Dataset, channels: Sequence[Channel], extra: Mapping[str, float]) -> Sample:
    points, triangles = mesh_of(data)
    columns = [data[c.name].to_numpy().reshape(data.sizes["time"], len(points), c.count) for c in channels]
    own = {str(n): float(v) for n, v in data.data_vars.items() if v.dims == () and v.dtype.kind == "f"}
    return Sample(np.concatenate(columns, axis=-1).astype(np.float32), points, triangles, {**extra, **own})


def _grid_samples(data: xr.Dataset, channels: Sequence[Channel], extra: Mapping[str, float]) -> Iterator[Sample]:
    whole = data if "sample" in data.dims else data.expand_dims("sample")
    x, y = np.meshgrid(data["x"].to_numpy(), data["y"].to_numpy())
    points = np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float64)
    own = [str(n) for n, v in whole.data_vars.items() if v.dims == ("sample",) and v.dtype.kind == "f"]
    time = data.sizes["time"]
    for i in range(whole.sizes["sample"]):
        one = whole.isel(sample=i)
        columns = [one[c.name].to_numpy().reshape(time, len(points), c.count) for c in channels]
        numbers = {**extra, **{n: float(one[n]) for n in own}}
        yield Sample(np.concatenate(columns, -1).astype(np.float32), points, np.zeros((0, 3), np.int64), numbers)


def _finite(sample: Sample, channels: Sequence[Channel], times: Array, where: str) -> None:
    if np.isfinite(sample.values).all():
        return
    t, node, k = np.argwhere(~np.isfinite(sample.values))[0]
    name = next(c.name for c in channels if k in c.channels)
    raise ValueError(
        f"{where}, frame {t} (t = {times[t]:.4g} s): {name!r} is {sample.values[t, node, k]} at point {node}; "
        "a model cannot learn from it: leave this trajectory out, or repair it"
    )
