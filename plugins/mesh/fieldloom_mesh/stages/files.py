"""Mesh files in and out, and what is in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fieldloom import Context, Port, Resources, Stage, StageParams, Stream, Variable, param, path_param, units
from fieldloom.contracts import field_port, mesh_port, population_port
from pydantic import field_validator

if TYPE_CHECKING:
    import xarray as xr

Format = Literal["pvd", "vtu", "vtk", "vtp", "vtkhdf", "xdmf", "msh", "ply", "stl", "obj", "off"]


class Read(Stage):
    """Meshes with fields from files of the user: one file, a time series, a case, or a folder of files.

    Formats: VTU, VTP, VTI, VTS, VTR and their parallel and multi-block forms, legacy VTK, VTKHDF, PVD, XDMF, Gmsh,
    OpenFOAM cases, Exodus, CGNS, MED, Abaqus, Nastran, SU2, Medit, STL, OBJ, PLY, OFF. Files are read in a child
    process with limits of time and memory, so that a broken one is an error with its reason and no crash. What a
    file cannot say, such as units, is given here. The files' content enters the key: a file that changes is read
    again, one that moves is not.
    """

    class Params(StageParams):
        """Which file, and what it does not say itself."""

        path: str = path_param(..., "A mesh file, an OpenFOAM case, or a folder of numbered files of one format.")
        collect: Literal["time", "samples"] = param(
            "time", "Files of a folder are instants of one mesh, or samples: meshes of their own (a population)."
        )
        variables: list[str] | None = param(None, "Fields to keep; all if not given.")
        units: dict[str, str] = param({}, "Units by field, e.g. {U: m s-1}; x is the coordinates', time the time's.")
        time_step: float | None = param(None, "Time between instants that carry none.", gt=0.0)
        every: int = param(1, "Take every so many instants.", ge=1)
        time_limit: float = param(300.0, "Longest time for one instant.", unit="s", gt=0.0)
        memory_limit: float = param(0.0, "Memory for the reader in GiB; 0 for what the machine has.", ge=0.0)

        @field_validator("units")
        @classmethod
        def _units_are_known(cls, value: dict[str, str]) -> dict[str, str]:
            for unit in filter(None, value.values()):
                units.check(unit)
            return value

    outputs: Mapping[str, Port] = {
        "fields": mesh_port("The mesh and its fields, with time if the files have it.", open=True)
    }
    affects = ("vtk", "meshio")
    resources = Resources(isolate=True)

    @classmethod
    def files(cls, params: Any) -> Mapping[str, Path]:
        """The file and those that it refers to."""
        from ..formats.referenced import files_of

        return files_of(Path(params.path))

    @classmethod
    def output_ports(cls, params: Any) -> Mapping[str, Port]:
        """A mesh, or a population."""
        if params.collect == "samples":
            return {"fields": population_port("One mesh a file.", open=True)}
        return cls.outputs

    def run(self, context: Context, params: Params, **inputs: Any) -> Mapping[str, xr.Dataset | Stream]:
        """Read one instant after the other."""
        from ..formats.reading import Limits

        limits = Limits(params.time_limit, int(params.memory_limit * 2**30))
        if params.collect == "samples":
            return {"fields": _population(context, params, limits)}
        blocks = _blocks(context, params, limits)
        first = next(blocks)
        if "time" not in first.dims:
            return {"fields": first}
        return {"fields": Stream("time", _from(first, blocks))}


def _from(first: xr.Dataset, rest: Iterator[xr.Dataset]) -> Iterator[xr.Dataset]:
    yield first
    yield from rest


def _steps(context: Context, path: Path, params: Read.Params, limits: Any) -> Iterator[Any]:
    """Every n-th step of a file; what could not be kept is logged once."""
    import itertools
    import warnings

    from ..formats.reading import read

    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always")
        told: set[str] = set()
        for step in itertools.islice(read(path, limits), 0, None, params.every):
            for note in notes:
                if str(note.message) not in told:
                    context.log.warning("%s", note.message)
                    told.add(str(note.message))
            yield step


def _blocks(context: Context, params: Read.Params, limits: Any) -> Iterator[xr.Dataset]:
    from ..datasets import series_of

    steps = _steps(context, Path(params.path), params, limits)
    for i, block in enumerate(series_of(steps, params.units, params.variables, params.time_step)):
        if i == 0:
            sizes = (block.sizes["node"], block.sizes["cell"])
            context.log.info("%s: %d nodes, %d cells", Path(params.path).name, *sizes)
            if "time" in block.coords and block["time"].attrs.get("counted"):
                context.log.warning("the files say no times; instants are counted: give time_step")
        yield block
        context.progress(i + 1, None, f"instant {i + 1}")


def _population(context: Context, params: Read.Params, limits: Any) -> xr.Dataset:
    import xarray as xr
    from fieldloom.contracts.population import join

    from ..datasets import series_of
    from ..formats.sources import numbered_files

    path = Path(params.path)
    if not path.is_dir():
        raise ValueError(f"collect: samples reads a folder of mesh files; {path} is a file")
    meshes, files = [], numbered_files(path)
    for i, file in enumerate(files):
        steps = _steps(context, file, params, limits)
        blocks = list(series_of(steps, params.units, params.variables, params.time_step))
        meshes.append(blocks[0] if len(blocks) == 1 else _along_time(blocks))
        context.progress(i + 1, len(files), file.name)
    joined = join(meshes)
    return joined.assign(file=xr.Variable("sample", [file.name for file in files]))


def _along_time(blocks: list[xr.Dataset]) -> xr.Dataset:
    import xarray as xr

    return xr.concat(blocks, "time", data_vars="minimal", coords="minimal", compat="override", join="override")


class Write(Stage):
    """A mesh with fields, or a time series, in an exchange format; what a format would lose is refused by name.

    PVD (VTU files and their index), VTKHDF and XDMF hold time series; the others one instant. Every file is read
    back and compared before it counts as written. The files land in the run's folder below ``files/``.
    """

    class Params(StageParams):
        """Format, instants, and the files' name."""

        format: Format = param("pvd", "pvd, vtkhdf and xdmf hold time; ParaView opens all but msh.")
        frames: int | None = param(
            None, "Largest number of instants, equally spaced up to the last; all if not given.", ge=1, le=100_000
        )
        variables: list[str] | None = param(None, "Fields to write; all if not given.")
        allow_loss: bool = param(False, "Leave out what the format cannot keep, instead of refusing.")
        stem: str = param("fields", "Beginning of the files' names.", pattern=r"^[\w-]+$")

    inputs: Mapping[str, Port] = {"fields": mesh_port("A mesh with fields.")}
    outputs: Mapping[str, Port] = {"files": Port(description="The files.", files=True)}
    affects = ("vtk", "h5py")
    resources = Resources(isolate=True)

    @classmethod
    def input_ports(cls, params: Any) -> Mapping[str, Port]:
        """Ask for the variables."""
        wanted = {name: Variable((...,), "number") for name in params.variables or ()}
        return {"fields": mesh_port("A mesh with fields.", wanted)}

    def run(self, context: Context, params: Params, **inputs: Any) -> Mapping[str, xr.Dataset]:
        """Write, read back, hand over."""
        import xarray as xr
        from fieldloom.files import file_variable

        from ..formats.writing import write

        steps = _instants(inputs["fields"], params)
        context.progress(0, 1, f"{len(steps)} instants")
        paths = write(context.scratch / f"{params.stem}.{params.format}", steps, allow_loss=params.allow_loss)
        media = {".pvd": "application/xml", ".xdmf": "application/xml", ".stl": "model/stl", ".obj": "model/obj"}
        files = {
            f"file_{i}": file_variable(path.read_bytes(), path.name, media.get(path.suffix, "application/octet-stream"))
            for i, path in enumerate(paths)
        }
        return {"files": xr.Dataset(files)}


def _instants(data: xr.Dataset, params: Write.Params) -> list[Any]:
    import numpy as np

    from ..datasets import mesh_of, meshes_of
    from ..formats.writing import CAPABILITIES

    total = data.sizes.get("time")
    if total is None:
        return [(None, mesh_of(data, None, params.variables))]
    able = CAPABILITIES[f".{params.format}"]
    if not able.time and params.frames is None and total > 1:
        raise ValueError(
            f"{able.name} holds one instant, the series has {total}: say frames: 1 for the last (as --set "
            "stages.<step>.with.frames=1), or format: pvd"
        )
    count = min(params.frames or total, total)
    frames = sorted({int(i) for i in np.linspace(0, total - 1, count).round()}) if count > 1 else [total - 1]
    times = data["time"].to_numpy() if "time" in data.coords else np.arange(total)
    stamps = [float(times[i]) if able.time else None for i in frames]
    return list(zip(stamps, meshes_of(data, frames, params.variables), strict=True))


class Info(Stage):
    """What a mesh or grid holds: one row a field, with its place, unit and range."""

    inputs: Mapping[str, Port] = {"fields": field_port("A mesh or grid with fields.")}
    outputs: Mapping[str, Port] = {
        "table": Port(
            description="One row a field.",
            variables={
                "field": Variable(("row",), "string", description="field"),
                "place": Variable(("row",), "string", description="place"),
                "shape": Variable(("row",), "string", description="shape"),
                "unit": Variable(("row",), "string", description="unit"),
                "minimum": Variable(("row",), "float64", description="minimum"),
                "maximum": Variable(("row",), "float64", description="maximum"),
                "not_finite": Variable(("row",), "int64", description="not finite"),
            },
            extra=False,
        )
    }
    resources = Resources(isolate=True)

    def run(self, context: Context, params: StageParams, **inputs: Any) -> Mapping[str, xr.Dataset]:
        """Look at one field after the other."""
        from fieldloom.contracts import kind_of
        from fieldloom.contracts.table import table

        from ..checking import fields_of

        data = inputs["fields"]
        kind = kind_of(data)
        rows = [_mesh_row(data)] if kind in ("mesh", "population") else []
        rows += [_field_row(data, name) for name in fields_of(data, kind)]
        return {"table": table(rows, self.outputs["table"])}


def _mesh_row(data: xr.Dataset) -> dict[str, Any]:
    """Sizes, and the range of all coordinates."""
    from fieldloom.contracts.mesh import points_of

    points = points_of(data)
    return {
        "field": "(coordinates)",
        "place": "node",
        "shape": f"node {data.sizes['node']}, cell {data.sizes['cell']}",
        "unit": data["node_x"].attrs.get("units", ""),
        "minimum": float(points.min()),
        "maximum": float(points.max()),
        "not_finite": 0,
    }


def _field_row(data: xr.Dataset, name: str) -> dict[str, Any]:
    import numpy as np

    field = data[name]
    low, high, bad = np.inf, -np.inf, 0
    leading = field.dims[0] if field.ndim > 1 else None
    for i in range(field.sizes[leading] if leading else 1):
        values = (field.isel({leading: i}) if leading else field).to_numpy().astype(np.float64)
        finite = values[np.isfinite(values)]
        bad += values.size - finite.size
        low, high = min(low, finite.min(initial=np.inf)), max(high, finite.max(initial=-np.inf))
    return {
        "field": name,
        "place": next((place for place in ("node", "cell") if place in field.dims), "grid"),
        "shape": " x ".join(f"{dim} {size}" for dim, size in field.sizes.items()),
        "unit": field.attrs.get("units", ""),
        "minimum": float(low) if np.isfinite(low) else np.nan,
        "maximum": float(high) if np.isfinite(high) else np.nan,
        "not_finite": bad,
    }


class Check(Stage):
    """Say in words what is wrong or odd with a mesh, a population or a grid, and with its fields.

    Inverted, flat and sliver cells, duplicate and unused nodes, open and overfull edges, faces turned against each
    other, separate parts; times that do not increase; values that are not finite; units that are missing. Each
    finding has its severity, its first place and what to do.
    """

    class Params(StageParams):
        """When to fail."""

        fail_on: Literal["error", "warning", "never"] = param("never", "Let the stage fail on findings this severe.")

    inputs: Mapping[str, Port] = {"fields": Port(description="Whatever should be a mesh or grid.")}
    outputs: Mapping[str, Port] = {
        "findings": Port(
            description="One row a finding, the worst first.",
            variables={
                "severity": Variable(("row",), "string", description="error, warning or note"),
                "subject": Variable(("row",), "string", description="variable, or mesh"),
                "message": Variable(("row",), "string", description="what was found"),
                "advice": Variable(("row",), "string", description="what to do"),
            },
            extra=False,
        )
    }
    affects = ("scipy",)
    resources = Resources(isolate=True)

    def run(self, context: Context, params: Params, **inputs: Any) -> Mapping[str, xr.Dataset]:
        """Examine, log, and fail if asked to."""
        from dataclasses import asdict

        from fieldloom.contracts.table import table

        from ..checking import examine

        order = {"error": 0, "warning": 1, "note": 2}
        found = sorted(examine(inputs["fields"]), key=lambda finding: order[finding.severity])
        for finding in found:
            if finding.severity != "note":
                context.log.warning("%s in %s: %s", finding.severity, finding.subject, finding.message)
        limit = {"error": 0, "warning": 1, "never": -1}[params.fail_on]
        bad = [finding for finding in found if order[finding.severity] <= limit]
        if bad:
            raise ValueError("; ".join(f"{f.subject}: {f.message} ({f.advice})" for f in bad))
        return {"findings": table([asdict(finding) for finding in found], self.outputs["findings"])}
