"""Fields at other places: on a grid, at points, on another mesh; what a mesh covers; many meshes as one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, Self

from fieldloom import Collection, Context, Port, Resources, Stage, StageParams, Stream, Variable, param
from fieldloom.contracts import grid_port, mesh_port, population_port
from pydantic import model_validator

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr

    from ..resampling import Resampler

Bounds = dict[Literal["x", "y", "z"], tuple[float, float]]


class Resample(Stage):
    """Take fields of a mesh to a uniform grid, to points, or to the nodes of another mesh.

    Node fields are interpolated linearly in triangles or tetrahedra (other cells are split), cell fields keep the
    value of the cell around each point. The search is exact and done once for the whole series. Points outside
    the mesh are NaN, or take the nearest node's value.
    """

    class Params(StageParams):
        """Which fields, and where to."""

        onto: Literal["grid", "points", "mesh"] = param("grid", "Where to: `mesh` takes it from the input `target`.")
        variables: list[str] | None = param(None, "Fields; all if not given.", min_length=1)
        cells: int = param(64, "Grid: cells along the longest side.", ge=2, le=4096)
        spacing: float | None = param(None, "Grid: side of a cell instead, in the mesh's units.", gt=0.0)
        bounds: Bounds = param({}, "Grid: ends by axis, e.g. {x: [0, 1]}; those of the mesh if not given.")
        points: list[list[float]] = param([], "Points: [[x, y] or [x, y, z], ...], in the mesh's units.")
        outside: Literal["nan", "nearest"] = param("nan", "What points outside the mesh get.")

        @model_validator(mode="after")
        def _complete(self) -> Self:
            if (self.onto == "points") != bool(self.points):
                raise ValueError("onto: points needs `points`, and only it takes them")
            if any(len(point) not in (2, 3) for point in self.points):
                raise ValueError("each of `points` should have 2 or 3 coordinates")
            return self

    inputs: Mapping[str, Port] = {"fields": mesh_port("A mesh with fields.")}
    outputs: Mapping[str, Port] = {"fields": Port(description="The fields there.", open=True)}
    affects = ("scipy",)
    resources = Resources(isolate=True)

    @classmethod
    def input_ports(cls, params: Any) -> Mapping[str, Port]:
        """Ask for the variables, and for the other mesh."""
        wanted = {name: Variable((...,), "number") for name in params.variables or ()}
        ports = {"fields": mesh_port("A mesh with fields.", wanted)}
        return ports | ({"target": mesh_port("Where the fields are wanted.")} if params.onto == "mesh" else {})

    @classmethod
    def output_ports(cls, params: Any) -> Mapping[str, Port]:
        """A grid, points or a mesh."""
        if params.onto == "grid":
            return {"fields": grid_port("The fields on a grid; `inside` tells where the mesh is.", open=True)}
        if params.onto == "mesh":
            return {"fields": mesh_port("The fields on the other mesh.", open=True)}
        return {"fields": Port(description="The fields at the points, (time, point[, component]).", open=True)}

    def run(self, context: Context, params: Params, **inputs: Any) -> Mapping[str, xr.Dataset | Stream]:
        """Locate once, interpolate each instant."""
        from fieldloom.contracts.mesh import field_names

        from ..resampling import resampler

        data = inputs["fields"]
        names = params.variables or field_names(data)
        _check_names(names, params.onto)
        place = _Place.of(params, data, inputs.get("target"))
        take = resampler(data, place.points, nearest=params.outside == "nearest")
        outside = int((~take.places.inside).sum())
        if outside:
            context.log.info("%d of %d points lie outside the mesh", outside, len(place.points))
        if not any("time" in data[name].dims for name in names):
            return {"fields": place.dataset(data, names, take, None)}

        def blocks() -> Iterator[xr.Dataset]:
            for i in range(data.sizes["time"]):
                yield place.dataset(data, names, take, i)
                context.progress(i + 1, data.sizes["time"], f"instant {i + 1}")

        return {"fields": Stream("time", blocks())}


def _check_names(names: list[str], onto: str) -> None:
    """Refuse fields whose names the result needs for itself."""
    taken = {"grid": {"x", "y", "z", "inside"}, "mesh": {"inside"}, "points": {"point_x", "point_y", "point_z"}}[onto]
    if clash := taken & set(names):
        raise ValueError(
            f"a field is called {min(clash)!r}, as a part of the result is; choose the others by `variables`"
        )


class _Place:
    """Points with the dimensions and coordinates that they have in a Dataset."""

    def __init__(self, points: Any, shape: dict[str, int], skeleton: xr.Dataset, attrs: dict[str, Any]) -> None:
        self.points, self.shape, self.skeleton, self.attrs = points, shape, skeleton, attrs

    @classmethod
    def of(cls, params: Resample.Params, data: xr.Dataset, target: xr.Dataset | None) -> _Place:
        """Where the parameters say."""
        import numpy as np
        import xarray as xr
        from fieldloom.contracts.mesh import points_of

        from ..resampling import used_points

        units = {"units": data["node_x"].attrs["units"]} if data["node_x"].attrs.get("units") else {}
        if target is not None:
            if (other := target["node_x"].attrs.get("units")) != units.get("units"):
                raise ValueError(f"the mesh is in {units.get('units')!r}, the target in {other!r}")
            from ..datasets import skeleton_of

            about = {"mesh": "mesh", "location": "node"}
            return cls(points_of(target), {"node": target.sizes["node"]}, skeleton_of(target), about)
        if params.onto == "points":
            plane = float(used_points(data)[0, 2])
            points = np.array([[*point, plane][:3] for point in params.points], np.float64)
            coordinates = {f"point_{axis}": ("point", points[:, k], units) for k, axis in enumerate("xyz")}
            return cls(points, {"point": len(points)}, xr.Dataset(coords=coordinates), {})
        return cls._grid(params, used_points(data), units)

    @classmethod
    def _grid(cls, params: Any, nodes: Any, units: dict[str, str]) -> _Place:
        from ..resampling import grid_axes, grid_points

        axes = grid_axes(nodes, params.spacing, params.cells, params.bounds)
        return cls(grid_points(axes, float(nodes[0, 2])), grid_shape(axes), grid_skeleton(axes, units), {})

    def dataset(self, data: xr.Dataset, names: list[str], take: Resampler, frame: int | None) -> xr.Dataset:
        """The fields at one instant."""
        from ..resampling import resampled

        lead = ["time"] if frame is not None else []
        variables: dict[str, Any] = {}
        for name, values in resampled(data, names, take, frame or 0).items():
            kept = {key: data[name].attrs[key] for key in ("units", "long_name") if key in data[name].attrs}
            shape = (*self.shape.values(), *values.shape[1:])
            components = [str(dim) for dim in data[name].dims[-(values.ndim - 1) :]] if values.ndim > 1 else []
            single = values.astype(data[name].dtype if data[name].dtype.kind == "f" else "float64").reshape(shape)
            moves = lead if "time" in data[name].dims else []
            variables[name] = ([*moves, *self.shape, *components], single[None] if moves else single, kept | self.attrs)
        found = self.skeleton.assign(variables)
        if "point" not in self.shape:
            inside = take.places.inside.reshape(tuple(self.shape.values()))
            found = found.assign(
                inside=(list(self.shape), inside, {"long_name": "whether the mesh is there"} | self.attrs)
            )
        if lead:
            time = data["time"][[frame]] if "time" in data.coords else ("time", [float(frame or 0)])
            found = found.assign_coords(time=time)
        return found


def grid_shape(axes: Mapping[str, Any]) -> dict[str, int]:
    """Sizes of a grid in the order of its arrays."""
    return {axis: len(axes[axis]) for axis in reversed(list(axes))}


def grid_skeleton(axes: Mapping[str, np.ndarray[Any, Any]], units: Mapping[str, str]) -> xr.Dataset:
    """A Dataset with a grid's coordinates alone."""
    import xarray as xr

    about = {axis: {"long_name": f"{axis} of the cells' centres", **units} for axis in axes}
    coordinates = {axis: (axis, values, about[axis]) for axis, values in axes.items()}
    return xr.Dataset(coords=coordinates, attrs={"Conventions": "CF-1.11"})


class Voxelize(Stage):
    """Which cells of a uniform grid a closed surface encloses, or a plane or volume mesh covers.

    A grid point counts as inside if its centre is. With `distance`, also the signed distance to the boundary,
    negative inside.
    """

    class Params(StageParams):
        """The grid."""

        cells: int = param(64, "Cells along the longest side.", ge=2, le=1024)
        spacing: float | None = param(None, "Side of a cell instead, in the mesh's units.", gt=0.0)
        bounds: Bounds = param({}, "Ends by axis, e.g. {x: [0, 1]}; those of the mesh and a margin if not given.")
        margin: float = param(0.05, "Added on every side, as a part of the mesh's extent.", ge=0.0, le=10.0)
        distance: bool = param(False, "Also compute the signed distance to the boundary.")

    inputs: Mapping[str, Port] = {"mesh": mesh_port("A closed surface, or a plane or volume mesh.")}
    outputs: Mapping[str, Port] = {
        "voxels": grid_port("Inside or not, and the signed distance.", {"inside": Variable((...,), "bool")}, open=True)
    }
    affects = ("vtk", "scipy")
    resources = Resources(isolate=True)

    def run(self, context: Context, params: Params, **inputs: Any) -> Mapping[str, xr.Dataset]:
        """Test every centre."""
        import numpy as np

        from ..resampling import dimension_of, grid_axes, grid_points, used_points
        from ..voxels import covered, distance

        data = inputs["mesh"]
        nodes = used_points(data)
        low, high = nodes.min(axis=0), nodes.max(axis=0)
        margin = params.margin * (high - low).max()
        axes_of = "xy" if dimension_of(nodes) == 2 else "xyz"
        bounds = {axis: (low[k] - margin, high[k] + margin) for k, axis in enumerate(axes_of)} | dict(params.bounds)
        axes = grid_axes(nodes, params.spacing, params.cells, bounds)
        targets = grid_points(axes, float(nodes[0, 2]))
        units = {"units": data["node_x"].attrs["units"]} if data["node_x"].attrs.get("units") else {}
        shape = grid_shape(axes)
        inside = covered(data, targets)
        context.log.info("%d of %d cells are inside", int(inside.sum()), inside.size)
        context.progress(1, 2, "distance" if params.distance else "")
        found = grid_skeleton(axes, units).assign(
            inside=(list(shape), inside.reshape(tuple(shape.values())), {"long_name": "whether the centre is inside"})
        )
        if params.distance:
            far = distance(data, targets, inside).reshape(tuple(shape.values())).astype(np.float32)
            about = {"long_name": "signed distance to the boundary, negative inside", **units}
            found = found.assign(distance=(list(shape), far, about))
        return {"voxels": found}


class Gather(Stage):
    """Many meshes as one population: flat arrays one after the other, with one value a mesh for what tells them apart.

    The coordinates of a collected step's instances (`wake.*`) become covariates, and so do the attributes that
    are named.
    """

    class Params(StageParams):
        """Which attributes to keep for each mesh."""

        attributes: list[str] = param([], "Attributes of the meshes that become values by sample, e.g. [reynolds].")

    inputs: Mapping[str, Port] = {"meshes": mesh_port("Meshes with the same fields.", many=True)}
    outputs: Mapping[str, Port] = {"population": population_port("The population.", open=True)}
    resources = Resources(isolate=True)

    @classmethod
    def input_ports(cls, params: Any) -> Mapping[str, Port]:
        """Ask for the attributes."""
        return {"meshes": mesh_port("Meshes with the same fields.", many=True, attrs=tuple(params.attributes))}

    def run(self, context: Context, params: Params, **inputs: Any) -> Mapping[str, xr.Dataset]:
        """Join."""
        from fieldloom.contracts.population import join

        meshes: Collection = inputs["meshes"]
        covariates: dict[str, list[Any]] = {}
        found = []
        for i, (name, data) in enumerate(meshes.items()):
            found.append(data)
            values = {**meshes.coords(name), **{key: data.attrs[key] for key in params.attributes}}
            for key, value in values.items():
                covariates.setdefault(key, []).append(value)
            context.progress(i + 1, len(meshes), name)
        kept = {key: values for key, values in covariates.items() if len(values) == len(found)}
        return {"population": join(found, kept)}
