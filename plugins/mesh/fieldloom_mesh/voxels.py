"""Which points of a grid a surface encloses, or a mesh covers; and how far they are from the boundary."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from fieldloom.contracts import mesh as meshes
from fieldloom.contracts.cells import boundary, dimension
from numpy.typing import NDArray

from .locating import interpolation
from .resampling import dimension_of, used_points

if TYPE_CHECKING:
    import pyvista as pv
    import xarray as xr

Floats = NDArray[np.float64]
Index = NDArray[np.int64]


def covered(data: xr.Dataset, targets: Floats) -> NDArray[np.bool_]:
    """Tell which targets (p, 3) lie inside a closed surface, or in a cell of a plane or volume mesh.

    Raises
    ------
    ValueError
        If a surface in space is open: it has no inside.
    """
    points = meshes.points_of(data)
    simplices, _ = meshes.simplices(data)
    d = dimension_of(used_points(data))
    if simplices.shape[1] == d + 1:
        return interpolation(points[:, :d], simplices, np.ascontiguousarray(targets[:, :d])).inside
    if edges := len(boundary(data)):
        raise ValueError(f"the surface is open: {edges:,} edges have one face only; close it (mesh.check says where)")
    return _enclosed(surface_of(points, simplices), targets)


def distance(data: xr.Dataset, targets: Floats, inside: NDArray[np.bool_]) -> Floats:
    """Signed distance (p,) of targets (p, 3) to the boundary, negative inside, in the mesh's units."""
    is_surface = dimension(data["cell_types"].to_numpy()) == 2 and dimension_of(used_points(data)) == 3
    facets = meshes.simplices(data)[0] if is_surface else boundary(data)
    far = _nearest(surface_of(meshes.points_of(data), facets), targets)
    return np.where(inside, -far, far)


def surface_of(points: Floats, facets: Index) -> pv.PolyData:
    """Edges (f, 2) or triangles (f, 3) as pyvista's polygonal data."""
    import pyvista as pv

    cells = np.insert(facets, 0, facets.shape[1], axis=1).ravel()
    return pv.PolyData(points, faces=cells) if facets.shape[1] == 3 else pv.PolyData(points, lines=cells)


def _enclosed(surface: pv.PolyData, targets: Floats) -> NDArray[np.bool_]:
    import pyvista as pv
    from vtkmodules.util.numpy_support import vtk_to_numpy
    from vtkmodules.vtkFiltersModeling import vtkSelectEnclosedPoints

    test = vtkSelectEnclosedPoints()
    test.SetInputData(pv.PolyData(targets))
    test.SetSurfaceData(surface)
    test.SetTolerance(1e-9)
    test.Update()
    found: NDArray[Any] = vtk_to_numpy(test.GetOutput().GetPointData().GetArray("SelectedPoints"))
    return found.astype(bool)


def _nearest(surface: pv.PolyData, targets: Floats) -> Floats:
    from vtkmodules.vtkCommonCore import mutable
    from vtkmodules.vtkCommonDataModel import vtkStaticCellLocator

    locator = vtkStaticCellLocator()
    locator.SetDataSet(surface)
    locator.BuildLocator()
    found = np.empty(len(targets))
    foot, cell, sub, square = [0.0, 0.0, 0.0], mutable(0), mutable(0), mutable(0.0)
    for i, target in enumerate(targets.tolist()):
        locator.FindClosestPoint(target, foot, cell, sub, square)
        found[i] = square
    return np.sqrt(found)
