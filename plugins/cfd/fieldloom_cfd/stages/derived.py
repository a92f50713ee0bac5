"""Vorticity, statistics over time, spectra: of any flow, on a mesh or on a grid."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

from fieldloom import Context, Port, Resources, Stage, StageParams, Stream, Variable, param
from fieldloom.contracts import field_port

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr


class Vorticity(Stage):
    """Vorticity and Q-criterion of a velocity on a mesh or a grid, at the nodes or grid points.

    On a mesh: gradients of linear triangles or tetrahedra (other cells are split), averaged around each node by
    area or volume; values on cells are first taken to the nodes the same way. On a grid: central differences. The
    Q-criterion is positive where rotation exceeds strain (Hunt, Wray & Moin 1988).
    """

    class Params(StageParams):
        """Which velocity, and what is wanted."""

        velocity: str = param("velocity", "The variable that holds the velocity.")
        quantities: list[Literal["vorticity", "q_criterion"]] = param(
            ["vorticity", "q_criterion"], "What to compute.", min_length=1
        )

    inputs: Mapping[str, Port] = {"fields": field_port("A flow.")}
    outputs: Mapping[str, Port] = {
        "fields": field_port("The same mesh or grid with the quantities, without the flow.", open=True)
    }
    affects = ("numpy", "scipy")
    resources = Resources(isolate=True)

    @classmethod
    def input_ports(cls, params: Any) -> Mapping[str, Port]:
        """Ask for the velocity."""
        return {"fields": field_port("A flow.", {params.velocity: Variable((...,), "number")})}

    def run(self, context: Context, params: Params, **inputs: Any) -> Mapping[str, xr.Dataset | Stream]:
        """Differentiate one instant after the other."""
        data = inputs["fields"]
        differentiate = differentiator(data, params.velocity)
        dims = data[params.velocity].dims
        leading = dims[0] if dims[0] in ("sample", "time") else None
        if leading is None:
            return {"fields": _derived(data, params, differentiate)}

        def blocks() -> Iterator[xr.Dataset]:
            for i in range(data.sizes[leading]):
                yield _derived(data.isel({leading: slice(i, i + 1)}), params, differentiate)
                context.progress(i + 1, data.sizes[leading], str(leading))

        return {"fields": Stream(str(leading), blocks())}


def differentiator(data: xr.Dataset, velocity: str) -> Callable[[Any], Any]:
    """What takes one instant of a velocity to its gradient (..., components, d), for a mesh or grid."""
    from fieldloom.contracts import kind_of

    return (_on_grid if kind_of(data) == "grid" else _on_mesh)(data, velocity)


def _on_grid(data: xr.Dataset, velocity: str) -> Callable[[Any], Any]:
    from fieldloom.contracts.grid import spacing

    from ..derived import grid_gradient

    axes = [axis for axis in "xyz" if axis in data[velocity].dims]
    return lambda u: grid_gradient(u, tuple(spacing(data, axis) for axis in axes))


def _on_mesh(data: xr.Dataset, velocity: str) -> Callable[[Any], Any]:
    import numpy as np
    import scipy.sparse as sp
    from fieldloom.contracts.mesh import is_flat, points_of, simplices

    from ..derived import cell_to_node, fill_from_cells, gradient_operator, mesh_gradient

    points = points_of(data)
    connectivity, offsets = data["cell_connectivity"].to_numpy(), data["cell_offsets"].to_numpy()
    corners, _ = simplices(data)
    d = 2 if is_flat(points[np.unique(connectivity)]) else 3
    if corners.shape[1] != d + 1:
        raise ValueError("the vorticity needs a plane mesh or a mesh of volumes, not a surface in space")
    operator, covered = gradient_operator(points[:, :d], corners), np.unique(corners)
    lost = np.setdiff1d(np.arange(len(points)), connectivity)
    if len(covered) < len(points):
        fill = fill_from_cells(len(points), covered, connectivity, offsets)
        operator = sp.csr_array(sp.block_diag([fill] * d, format="csr") @ operator)
    average = None
    if "cell" in data[velocity].dims:
        average = cell_to_node(points[:, :d], connectivity, offsets)

    def differentiate(u: Any) -> Any:
        gradient = mesh_gradient(operator, u if average is None else average @ u)
        gradient[lost] = np.nan  # nodes that belong to no cell
        return gradient

    return differentiate


def _derived(data: xr.Dataset, params: Vorticity.Params, differentiate: Callable[[Any], Any]) -> xr.Dataset:
    """The quantities of a block, beside what makes the mesh or grid."""
    import numpy as np

    from ..derived import q_criterion, vorticity

    field = data[params.velocity]
    if field.dims[-1:] != ("component",) or field.sizes["component"] not in (2, 3):
        raise ValueError(f"{params.velocity!r} should have 2 or 3 components, in its last dimension 'component'")
    lead = [dim for dim in ("sample", "time") if dim in field.dims]
    stacked = field.to_numpy().reshape(-1, *(field.sizes[dim] for dim in field.dims[len(lead) :]))
    gradients = [differentiate(u) for u in stacked]
    if gradients[0].shape[-1] > field.sizes["component"]:
        raise ValueError(f"{params.velocity!r} has 2 components on a mesh in space; it needs 3")
    place = ["node"] if {"node", "cell"} & set(field.dims) else [d for d in field.dims if d in ("z", "y", "x")]
    shape = [field.sizes[dim] for dim in lead]
    units = _is_per_second(field.attrs.get("units", ""), data)
    about = {"mesh": "mesh", "location": "node"} if place == ["node"] else {}
    found = {}
    if "vorticity" in params.quantities:
        curl = np.stack([vorticity(g) for g in gradients]).astype(np.float32)
        dims = [*lead, *place, *(["component"] if curl.ndim > 1 + len(place) else [])]
        found["vorticity"] = (dims, curl.reshape(*shape, *curl.shape[1:]), {**_unit(units, 1), **about})
    if "q_criterion" in params.quantities:
        q = np.stack([q_criterion(g) for g in gradients]).astype(np.float32)
        found["q_criterion"] = ([*lead, *place], q.reshape(*shape, *q.shape[1:]), {**_unit(units, 2), **about})
    kept = _skeleton(data)
    return kept.assign(found)


def _is_per_second(units: str, data: xr.Dataset) -> bool:
    """Whether the velocity's unit over the length's is 1/s."""
    length = (data["node_x"] if "node_x" in data.variables else data["x"]).attrs.get("units")
    return units.replace("/", " ").split() in (["m", "s-1"], ["m", "s"], ["m", "s^-1"]) and length == "m"


def _unit(known: bool, power: int) -> dict[str, str]:
    names = {1: "vorticity", 2: "Q-criterion"}
    return {"long_name": names[power]} | ({"units": f"s-{power}"} if known else {})


def _skeleton(data: xr.Dataset) -> xr.Dataset:
    """What makes the mesh or grid, without its fields."""
    from fieldloom.contracts import kind_of
    from fieldloom.contracts.mesh import field_names

    if kind_of(data) == "grid":
        faces = [f"{axis}_face" for axis in "xyz"]
        kept = data.drop_vars(list(data.data_vars))
        return kept.drop_vars([name for name in faces if name in kept.variables])
    other = [
        str(n)
        for n, v in data.data_vars.items()
        if n != "sample_time" and ("time" in v.dims or "substep" in v.dims or "ring" in v.dims)
    ]
    kept = data.drop_vars({*field_names(data), *other})
    return kept.drop_vars([str(n) for n, v in kept.coords.items() if "substep" in v.dims])


class Statistics(Stage):
    """Mean, standard deviation, minimum and maximum of fields over time, and what they are over the whole domain.

    One pass, one instant in memory (Welford's update). The table's means over the domain weigh nodes by the area
    or volume around them. The turbulent kinetic energy is half the sum of the velocity components' variances.
    """

    class Params(StageParams):
        """Which fields, and which part of the series."""

        variables: list[str] | None = param(None, "Fields; all that depend on time if not given.", min_length=1)
        start: float = param(0.0, "Part of the series to leave out at its beginning.", ge=0.0, lt=1.0)

    inputs: Mapping[str, Port] = {"fields": field_port("Fields over time.")}
    outputs: Mapping[str, Port] = {
        "fields": field_port("The same mesh or grid with <field>_mean, _std, _min and _max.", open=True),
        "table": Port(
            description="One row a field (and component).",
            variables={
                "field": Variable(("row",), "string", description="field and component"),
                "mean": Variable(("row",), "float64", description="mean"),
                "rms": Variable(("row",), "float64", description="rms"),
                "std": Variable(("row",), "float64", description="standard deviation in time"),
                "minimum": Variable(("row",), "float64", description="minimum"),
                "maximum": Variable(("row",), "float64", description="maximum"),
                "unit": Variable(("row",), "string", description="unit"),
            },
            extra=False,
        ),
    }
    affects = ("numpy",)
    resources = Resources(isolate=True)

    @classmethod
    def input_ports(cls, params: Any) -> Mapping[str, Port]:
        """Ask for the variables."""
        return {
            "fields": field_port("Fields over time.", {n: Variable((...,), "number") for n in params.variables or ()})
        }

    def run(self, context: Context, params: Params, **inputs: Any) -> Mapping[str, xr.Dataset]:
        """Accumulate."""
        from fieldloom.contracts.cells import weights
        from fieldloom.contracts.table import table

        from ..statistics import Moments

        data = inputs["fields"]
        names = params.variables or _fields_over_time(data)
        frames = data.sizes.get("time", 0)
        if not names or any("time" not in data[name].dims for name in names):
            raise ValueError(f"statistics are taken over time; of {names or 'the fields'} not all depend on it")
        results = [f"{name}_{key}" for name in names for key in ("mean", "std", "min", "max")]
        if len(set(results)) < len(results):
            raise ValueError(f"results of {names} would share names; ask for some of them by `variables`")
        shares = weights(data)
        first = int(params.start * frames)
        found, rows = {}, []
        for k, name in enumerate(names):
            moments = Moments()
            for i in range(first, frames):
                moments.add(data[name].isel(time=i).to_numpy())
                context.progress(k * (frames - first) + i - first + 1, len(names) * (frames - first), name)
            dims = [dim for dim in data[name].dims if dim != "time"]
            found |= _moment_fields(name, moments, dims, data[name])
            rows += _moment_rows(name, moments, dims, data[name].attrs.get("units", ""), shares)
        kept = _skeleton(data).drop_vars("time", errors="ignore")
        return {
            "fields": kept.assign(found).assign_attrs(instants=frames - first),
            "table": table(rows, self.outputs["table"], "Statistics over time"),
        }


def _fields_over_time(data: xr.Dataset) -> list[str]:
    from fieldloom.contracts import kind_of
    from fieldloom.contracts.mesh import field_names

    if kind_of(data) == "grid":
        return [str(n) for n, v in data.data_vars.items() if {"time", "x", "y"} <= set(v.dims) and v.dtype.kind == "f"]
    return [name for name in field_names(data) if "time" in data[name].dims]


def _moment_fields(name: str, moments: Any, dims: list[Any], field: xr.DataArray) -> dict[str, Any]:
    import numpy as np

    attrs, dtype = field.attrs, np.float64 if field.dtype == np.float64 else np.float32
    label = attrs.get("long_name", name)
    values = {"mean": moments.mean, "std": moments.std, "min": moments.minimum, "max": moments.maximum}
    found: dict[str, Any] = {
        f"{name}_{key}": (dims, value.astype(dtype), {**attrs, "long_name": f"{key} of the {label}"})
        for key, value in values.items()
    }
    if name == "velocity" and dims[-1] == "component":
        unit = {"units": "m2 s-2"} if attrs.get("units") in ("m s-1", "m/s") else {}
        about = {k: v for k, v in attrs.items() if k not in ("units", "long_name")}
        energy = (0.5 * (moments.std**2).sum(axis=-1)).astype(dtype)
        found["turbulent_kinetic_energy"] = (
            dims[:-1],
            energy,
            {**about, **unit, "long_name": "kinetic energy of the fluctuations"},
        )
    return found


def _moment_rows(name: str, moments: Any, dims: list[Any], units: str, weights: Any) -> Iterator[dict[str, Any]]:
    import numpy as np

    has_components = dims[-1] not in ("node", "cell", "x")
    count = moments.mean.shape[-1] if has_components else 1

    def over(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Mean over the part of the domain where there are values, of each component."""
        columns = values.reshape(*values.shape[: len(dims) - has_components], count)
        place = weights.get("cell" if "cell" in dims else "node")
        if place is None:
            return np.nanmean(columns.reshape(-1, count), axis=0)
        share = np.where(np.isfinite(columns), place.reshape(-1, *[1] * (columns.ndim - 1)), 0.0)
        axes = tuple(range(columns.ndim - 1))
        return np.asarray((share * np.nan_to_num(columns)).sum(axis=axes) / share.sum(axis=axes))

    mean, variance = over(moments.mean), over(moments.std**2)
    square = over(moments.mean**2) + variance
    low, high = (getattr(moments, end).reshape(-1, count) for end in ("minimum", "maximum"))
    for c in range(count):
        yield {
            "field": f"{name}[{'xyz'[c]}]" if 1 < count <= 3 else name if count == 1 else f"{name}[{c}]",
            "mean": float(mean[c]),
            "rms": float(np.sqrt(square[c])),
            "std": float(np.sqrt(variance[c])),
            "minimum": float(np.nanmin(low[:, c])),
            "maximum": float(np.nanmax(high[:, c])),
            "unit": units,
        }


class Spectrum(Stage):
    """Power spectra of time series, such as probes made by `mesh.resample`, or drag and lift; and their peaks.

    Hann window, mean taken off; the peak's frequency is refined by a parabola through the three highest points.
    """

    class Params(StageParams):
        """Which series, and which part of it."""

        variable: str = param(..., "The series: (time[, point][, component]), or (time, substep) with force_time.")
        start: float = param(0.0, "Part of the series to leave out at its beginning.", ge=0.0, lt=1.0)

    inputs: Mapping[str, Port] = {"series": Port(description="Time series.")}
    outputs: Mapping[str, Port] = {
        "spectrum": Port(
            description="Power spectral density.",
            variables={
                "frequency": Variable(("frequency",), "float64", description="frequency"),
                "power": Variable(("frequency", "series"), "float64", description="power spectral density"),
                "peak": Variable(("series",), "float64", description="frequency of the highest peak"),
                "series": Variable(("series",), "string", description="place and component of each series"),
            },
        ),
        "pictures": Port(description="The spectra, drawn.", files=True),
    }
    affects = ("scipy", "matplotlib")
    resources = Resources(isolate=True)

    @classmethod
    def input_ports(cls, params: Any) -> Mapping[str, Port]:
        """Ask for the variable."""
        return {"series": Port({params.variable: Variable((...,), "number")}, "Time series.")}

    def run(self, context: Context, params: Params, **inputs: Any) -> Mapping[str, xr.Dataset]:
        """Transform."""
        import xarray as xr
        from fieldloom.files import file_variable

        from ..plots import plot_spectrum
        from ..spectra import spectrum

        data = inputs["series"]
        times, signals, labels = _series(data, params.variable)
        first = int(params.start * len(times))
        found = spectrum(times[first:], signals[first:])
        hertz = data["time"].attrs.get("units") == "s"
        about = {"units": "s-1"} if hertz else {}
        result = xr.Dataset(
            {
                "power": (("frequency", "series"), found.power, {"long_name": "power spectral density"}),
                "peak": (("series",), found.peak, {"long_name": "frequency of the highest peak", **about}),
            },
            {
                "frequency": ("frequency", found.frequency, {"long_name": "frequency", **about}),
                "series": ("series", labels, {"long_name": "place and component"}),
            },
            {"title": f"Spectrum of {params.variable}"},
        )
        low = [label for label, i in zip(labels, found.power.argmax(axis=0), strict=True) if i <= 1]
        if low:
            context.log.warning("the peak of %s is the lowest frequency: a trend? leave it out by `start`", low[0])
        picture = plot_spectrum(found, params.variable, "Hz" if hertz else "", labels)
        caption = f"power spectrum of {params.variable}; peak at {found.peak[0]:.4g}{' Hz' if hertz else ''}"
        drawn = file_variable(picture, f"spectrum_{params.variable}.png", "image/png", caption)
        return {"spectrum": result, "pictures": xr.Dataset({"spectrum": drawn})}


def _series(data: xr.Dataset, name: str) -> tuple[Any, Any, list[str]]:
    """Times (k,), signals (k, series) of a variable, and what each series is."""
    import itertools

    import numpy as np

    variable = data[name]
    if variable.dims == ("time", "substep") and "force_time" in data.variables:
        return data["force_time"].to_numpy().ravel(), variable.to_numpy().reshape(-1, 1).astype(np.float64), [name]
    if not variable.dims or variable.dims[0] != "time" or "time" not in data.coords:
        raise ValueError(f"{name!r} has dims {variable.dims}; a series has time first, and the coordinate time")
    if {"node", "cell", "x", "y"} & set(variable.dims) or variable[0].size > 64:
        raise ValueError(
            f"{name!r} is a field of {variable[0].size:,} series; take some points with mesh.resample first"
        )
    values = variable.to_numpy().reshape(variable.shape[0], -1).astype(np.float64)
    places = [range(variable.sizes[dim]) for dim in variable.dims[1:]]
    words = [dict(zip(variable.dims[1:], place, strict=True)) for place in itertools.product(*places)]
    labels = [
        " ".join("xyz"[i] if dim == "component" and i < 3 else f"{dim} {i}" for dim, i in word.items()) or name
        for word in words
    ]
    return data["time"].to_numpy().astype(np.float64), values, labels
