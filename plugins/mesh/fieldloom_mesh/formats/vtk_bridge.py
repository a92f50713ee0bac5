"""Between VTK's data sets and our mesh; imports only the VTK modules it needs (pyvista costs 0.2 s more)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from .meshes import POLYHEDRON, Array, Mesh, keep_cells, merge, with_polyhedra_split

# VTK's ghost bits: a cell that another piece owns, a hidden (blanked) cell.
_DUPLICATE_OR_HIDDEN = 1 | 32
_GHOST = "vtkGhostType"


def mesh_of(data: Any) -> tuple[Mesh, list[str]]:
    """Turn any VTK data object into one mesh.

    Returns
    -------
    Mesh
    list of str
        What the caller should warn about.
    """
    leaves = [(name, leaf) for name, leaf in leaves_of(data) if leaf.GetNumberOfCells() or leaf.GetNumberOfPoints()]
    if not leaves:
        raise ValueError("it holds no points and no cells")
    pairs = [_mesh_of_leaf(leaf) for _, leaf in leaves]
    mesh, notes = merge([mesh for mesh, _ in pairs])
    if len(leaves) > 1:
        notes.insert(0, f"{len(leaves)} blocks were merged into one mesh: " + ", ".join(name for name, _ in leaves))
    return mesh, [note for _, found in pairs for note in found] + notes


def leaves_of(data: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Name and data set of every non-empty leaf of a (composite) VTK data object."""
    if data is None:
        return
    if data.IsA("vtkDataSet"):
        yield name or "mesh", data
    elif data.IsA("vtkMultiBlockDataSet") or data.IsA("vtkMultiPieceDataSet"):
        count = data.GetNumberOfBlocks() if data.IsA("vtkMultiBlockDataSet") else data.GetNumberOfPieces()
        get = data.GetBlock if data.IsA("vtkMultiBlockDataSet") else data.GetPieceAsDataObject
        for i in range(count):
            yield from leaves_of(get(i), f"{name}/{_block_name(data, i)}".lstrip("/"))
    elif data.IsA("vtkPartitionedDataSetCollection"):
        for i in range(data.GetNumberOfPartitionedDataSets()):
            yield from leaves_of(data.GetPartitionedDataSet(i), f"{name}/{_block_name(data, i)}".lstrip("/"))
    elif data.IsA("vtkPartitionedDataSet"):
        for i in range(data.GetNumberOfPartitions()):
            yield from leaves_of(data.GetPartitionAsDataObject(i), f"{name}/{i}".lstrip("/"))
    else:
        raise ValueError(f"it holds a {data.GetClassName()}, which is not a mesh")


def _block_name(data: Any, i: int) -> str:
    from vtkmodules.vtkCommonDataModel import vtkCompositeDataSet

    known = data.HasMetaData(i) and data.GetMetaData(i).Get(vtkCompositeDataSet.NAME())
    return str(known or i)


def _mesh_of_leaf(leaf: Any) -> tuple[Mesh, list[str]]:
    from vtkmodules.util.numpy_support import vtk_to_numpy

    grid = leaf if leaf.IsA("vtkUnstructuredGrid") else _unstructured(leaf)
    if not grid.GetNumberOfCells():
        raise ValueError("it has points but no cells")
    cells = grid.GetCells()
    cells.ConvertTo64BitStorage()
    point_data, notes_p = _arrays(grid.GetPointData())
    cell_data, notes_c = _arrays(grid.GetCellData())
    mesh = Mesh(
        np.array(vtk_to_numpy(grid.GetPoints().GetData()), dtype=np.float64),
        np.array(vtk_to_numpy(cells.GetConnectivityArray()), dtype=np.int64),
        np.array(vtk_to_numpy(cells.GetOffsetsArray()), dtype=np.int64),
        np.array(vtk_to_numpy(_types_of(grid)), dtype=np.uint8),
        point_data,
        cell_data,
    )
    mesh, notes = _without_polyhedra(mesh, grid)
    mesh = _without_axis_aligned_types(mesh)
    return _without_ghosts(mesh), notes_p + notes_c + notes


def _types_of(grid: Any) -> Any:
    # GetCellTypes(vtkCellTypes) lists the distinct types; the array has one entry per cell.
    return grid.GetCellTypesArray() if hasattr(grid, "GetCellTypesArray") else grid.GetCellTypes()


def _unstructured(leaf: Any) -> Any:
    from vtkmodules.vtkFiltersCore import vtkAppendFilter

    append = vtkAppendFilter()
    append.SetOutputPointsPrecision(1)  # double; merging of points is off by default
    append.AddInputData(leaf)
    append.Update()
    return append.GetOutput()


def _arrays(attributes: Any) -> tuple[dict[str, Array], list[str]]:
    from vtkmodules.util.numpy_support import vtk_to_numpy

    arrays, notes = {}, []
    for i in range(attributes.GetNumberOfArrays()):
        array = attributes.GetAbstractArray(i)
        name = array.GetName() or f"unnamed_{i}"
        if array.IsA("vtkDataArray"):
            arrays[name] = np.array(vtk_to_numpy(array))
        else:
            notes.append(f"field {name!r} was left out: it holds text")
    return arrays, notes


def _without_ghosts(mesh: Mesh) -> Mesh:
    cell_data = {name: values for name, values in mesh.cell_data.items() if name != _GHOST}
    point_data = {name: values for name, values in mesh.point_data.items() if name != _GHOST}
    bare = replace(mesh, cell_data=cell_data, point_data=point_data)
    if _GHOST not in mesh.cell_data:
        return bare
    return keep_cells(bare, (mesh.cell_data[_GHOST].astype(np.uint8) & _DUPLICATE_OR_HIDDEN) == 0)


def _without_axis_aligned_types(mesh: Mesh) -> Mesh:
    """Pixels become quads and voxels hexahedra: the same cells, in the order of nodes that every format knows."""
    kinds, connectivity = mesh.types.copy(), mesh.connectivity.copy()
    for old, new, order in ((8, 9, [0, 1, 3, 2]), (11, 12, [0, 1, 3, 2, 4, 5, 7, 6])):
        starts = mesh.offsets[:-1][mesh.types == old]
        if len(starts):
            slots = starts[:, None] + np.arange(len(order))
            connectivity[slots] = mesh.connectivity[slots][:, order]
            kinds[mesh.types == old] = new
    return replace(mesh, types=kinds, connectivity=connectivity)


def _without_polyhedra(mesh: Mesh, grid: Any) -> tuple[Mesh, list[str]]:
    cells = np.flatnonzero(mesh.types == POLYHEDRON)
    if not len(cells):
        return mesh, []
    split = with_polyhedra_split(mesh, {int(cell): _faces(grid, int(cell)) for cell in cells})
    note = f"{len(cells)} polyhedra were split into {len(split.types) - len(mesh.types) + len(cells)} tetrahedra"
    return split, [note]


def _faces(grid: Any, cell: int) -> list[Array]:
    from vtkmodules.vtkCommonCore import vtkIdList

    stream = vtkIdList()
    grid.GetFaceStream(cell, stream)
    values = [stream.GetId(i) for i in range(stream.GetNumberOfIds())]
    faces, at = [], 1
    for _ in range(values[0]):
        faces.append(np.array(values[at + 1 : at + 1 + values[at]]))
        at += 1 + values[at]
    return faces


def grid_of(mesh: Mesh) -> Any:
    """The vtkUnstructuredGrid of a mesh with its fields."""
    from vtkmodules.vtkCommonDataModel import vtkUnstructuredGrid

    grid = vtkUnstructuredGrid()
    grid.SetPoints(_points(mesh))
    grid.SetCells(_vtk_array(mesh.types), _cells(mesh))
    _add_fields(grid, mesh)
    return grid


def polydata_of(mesh: Mesh) -> Any:
    """The vtkPolyData of a mesh whose cells are all triangles, quads or polygons."""
    from vtkmodules.vtkCommonDataModel import vtkPolyData

    poly = vtkPolyData()
    poly.SetPoints(_points(mesh))
    poly.SetPolys(_cells(mesh))
    _add_fields(poly, mesh)
    return poly


def _cells(mesh: Mesh) -> Any:
    from vtkmodules.util.numpy_support import numpy_to_vtkIdTypeArray
    from vtkmodules.vtkCommonDataModel import vtkCellArray

    cells = vtkCellArray()
    offsets, connectivity = (numpy_to_vtkIdTypeArray(a, deep=True) for a in (mesh.offsets, mesh.connectivity))
    cells.SetData(offsets, connectivity)
    return cells


def _points(mesh: Mesh) -> Any:
    from vtkmodules.vtkCommonCore import vtkPoints

    points = vtkPoints()
    points.SetDataTypeToDouble()
    points.SetData(_vtk_array(mesh.points))
    return points


def _add_fields(data: Any, mesh: Mesh) -> None:
    for attributes, fields in ((data.GetPointData(), mesh.point_data), (data.GetCellData(), mesh.cell_data)):
        for name, values in fields.items():
            array = _vtk_array(values)
            array.SetName(name)
            attributes.AddArray(array)


def _vtk_array(values: Array) -> Any:
    from vtkmodules.util.numpy_support import numpy_to_vtk

    return numpy_to_vtk(np.ascontiguousarray(values), deep=True)
