"""Which reader opens which file. Runs in the child process (see `reading`): a crash here costs one read, no more.

A reader takes a path and yields ``(time or None, mesh, notes)``, one per step; notes become warnings.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from .cut import check_legacy, check_netcdf, check_stl, check_xml
from .meshes import Mesh, merge, mesh_from_blocks
from .openfoam import missing_fields, with_all_digits
from .vtk_bridge import mesh_of

Step = tuple[float | None, Mesh, list[str]]
Reader = Callable[[Path], Iterator[Step]]


def steps_of(path: Path) -> Iterator[Step]:
    """Read a file, a case folder or a folder of numbered files, by the reader of its kind."""
    if path.is_dir():
        yield from _openfoam(path) if is_openfoam(path) else _numbered(path)
    else:
        if path.suffix.lower() in _XML:
            check_xml(path)
        yield from READERS[path.suffix.lower()](path)


_XML = frozenset({".vtu", ".vtp", ".vti", ".vts", ".vtr", ".pvtu", ".pvtp", ".pvts", ".vtm", ".pvd", ".xdmf", ".xmf"})


def is_openfoam(folder: Path) -> bool:
    """True for an OpenFOAM case: a mesh in ``constant/polyMesh``, or one per processor."""
    return (folder / "constant/polyMesh").is_dir() or any(folder.glob("processor*/constant/polyMesh"))


def natural(path: Path) -> list[tuple[int, str]]:
    """Sort key where step_2 comes before step_10."""
    pieces = re.split(r"(\d+)", path.name)
    return [(int(piece), "") if piece.isdigit() else (-1, piece) for piece in pieces]


def numbered_files(folder: Path) -> list[Path]:
    """Mesh files of a folder in natural order; a PVD index among them stands for what it lists.

    Raises
    ------
    ValueError
        If it holds none, or several formats.
    """
    files = sorted((p for p in folder.iterdir() if p.suffix.lower() in READERS and p.is_file()), key=natural)
    indexes = [path for path in files if path.suffix.lower() == ".pvd"]
    if len(indexes) == 1:
        return indexes
    kinds = sorted({path.suffix.lower() for path in files})
    if len(kinds) != 1:
        raise ValueError(f"the folder holds {'several formats: ' + ', '.join(kinds) if kinds else 'no mesh files'}")
    return files


def _numbered(folder: Path) -> Iterator[Step]:
    for path in numbered_files(folder):
        yield from _named(path)


def _named(path: Path) -> Iterator[Step]:
    """One file of many: what goes wrong says which."""
    try:
        yield from steps_of(path)
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from error


# --- VTK's own readers -----------------------------------------------------------------------------------------------


def _vtk_xml(name: str) -> Reader:
    def read(path: Path) -> Iterator[Step]:
        from vtkmodules import vtkIOXML

        _check_extents(path)
        reader = getattr(vtkIOXML, name)()
        reader.SetFileName(str(path))
        reader.Update()
        yield from _one(reader.GetOutputDataObject(0))

    return read


def _check_extents(path: Path) -> None:
    """Refuse a grid of which no piece fills a part: VTK leaves that part as memory happened to be."""
    with path.open("rb") as file:
        head = file.read(65536)
    whole = re.findall(rb'WholeExtent="([^"]*)"', head)
    pieces = re.findall(rb'<Piece[^>]*\bExtent="([^"]*)"', head)
    if whole and len(pieces) == 1 and whole[0].split() != pieces[0].split():
        said = f"{pieces[0].decode('ascii', 'replace')} of {whole[0].decode('ascii', 'replace')}"
        raise ValueError(f"its only piece fills the extent {said}")


def _one(data: Any) -> Iterator[Step]:
    mesh, notes = mesh_of(data)
    yield _time_value(data), mesh, notes


def _time_value(data: Any) -> float | None:
    array = data.GetFieldData().GetArray("TimeValue") if data.GetFieldData() else None
    return float(array.GetTuple1(0)) if array and array.GetNumberOfTuples() else None


def _legacy(path: Path) -> Iterator[Step]:
    from vtkmodules.vtkIOLegacy import vtkGenericDataObjectReader

    check_legacy(path)
    reader = vtkGenericDataObjectReader()
    reader.SetFileName(str(path))
    # Without these only the first scalars, the first vectors... are read, silently.
    for kind in ("Scalars", "Vectors", "Normals", "Tensors", "ColorScalars", "TCoords", "Fields"):
        getattr(reader, f"ReadAll{kind}On")()
    reader.Update()
    yield from _one(reader.GetOutputDataObject(0))


def _vtkhdf(path: Path) -> Iterator[Step]:
    from vtkmodules.vtkIOHDF import vtkHDFReader

    reader = vtkHDFReader()
    reader.SetFileName(str(path))
    reader.UpdateInformation()
    times = _times(reader)
    for step, time in enumerate(times or [None]):
        if times:
            reader.SetStep(step)
        reader.Update()
        mesh, notes = mesh_of(reader.GetOutputDataObject(0))
        yield time if times else _time_value(reader.GetOutputDataObject(0)), mesh, notes


def _times(reader: Any) -> list[float]:
    from vtkmodules.vtkCommonExecutionModel import vtkStreamingDemandDrivenPipeline as Pipeline

    info = reader.GetOutputInformation(0)
    return list(info.Get(Pipeline.TIME_STEPS()) or ()) if info.Has(Pipeline.TIME_STEPS()) else []


def _over_time(reader: Any) -> Iterator[Step]:
    times = _times(reader)
    for time in times or [None]:
        if time is None:
            reader.Update()
        else:
            reader.UpdateTimeStep(time)
        yield time, *mesh_of(reader.GetOutputDataObject(0))


def _stl(path: Path) -> Iterator[Step]:
    from vtkmodules.vtkIOGeometry import vtkSTLReader

    check_stl(path)
    reader = vtkSTLReader()
    reader.SetFileName(str(path))
    reader.Update()  # welds points with equal coordinates: an STL file has none shared
    yield from _one(reader.GetOutputDataObject(0))


def _exodus(path: Path) -> Iterator[Step]:
    from vtkmodules.vtkIOExodus import vtkExodusIIReader as Reader

    check_netcdf(path)
    reader = Reader()
    reader.SetFileName(str(path))
    reader.UpdateInformation()
    reader.SetSqueezePoints(False)  # on by default: it drops points that no cell uses
    reader.ApplyDisplacementsOff()  # on by default: it moves the points by a field whose name begins with "disp"
    reader.GenerateObjectIdCellArrayOff()
    for kind in (Reader.NODAL, Reader.ELEM_BLOCK):
        for i in range(reader.GetNumberOfObjectArrays(kind)):
            reader.SetObjectArrayStatus(kind, reader.GetObjectArrayName(kind, i), 1)
    yield from _over_time(reader)


def _cgns(path: Path) -> Iterator[Step]:
    from vtkmodules.vtkIOCGNSReader import vtkCGNSReader

    reader = vtkCGNSReader()
    reader.SetFileName(str(path))
    reader.UpdateInformation()
    reader.EnableAllBases()
    reader.EnableAllFamilies()
    for location in ("Point", "Cell"):
        getattr(reader, f"EnableAll{location}Arrays")()
    yield from _over_time(reader)


def _openfoam(path: Path) -> Iterator[Step]:
    case = path if path.is_dir() else path.parent
    decomposed = any(case.glob("processor*/constant/polyMesh"))
    if decomposed:
        from vtkmodules.vtkIOParallel import vtkPOpenFOAMReader

        reader = vtkPOpenFOAMReader()
        reader.SetCaseType(0)
    else:
        from vtkmodules.vtkIOGeometry import vtkOpenFOAMReader

        reader = vtkOpenFOAMReader()
    reader.SetFileName(str(case / "case.foam"))  # only its folder matters; the file need not exist
    if hasattr(reader, "SetDecomposePolyhedra"):  # gone since VTK 9.6 or so: polyhedra are always kept
        reader.SetDecomposePolyhedra(False)  # we split them ourselves, the same way for every format
    reader.SetCreateCellToPoint(False)  # on by default: it adds interpolated point fields that are not in the case
    reader.SetReadZones(False)
    reader.SetSkipZeroTime(False)
    reader.UpdateInformation()
    reader.DisableAllPatchArrays()
    reader.SetPatchArrayStatus("internalMesh", 1)
    seen: set[str] = set()
    for time, mesh, notes in _over_time(reader):
        if lost := missing_fields(case, time, set(mesh.cell_data), seen):
            raise ValueError(f"the fields {', '.join(lost)} at time {time} could not be read")
        seen |= set(mesh.cell_data)
        exact, rounded = with_all_digits(case, time, mesh)
        yield time, exact, notes + rounded


# --- collections -----------------------------------------------------------------------------------------------------


def _pvd(path: Path) -> Iterator[Step]:
    entries = ElementTree.parse(path).getroot().findall("Collection/DataSet")
    if not entries:
        raise ValueError("the collection lists no files")
    by_time: dict[float, list[Path]] = {}
    for entry in entries:
        by_time.setdefault(float(entry.get("timestep", "0")), []).append(path.parent / entry.attrib["file"])
    for time in sorted(by_time):
        parts = [step for file in by_time[time] for step in _listed(file)]
        mesh, notes = merge([part for _, part, _ in parts])
        if len(parts) > 1:
            notes = [f"{len(parts)} parts were merged: " + ", ".join(p.name for p in by_time[time]), *notes]
        yield time, mesh, [note for _, _, found in parts for note in found] + notes


def _listed(file: Path) -> Iterator[Step]:
    if not file.is_file():
        raise ValueError(f"it lists {str(file)!r}, which does not exist")
    if file.suffix.lower() == ".pvd" or file.suffix.lower() not in READERS:
        raise ValueError(f"it lists {str(file)!r}, which is not a mesh file")
    yield from _named(file)


# --- meshio ----------------------------------------------------------------------------------------------------------


def _meshio(module: str) -> Reader:
    def read(path: Path) -> Iterator[Step]:
        import importlib

        # meshio.read() ends the process (sys.exit) when a reader fails; the reader of one format raises.
        mesh = importlib.import_module(f"meshio.{module}").read(str(path))
        yield None, *from_meshio(mesh)

    return read


def _nastran(path: Path) -> Iterator[Step]:
    import io

    from meshio.nastran._nastran import read_buffer

    text = path.read_text("utf-8", "replace")
    if "BEGIN BULK" not in text.upper():  # a bare bulk section, as Gmsh writes it; meshio insists on the line
        text = f"BEGIN BULK\n{text}"
    yield None, *from_meshio(read_buffer(io.StringIO(text)))


def from_meshio(mesh: Any) -> tuple[Mesh, list[str]]:
    """Our mesh of a meshio mesh, and the names of what has no place in it."""
    from meshio._vtk_common import meshio_to_vtk_type

    unknown = sorted({block.type for block in mesh.cells} - set(meshio_to_vtk_type))
    if unknown:
        raise ValueError(f"it holds cells of type {', '.join(unknown)}, which VTK does not know")
    blocks = [(meshio_to_vtk_type[block.type], np.asarray(block.data)) for block in mesh.cells]
    cell_data = {name: np.concatenate([np.asarray(v) for v in values]) for name, values in mesh.cell_data.items()}
    point_data = {name: np.asarray(values) for name, values in mesh.point_data.items()}
    sets = sorted({*mesh.point_sets, *mesh.cell_sets} - {"gmsh:bounding_entities"})
    notes = [f"the named sets {', '.join(sets)} were left out"] if sets else []
    return mesh_from_blocks(mesh.points, blocks, point_data=point_data, cell_data=cell_data), notes


def _gmsh(path: Path) -> Iterator[Step]:
    with path.open("rb") as file:
        times = _gmsh_times(file.read())
    for time, mesh, notes in _meshio("gmsh")(path):
        if len(times) > 1:
            raise ValueError(f"it holds {len(times)} time steps of one field, of which only the last could be read")
        yield (times[0] if times else time), _without_gmsh_marks(mesh), notes


def _without_gmsh_marks(mesh: Mesh) -> Mesh:
    """Leave out Gmsh's book-keeping of its CAD model where it says nothing; physical groups stay."""
    cell, mark = dict(mesh.cell_data), "gmsh:geometrical"
    if mark in cell and len(np.unique(cell[mark])) == 1:
        del cell[mark]
    return replace(mesh, cell_data=cell, point_data={k: v for k, v in mesh.point_data.items() if k != "gmsh:dim_tags"})


def _gmsh_times(content: bytes) -> list[float]:
    # $NodeData: number of strings, the strings, number of reals, the first real is the time.
    pattern = rb'\$(?:Node|Element)Data\s+\d+\s+(?:"[^"]*"\s+)+?\d+\s+([-+.\deE]+)'
    return sorted({float(found) for found in re.findall(pattern, content)})


# --- small formats, read here ----------------------------------------------------------------------------------------


def _own(module: str) -> Reader:
    def read(path: Path) -> Iterator[Step]:
        import importlib

        for time, mesh in importlib.import_module(f".{module}", __package__).read(path):
            yield time, mesh, []

    return read


#: Extension to reader; the reasons are in docs/meshes.md.
READERS: dict[str, Reader] = {
    ".vtu": _vtk_xml("vtkXMLUnstructuredGridReader"),
    ".vtp": _vtk_xml("vtkXMLPolyDataReader"),
    ".vti": _vtk_xml("vtkXMLImageDataReader"),
    ".vts": _vtk_xml("vtkXMLStructuredGridReader"),
    ".vtr": _vtk_xml("vtkXMLRectilinearGridReader"),
    ".pvtu": _vtk_xml("vtkXMLPUnstructuredGridReader"),
    ".pvtp": _vtk_xml("vtkXMLPPolyDataReader"),
    ".pvts": _vtk_xml("vtkXMLPStructuredGridReader"),
    ".vtm": _vtk_xml("vtkXMLMultiBlockDataReader"),
    ".vtk": _legacy,
    ".vtkhdf": _vtkhdf,
    ".hdf": _vtkhdf,
    ".pvd": _pvd,
    ".stl": _stl,
    ".obj": _own("obj"),
    ".off": _own("off"),
    ".ply": _own("ply"),
    ".xdmf": _own("xdmf"),
    ".xmf": _own("xdmf"),
    ".foam": _openfoam,
    ".openfoam": _openfoam,
    ".e": _exodus,
    ".exo": _exodus,
    ".ex2": _exodus,
    ".cgns": _cgns,
    ".msh": _gmsh,
    ".med": _meshio("med"),
    ".inp": _meshio("abaqus"),
    ".bdf": _nastran,
    ".nas": _nastran,
    ".fem": _nastran,
    ".su2": _meshio("su2"),
    ".mesh": _meshio("medit"),
    ".meshb": _meshio("medit"),
}
