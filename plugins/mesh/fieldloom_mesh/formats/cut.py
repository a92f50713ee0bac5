"""Find files that end too early where the reader keeps what came before, or fills with zeros, and says nothing."""

from __future__ import annotations

import re
from pathlib import Path

_TYPE = r"(?:bit|(?:unsigned_)?(?:char|short|int|long)|float|double|vtkIdType|vtktypeu?int64)"
_ARRAYS = [
    (re.compile(rf"^\S+ (\d+) (\d+) {_TYPE}\s*$", re.MULTILINE), 1),
    (re.compile(rf"^POINTS (\d+) {_TYPE}\s*$", re.MULTILINE), 3),
    (re.compile(r"^CELL_TYPES (\d+)\s*$", re.MULTILINE), 1),
]
_FIELD = re.compile(r"^FIELD \S+ (\d+)\s*$", re.MULTILINE)


def check_legacy(path: Path) -> None:
    """Refuse an ascii legacy file whose last array or last group of arrays is incomplete."""
    with path.open("rb") as file:
        if b"ASCII" not in file.read(600).split(b"DATASET")[0]:
            return  # VTK itself complains about a cut binary file
    text = path.read_text("latin-1")
    last = max((m.end(), m, k) for pattern, k in _ARRAYS for m in pattern.finditer(text) or ()) if _any(text) else None
    if last:
        wanted = last[2]
        for group in last[1].groups():
            wanted *= int(group)
        found = len(re.split(r"\n[A-Za-z]", text[last[0] :])[0].split())
        if found < wanted:
            raise ValueError(f"it ends inside its last array, after {found} of {wanted} numbers")
    groups = list(_FIELD.finditer(text))
    if groups and len(_ARRAYS[0][0].findall(text, groups[-1].end())) < int(groups[-1][1]):
        raise ValueError(f"it ends before the last of the {groups[-1][1]} arrays that it announces")


def _any(text: str) -> bool:
    return any(pattern.search(text) for pattern, _ in _ARRAYS)


def check_netcdf(path: Path) -> None:
    """Refuse a classic netCDF file with fewer bytes than its header announces: the library fills with zeros."""
    with path.open("rb") as file:
        if file.read(4) not in (b"CDF\x01", b"CDF\x02"):
            return
    from scipy.io import netcdf_file

    try:
        netcdf_file(path, "r", mmap=False).close()
    except Exception as exc:
        raise ValueError(f"it has fewer bytes than its header announces ({exc})") from exc


_XML_ENDS = {b"VTKFile": b"</VTKFile>", b"Xdmf": b"</Xdmf>"}


def check_xml(path: Path) -> None:
    """Refuse a file without its closing tag."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(4096)
        file.seek(-min(4096, size), 2)
        end = file.read()
    for name, tag in _XML_ENDS.items():
        if b"<" + name in start and tag not in end:
            raise ValueError(f"it ends after {size:,} bytes, before {tag.decode()}: it was cut off")


def check_stl(path: Path) -> None:
    """Refuse a text file without its last line, or a binary one that is too short: VTK keeps what is before the cut."""
    with path.open("rb") as file:
        start = file.read(1024)
        file.seek(-min(1024, path.stat().st_size), 2)
        end = file.read()
    if start.lstrip().lower().startswith(b"solid") and b"\0" not in start and b"endsolid" not in end.lower():
        raise ValueError("it ends before 'endsolid', so triangles are missing")
    if b"\0" in start and len(start) >= 84:
        count, there = int.from_bytes(start[80:84], "little"), (path.stat().st_size - 84) // 50
        if there < count:
            raise ValueError(f"it announces {count:,} triangles and holds {there:,}: it was cut off, or is no STL file")
