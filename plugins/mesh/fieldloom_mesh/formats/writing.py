"""Write meshes, refusing by name what a format would lose, and reading each file back before it counts as written."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from xml.sax.saxutils import quoteattr

import numpy as np

from . import gmsh, obj, off, ply, vtkhdf, xdmf
from .errors import UnwritableMesh
from .meshes import NODES_OF_TYPE, Array, Mesh, flaw, keep_cells, name_of

Steps = list[tuple[float | None, Mesh]]
_FACES = frozenset({5, 9, 7})
_ALL = frozenset({*NODES_OF_TYPE, 2, 4, 6, 7} - {0, 8, 11})
_NUMBERS = frozenset(["f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"])
_FLOATS = frozenset({"f4", "f8"})


@dataclass(frozen=True, slots=True)
class Capability:
    """What a format keeps, exactly.

    Attributes
    ----------
    name : str
    cells : frozenset of int
        VTK cell types.
    data : frozenset of str
        Field types, as NumPy writes them ("f8"); empty: no fields.
    components : frozenset of int or None
        Allowed numbers of components; None: any.
    time : bool
        Several steps, with their times.
    points : str
        "f8", or "f4" when coordinates are rounded to 32 bits.
    welds : bool
        The file lists corners, not points: points that no cell uses are lost, equal points become one.
    widens : bool
        32-bit floats come back as 64-bit floats of equal value.
    forbidden, reserved, unicode : str, frozenset of str, bool
        Letters that a field name must not have; names that it must not be; whether it may go beyond ASCII.
    """

    name: str
    cells: frozenset[int]
    data: frozenset[str] = _NUMBERS
    components: frozenset[int] | None = None
    time: bool = False
    points: str = "f8"
    welds: bool = False
    widens: bool = False
    forbidden: str = "\0\r\n"
    reserved: frozenset[str] = frozenset({"vtkGhostType"})
    unicode: bool = True


CAPABILITIES: dict[str, Capability] = {
    ".vtu": Capability("VTU", _ALL),
    ".pvd": Capability("PVD", _ALL, time=True),
    ".vtk": Capability("legacy VTK", _ALL),
    ".vtp": Capability("VTP", _FACES),
    ".vtkhdf": Capability("VTKHDF", _ALL, time=True, forbidden="/.\0"),
    ".xdmf": Capability("XDMF", xdmf.CELLS, time=True),
    ".msh": Capability("Gmsh", gmsh.CELLS, _FLOATS, frozenset({1, 3, 9}), widens=True, forbidden='"\r\n\0'),
    ".ply": Capability(
        "PLY",
        _FACES,
        _NUMBERS - {"i8", "u8"},
        frozenset({1}),
        forbidden=" \t\r\n\0",
        reserved=frozenset("xyz"),
        unicode=False,
    ),
    ".stl": Capability("STL", frozenset({5}), frozenset(), points="f4", welds=True),
    ".obj": Capability("OBJ", _FACES, frozenset()),
    ".off": Capability("OFF", _FACES, frozenset()),
}


def write(
    path: str | Path,
    data: Mesh | Iterable[tuple[float | None, Mesh]],
    drop: Collection[str] = (),
    allow_loss: bool = False,
) -> list[Path]:
    """Write a mesh or a series, all or nothing.

    Parameters
    ----------
    path : str or Path
        Its extension chooses the format.
    data : Mesh or iterable of (time, Mesh)
    drop : collection of str, optional
        Fields to leave out.
    allow_loss : bool, optional
        Leave out every field and cell that the format cannot keep.

    Returns
    -------
    list of Path
        The file and those that belong to it.

    Raises
    ------
    UnwritableMesh
        If the format would lose something, or the file does not read back as it was; nothing is left behind.
    """
    path = Path(path).absolute()
    if path.suffix.lower() not in CAPABILITIES:
        raise UnwritableMesh(f"cannot write {path.suffix!r}; formats: {' '.join(CAPABILITIES)}")
    kind = path.suffix.lower()
    steps = [(time, _without(mesh, drop)) for time, mesh in ([(None, data)] if isinstance(data, Mesh) else data)]
    steps = [(time, _reduced(mesh, CAPABILITIES[kind])) for time, mesh in steps] if allow_loss else steps
    if lost := losses(kind, steps):
        raise UnwritableMesh(_refusal(CAPABILITIES[kind], lost))
    with tempfile.TemporaryDirectory(prefix=".mesh-", dir=path.parent) as folder:
        _WRITERS[kind](Path(folder) / path.name, steps)
        if found := difference(Path(folder) / path.name, steps):
            raise UnwritableMesh(f"{path.name} was not written: read back, {found}")
        names = sorted((file.name for file in Path(folder).iterdir()), key=lambda name: name == path.name)
        for name in names:  # the file that names the others comes last
            os.replace(Path(folder) / name, path.parent / name)
    return [path.parent / name for name in reversed(names)]


def losses(kind: str, steps: Steps) -> list[str]:
    """What a format would lose, one phrase each; empty if it keeps everything."""
    able = CAPABILITIES[kind]
    found = [] if steps else ["there is no mesh"]
    if len(steps) > 1 and not able.time:
        found.append(f"{len(steps) - 1} of {len(steps)} time steps")
    for _, mesh in steps:
        found += [*_lost_cells(mesh, able), *_lost_fields(mesh, able), *_odd_names(mesh, able)]
        found += [*_lost_points(mesh, able), *filter(None, [flaw(mesh)])]
    return list(dict.fromkeys(found))


def _lost_cells(mesh: Mesh, able: Capability) -> Iterator[str]:
    kinds, counts = np.unique(mesh.types, return_counts=True)
    for kind, count in zip(kinds.tolist(), counts.tolist(), strict=True):
        if kind not in able.cells:
            yield f"{count} cells of type {name_of(kind)}"
        elif kind == 7 and able.cells == _FACES and (np.diff(mesh.offsets)[mesh.types == 7] < 5).any():
            yield "that a triangle or quad is called a polygon"


def _lost_fields(mesh: Mesh, able: Capability) -> Iterator[str]:
    for where, fields in (("point", mesh.point_data), ("cell", mesh.cell_data)):
        for name, values in fields.items():
            if not _kept(values, able):
                yield f"the {where} field {name!r} ({values.dtype}, {_components(values)} component(s))"


def _kept(values: Array, able: Capability) -> bool:
    fits = able.components is None or _components(values) in able.components
    return fits and values.ndim <= 2 and values.dtype.str[1:] in able.data


def _components(values: Array) -> int:
    return int(np.prod(values.shape[1:], dtype=int))


def _odd(name: str, able: Capability) -> bool:
    return (
        not name
        or name in able.reserved
        or any(c in name for c in able.forbidden)
        or not (able.unicode or name.isascii())
    )


def _odd_names(mesh: Mesh, able: Capability) -> Iterator[str]:
    yield from (f"the name {name!r}" for name in {**mesh.point_data, **mesh.cell_data} if _odd(name, able))


def _lost_points(mesh: Mesh, able: Capability) -> Iterator[str]:
    if able.points == "f4" and not np.isfinite(mesh.points.astype(np.float32)).all():
        yield "coordinates beyond 32-bit floats"
    if able.welds and _collapsed(mesh):
        yield f"{_collapsed(mesh)} triangles that have no area in 32 bits"


def _collapsed(mesh: Mesh) -> int:
    if not (mesh.types == 5).all():
        return 0
    a, b, c = (mesh.points.astype(np.float32)[mesh.connectivity[i::3]] for i in range(3))
    return int(((a == b).all(1) | (b == c).all(1) | (a == c).all(1)).sum())


def _refusal(able: Capability, lost: list[str]) -> str:
    return f"{able.name} cannot keep: {'; '.join(lost)}. Write .vtkhdf or .vtu, or say allow_loss: true to leave it out"


def _without(mesh: Mesh, drop: Collection[str]) -> Mesh:
    point, cell = ({k: v for k, v in fields.items() if k not in drop} for fields in (mesh.point_data, mesh.cell_data))
    return replace(mesh, point_data=point, cell_data=cell)


def _reduced(mesh: Mesh, able: Capability) -> Mesh:
    point, cell = (
        {k: v for k, v in f.items() if _kept(v, able) and not _odd(k, able)} for f in (mesh.point_data, mesh.cell_data)
    )
    return keep_cells(replace(mesh, point_data=point, cell_data=cell), np.isin(mesh.types, list(able.cells)))


# --- reading back ----------------------------------------------------------------------------------------------------


def difference(path: Path, steps: Steps) -> str | None:
    """Read a file and say how it differs from what was to be written; None if it does not."""
    from .reading import read

    able, count = CAPABILITIES[path.suffix.lower()], 0
    for count, (time, mesh) in enumerate(read(path), 1):
        if count > len(steps):
            return "it has too many time steps"
        wanted_time, wanted = steps[count - 1]
        if able.time and wanted_time is not None and time != wanted_time:
            return f"step {count} has time {time} instead of {wanted_time}"
        if found := _mesh_difference(wanted, mesh, able):
            return f"step {count}: {found}"
    return None if count == len(steps) else f"it has {count} of {len(steps)} time steps"


def _mesh_difference(wanted: Mesh, found: Mesh, able: Capability) -> str | None:
    if able.welds:
        a, b = (mesh.points[mesh.connectivity].astype(np.float32) for mesh in (wanted, found))
        return None if np.array_equal(a, b) else "its triangles differ"
    for name in ("points", "connectivity", "offsets", "types"):
        if not np.array_equal(getattr(wanted, name), getattr(found, name)):
            return f"its {name} differ"
    pairs = (("point", wanted.point_data, found.point_data), ("cell", wanted.cell_data, found.cell_data))
    for where, a_fields, b_fields in pairs:
        if set(a_fields) != set(b_fields):
            return f"its {where} fields are {sorted(b_fields)} instead of {sorted(a_fields)}"
        for name, a in a_fields.items():
            if not _equal(a, b_fields[name], able.widens):
                b = b_fields[name]
                return f"the {where} field {name!r} differs ({a.dtype} {a.shape}, {b.dtype} {b.shape})"
    return None


def _equal(a: Array, b: Array, widens: bool) -> bool:
    same_type = a.dtype.newbyteorder("=") == b.dtype.newbyteorder("=") or (widens and b.dtype == np.float64)
    return same_type and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")


# --- writers ---------------------------------------------------------------------------------------------------------


def _xml(kind: str, path: Path, steps: Steps) -> None:
    from vtkmodules import vtkIOXML

    from .vtk_bridge import grid_of, polydata_of

    writer = getattr(vtkIOXML, kind)()
    writer.SetFileName(str(path))
    writer.SetInputData(grid_of(steps[0][1]) if "Unstructured" in kind else polydata_of(steps[0][1]))
    writer.SetDataModeToAppended()
    writer.EncodeAppendedDataOff()
    writer.SetCompressorTypeToZLib()
    writer.SetCompressionLevel(1)
    writer.SetHeaderTypeToUInt64()
    if not writer.Write():
        raise UnwritableMesh(f"VTK could not write {path.name}")


def _legacy(path: Path, steps: Steps) -> None:
    from vtkmodules.vtkIOLegacy import vtkUnstructuredGridWriter

    from .vtk_bridge import grid_of

    writer = vtkUnstructuredGridWriter()
    writer.SetFileName(str(path))
    writer.SetInputData(grid_of(steps[0][1]))
    writer.SetFileTypeToBinary()
    if not writer.Write():
        raise UnwritableMesh(f"VTK could not write {path.name}")


def _stl(path: Path, steps: Steps) -> None:
    mesh = steps[0][1]
    corners = mesh.points[mesh.connectivity].reshape(-1, 3, 3)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    rows = np.zeros(len(corners), dtype=[("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
    rows["normal"] = np.divide(normals, lengths, out=np.zeros_like(normals), where=lengths > 0)
    rows["corners"] = corners
    header = b"binary STL, one solid".ljust(80)
    path.write_bytes(header + np.array(len(rows), "<u4").tobytes() + rows.tobytes())


def _pvd(path: Path, steps: Steps) -> None:
    digits = max(len(str(len(steps) - 1)), 4)
    lines = []
    for i, (time, mesh) in enumerate(steps):
        file = path.with_name(f"{path.stem}_{i:0{digits}d}.vtu")
        _xml("vtkXMLUnstructuredGridWriter", file, [(time, mesh)])
        moment = float(i) if time is None else time
        lines.append(f'    <DataSet timestep="{moment!r}" part="0" file={quoteattr(file.name)}/>\n')
    head = (
        '<?xml version="1.0"?>\n<VTKFile type="Collection" version="0.1" byte_order="LittleEndian">\n  <Collection>\n'
    )
    path.write_text(head + "".join(lines) + "  </Collection>\n</VTKFile>\n", encoding="utf-8")


def _first(function: Callable[[Path, Mesh], None], path: Path, steps: Steps) -> None:
    function(path, steps[0][1])


_WRITERS: dict[str, Callable[[Path, Steps], None]] = {
    ".vtu": partial(_xml, "vtkXMLUnstructuredGridWriter"),
    ".vtp": partial(_xml, "vtkXMLPolyDataWriter"),
    ".pvd": _pvd,
    ".vtk": _legacy,
    ".vtkhdf": vtkhdf.write,
    ".xdmf": xdmf.write,
    ".msh": lambda path, steps: gmsh.write(path, steps[0][1], steps[0][0]),
    ".ply": partial(_first, ply.write),
    ".stl": _stl,
    ".obj": partial(_first, obj.write),
    ".off": partial(_first, off.write),
}
