"""Cheap looks at a file before any reader opens it: is it there, empty, or something else than its name says."""

from __future__ import annotations

from pathlib import Path

from .errors import UnreadableMesh

_FOREIGN = {
    b"\x89PNG": "a PNG image", b"\xff\xd8\xff": "a JPEG image", b"GIF8": "a GIF image", b"%PDF": "a PDF document",
    b"PK\x03\x04": "a ZIP archive", b"\x1f\x8b": "a gzip archive", b"7z\xbc\xaf": "a 7z archive",
    b"\x93NUMPY": "a NumPy array", b"\x7fELF": "a program", b"version https://git-lfs": "a Git LFS pointer",
    b"BZh": "a bzip2 archive", b"\xfd7zXZ": "an xz archive",
}  # fmt: skip
_HDF5, _NETCDF = b"\x89HDF\r\n\x1a\n", b"CDF"
_XML = (".vtu", ".vtp", ".vti", ".vts", ".vtr", ".pvtu", ".pvtp", ".pvts", ".vtm", ".pvd", ".xdmf", ".xmf")
_HDF = (".vtkhdf", ".hdf", ".med")
_START = {".vtk": b"# vtk DataFile", ".ply": b"ply", ".msh": b"$"}
_ADVICE = "check that you chose the right file, and that it was copied completely"


def precheck(path: Path) -> None:
    """Raise UnreadableMesh for a path that no reader needs to open."""
    from .sources import READERS, is_openfoam, numbered_files

    if not path.exists():
        near = [p.name for p in path.parent.glob(f"{path.stem}.*")][:5] if path.parent.is_dir() else []
        raise UnreadableMesh(
            path, "it does not exist", f"did you mean {', '.join(near)}?" if near else _ADVICE, "missing"
        )
    if path.is_dir():
        files = [] if is_openfoam(path) else _numbered(path, numbered_files)
    elif path.suffix.lower() not in READERS:
        known = " ".join(sorted(READERS))
        raise UnreadableMesh(
            path, f"{path.suffix or 'a file without extension'} is not known", f"use one of {known}", "format"
        )
    else:
        files = [path]
    for file in files:
        _look_into(file)


def _numbered(path: Path, numbered_files: object) -> list[Path]:
    try:
        return list(numbered_files(path))  # type: ignore[operator]  # passed in: importing it at the top is a cycle
    except ValueError as exc:
        raise UnreadableMesh(path, str(exc), "name one file, or keep one format in the folder", "format") from None


def _look_into(path: Path) -> None:
    kind = path.suffix.lower()
    if kind in (".foam", ".openfoam"):
        return  # an empty marker, by custom
    with path.open("rb") as file:
        start = file.read(1024)
    if not start.strip():
        raise UnreadableMesh(path, "it is empty", _ADVICE, "empty")
    found = _mismatch(kind, start)
    if found:
        raise UnreadableMesh(path, found, _ADVICE, "content")


def _mismatch(kind: str, start: bytes) -> str | None:
    foreign = next((name for magic, name in _FOREIGN.items() if start.startswith(magic)), None)
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    if foreign or text[:15].lower().startswith((b"<!doctype html", b"<html")):
        return f"it is {foreign or 'a web page'}, not a {kind} file"
    if kind in _XML and not text.startswith(b"<"):
        return f"a {kind} file is XML, and this does not begin with '<'"
    if kind in _HDF and not start.startswith(_HDF5):
        return f"a {kind} file is HDF5, and this is not"
    if kind in (".e", ".exo", ".ex2") and not start.startswith((_HDF5, _NETCDF)):
        return f"a {kind} file is netCDF or HDF5, and this is neither"
    if kind in _START and not text.startswith(_START[kind]):
        return f"a {kind} file begins with {_START[kind].decode()!r}, and this does not"
    return None
