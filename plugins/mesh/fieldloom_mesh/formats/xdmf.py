"""XDMF 3: XML that names arrays in an HDF5 file beside it. Static meshes and time series.

Own reader and writer: meshio's writer puts the HDF5 file into the current directory and its static reader refuses time
series; VTK's reader is XDMF 2 and changes numeric types.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.sax.saxutils import quoteattr

import numpy as np

from .meshes import Array, Mesh, mesh_from_blocks, same_topology, three_columns

Element = ElementTree.Element

#: XDMF topology name, XDMF number in a mixed topology, VTK type; only those whose node order is the same in both.
_CELLS = [
    ("polyvertex", 1, 1), ("polyline", 2, 3), ("polygon", 3, 7), ("triangle", 4, 5), ("quadrilateral", 5, 9),
    ("tetrahedron", 6, 10), ("pyramid", 7, 14), ("wedge", 8, 13), ("hexahedron", 9, 12), ("edge_3", 34, 21),
    ("triangle_6", 36, 22), ("quadrilateral_8", 37, 23), ("quadrilateral_9", 35, 28), ("tetrahedron_10", 38, 24),
]  # fmt: skip
_VTK_OF_NAME = {name: kind for name, _, kind in _CELLS} | {"tri": 5, "quad": 9, "tet": 10, "edge": 3, "hex": 12}
_NUMBER_OF_VTK = {kind: number for _, number, kind in _CELLS} | {2: 1, 4: 2}
_NAME_OF_VTK = {kind: name.capitalize() for name, _, kind in _CELLS}
_COUNTED = {1, 2, 3}  # these numbers are followed by a count of nodes in a mixed topology
_NODES = {1: 1, 3: 2, 5: 3, 9: 4, 10: 4, 14: 5, 13: 6, 12: 8, 21: 3, 22: 6, 23: 8, 28: 9, 24: 10}
#: VTK types this module writes.
CELLS = frozenset(_NUMBER_OF_VTK)


# --- reading ---------------------------------------------------------------------------------------------------------


def read(path: Path) -> Iterator[tuple[float | None, Mesh]]:
    """Yield the steps of a file with one uniform grid, or one temporal collection of them."""
    root = ElementTree.parse(path).getroot()
    domain = root.find("Domain")
    grids = [] if domain is None else domain.findall("Grid")
    if not grids:
        raise ValueError("it has no Domain with a Grid")
    temporal = next((grid for grid in grids if _is(grid, "Collection")), None)
    steps = grids[:1] if temporal is None else _steps(temporal)
    mesh = None
    for grid in steps:
        mesh = _mesh(root, path, grid, mesh)
        time = grid.find("Time")
        yield (None if time is None else float(time.attrib["Value"])), mesh


def _is(grid: Element, kind: str) -> bool:
    return grid.get("GridType", "Uniform").lower() == kind.lower()


def _steps(collection: Element) -> list[Element]:
    if collection.get("CollectionType", "Spatial").lower() != "temporal":
        raise ValueError("it holds a spatial collection, which is not supported: write its parts into one grid")
    return collection.findall("Grid")


def _mesh(root: Element, path: Path, grid: Element, before: Mesh | None) -> Mesh:
    if not _is(grid, "Uniform"):
        raise ValueError(f"a grid of type {grid.get('GridType')!r} is not supported inside a collection")
    topology, geometry = _part(root, grid, "Topology"), _part(root, grid, "Geometry")
    if topology is None or geometry is None:
        if before is None:
            raise ValueError("a grid has no Topology or no Geometry")
        mesh = before
    else:
        kind = geometry.get("GeometryType") or geometry.get("Type") or "XYZ"
        if kind.upper() not in ("XYZ", "XY"):
            raise ValueError(f"a geometry of type {kind} is not supported; XYZ and XY are")
        mesh = _cells(topology, _values(root, path, _item(topology)), _values(root, path, _item(geometry)))
    point, cell = _attributes(root, path, grid, len(mesh.points), len(mesh.types))
    return Mesh(mesh.points, mesh.connectivity, mesh.offsets, mesh.types, point, cell)


def _part(root: Element, grid: Element, name: str) -> Element | None:
    found = grid.find(name)
    if found is not None and (found.get("Reference") or not len(found)):
        raise ValueError(f"a {name} by Reference is not supported")
    if found is None and any(child.tag.endswith("include") for child in grid):
        first = next(iter(root.iter("Topology"))), next(iter(root.iter("Geometry")))
        return first[name == "Geometry"]
    return found


def _item(element: Element) -> Element:
    item = element.find("DataItem")
    if item is None:
        raise ValueError(f"a {element.tag} has no DataItem")
    return item


def _values(root: Element, path: Path, item: Element) -> Array:
    if item.get("Reference"):
        raise ValueError("a DataItem by Reference is not supported")
    if item.get("ItemType", "Uniform") != "Uniform":
        raise ValueError(f"a DataItem of type {item.get('ItemType')} is not supported")
    shape = tuple(int(word) for word in item.attrib["Dimensions"].split())
    text, form = (item.text or "").strip(), item.get("Format", "XML").upper()
    values = {"XML": _inline, "HDF": _from_hdf5, "BINARY": _from_binary}[form](item, path, text)
    if values.size != np.prod(shape):
        raise ValueError(f"an array announces {' x '.join(map(str, shape))} values, but holds {values.size}")
    return values.reshape(shape)


def _dtype(item: Element) -> np.dtype[Any]:
    kind = (item.get("NumberType") or item.get("DataType") or "Float").lower()
    size = int(item.get("Precision", "1" if "char" in kind else "4"))
    order = ">" if item.get("Endian", "").lower() == "big" else "<"
    return np.dtype(f"{order}{ {'float': 'f', 'int': 'i', 'uint': 'u', 'char': 'i', 'uchar': 'u'}[kind] }{size}")


def _inline(item: Element, path: Path, text: str) -> Array:
    return np.array(text.split(), dtype=_dtype(item))


def _from_binary(item: Element, path: Path, text: str) -> Array:
    values = np.fromfile(path.parent / text, dtype=_dtype(item), offset=int(item.get("Seek", "0")))
    return values[: int(np.prod([int(word) for word in item.attrib["Dimensions"].split()]))]


def _from_hdf5(item: Element, path: Path, text: str) -> Array:
    import h5py

    name, _, inside = text.partition(":")
    source = path.parent / name
    if not source.is_file():
        raise ValueError(f"its data file {str(source)!r} is missing (an XDMF file travels with its HDF5 file)")
    with h5py.File(source, "r") as file:
        return np.asarray(file[inside])


def _cells(topology: Element, cells: Array, points: Array) -> Mesh:
    name = (topology.get("TopologyType") or topology.get("Type") or "").lower()
    if name == "mixed":
        return _mixed(cells.ravel().astype(np.int64), points)
    if name not in _VTK_OF_NAME:
        raise ValueError(f"a topology of type {name!r} is not supported")
    kind = _VTK_OF_NAME[name]
    nodes = int(topology.get("NodesPerElement", 0)) or (cells.shape[1] if cells.ndim == 2 else _NODES[kind])
    kind = {(3, 1): 1, (3, 2): 3, (3, nodes): 4}.get((kind, nodes), kind)
    return mesh_from_blocks(points, [(kind, cells.reshape(-1, nodes))])


def _mixed(stream: Array, points: Array) -> Mesh:
    kinds, sizes, starts = [], [], []
    vtk = {number: kind for _, number, kind in _CELLS}
    at, values = 0, stream.tolist()
    while at < len(values):
        number = values[at]
        if number not in vtk:
            raise ValueError(f"a mixed topology holds cells of type {number}, which is not supported")
        counted = number in _COUNTED
        size = values[at + 1] if counted else _NODES[vtk[number]]
        starts.append(at + 1 + counted)
        kinds.append({1: 2, 2: 4}.get(number, vtk[number]) if size > number else vtk[number])
        sizes.append(size)
        at = starts[-1] + size
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    within = np.arange(offsets[-1]) - np.repeat(offsets[:-1], sizes)
    nodes = stream[np.repeat(starts, sizes) + within]
    return Mesh(three_columns(np.asarray(points, np.float64)), nodes, offsets, np.array(kinds, np.uint8))


def _attributes(root: Element, path: Path, grid: Element, n: int, m: int) -> tuple[dict[str, Array], dict[str, Array]]:
    data: dict[str, dict[str, Array]] = {"node": {}, "cell": {}}
    for attribute in grid.findall("Attribute"):
        center = attribute.get("Center", "Node").lower()
        if center not in data:
            raise ValueError(f"the field {attribute.get('Name')!r} lies on {center}s; nodes and cells are supported")
        values = _values(root, path, _item(attribute))
        scalar = values.ndim == 1 or (values.shape[1:] == (1,) and attribute.get("AttributeType") == "Scalar")
        data[center][attribute.get("Name", "unnamed")] = values.ravel() if scalar else values.reshape(len(values), -1)
    return data["node"], data["cell"]


# --- writing ---------------------------------------------------------------------------------------------------------


def write(path: Path, steps: Iterable[tuple[float | None, Mesh]]) -> None:
    """Write steps as one temporal collection (one step without time: one grid), arrays in ``<stem>.h5`` beside."""
    import h5py

    grids, before, where = [], None, 0
    with h5py.File(path.with_suffix(".h5"), "w") as file:
        for step, (time, mesh) in enumerate(steps):
            if before is None or not same_topology(before, mesh):
                where = step
                _store(file, f"{where}/points", mesh.points)
                _store(file, f"{where}/cells", _stream(mesh))
            before = mesh
            grids.append((time, _grid(file, path.with_suffix(".h5").name, step, where, time, mesh)))
    text = "\n".join(grid for _, grid in grids)
    if len(grids) > 1 or grids[0][0] is not None:
        text = f'<Grid Name="series" GridType="Collection" CollectionType="Temporal">\n{text}\n</Grid>'
    path.write_text(f'<?xml version="1.0"?>\n<Xdmf Version="3.0">\n<Domain>\n{text}\n</Domain>\n</Xdmf>\n', "utf-8")


def _store(file: Any, name: str, values: Array) -> None:
    file.create_dataset(name, data=values)


def _single(mesh: Mesh) -> int | None:
    """The only cell type; None for a mixed mesh, or for vertices, lines, polygons, which go into a mixed topology."""
    kinds = np.unique(mesh.types)
    return int(kinds[0]) if len(kinds) == 1 and _NUMBER_OF_VTK[int(kinds[0])] not in _COUNTED else None


def _stream(mesh: Mesh) -> Array:
    kind = _single(mesh)
    if kind is not None:
        return mesh.connectivity.reshape(len(mesh.types), -1)
    numbers = np.array([_NUMBER_OF_VTK[int(kind)] for kind in mesh.types])
    counted = np.isin(numbers, list(_COUNTED))
    sizes = np.diff(mesh.offsets)
    before_cells = np.repeat(mesh.offsets[:-1], 1 + counted)
    heads = np.stack([numbers, sizes], axis=1)[np.stack([np.ones_like(counted), counted], axis=1)]
    return np.insert(mesh.connectivity, before_cells, heads)


def _grid(file: Any, source: str, step: int, where: int, time: float | None, mesh: Mesh) -> str:
    kind = _single(mesh)
    name = "Mixed" if kind is None else _NAME_OF_VTK[kind]
    lines = [
        f'<Grid Name="step_{step}" GridType="Uniform">',
        "" if time is None else f'<Time Value="{time!r}"/>',
        f'<Topology TopologyType="{name}" NumberOfElements="{len(mesh.types)}">',
        _data_item(source, f"{where}/cells", file[f"{where}/cells"]) + "</Topology>",
        '<Geometry GeometryType="XYZ">' + _data_item(source, f"{where}/points", mesh.points) + "</Geometry>",
    ]
    for center, fields in (("Node", mesh.point_data), ("Cell", mesh.cell_data)):
        for number, (field, values) in enumerate(fields.items()):
            inside = f"{step}/{center}/{number}"
            _store(file, inside, values)
            kind_of_field = {1: "Scalar", 3: "Vector", 6: "Tensor6", 9: "Tensor"}.get(values[:1].size, "Matrix")
            lines.append(f'<Attribute Name={quoteattr(field)} AttributeType="{kind_of_field}" Center="{center}">')
            lines.append(_data_item(source, inside, values) + "</Attribute>")
    return "\n".join([*filter(None, lines), "</Grid>"])


def _data_item(source: str, inside: str, values: Any) -> str:
    kind = {"f": "Float", "i": "Int", "u": "UInt"}[values.dtype.kind]
    if values.dtype.itemsize == 1:
        kind = {"Int": "Char", "UInt": "UChar"}[kind]
    shape = " ".join(map(str, values.shape))
    head = f'<DataItem Dimensions="{shape}" NumberType="{kind}" Precision="{values.dtype.itemsize}" Format="HDF">'
    return f"{head}{source}:/{inside}</DataItem>"
