"""Files that stages made (pictures, meshes in exchange formats): kept as artifacts, shown and handed out here.

An artifact of files is a Dataset whose variables are bytes (``uint8``), each with ``filename`` and
``media_type``; ``caption`` is optional. :func:`file_variable` and :func:`png_files` make them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import UsageError

if TYPE_CHECKING:
    import xarray as xr

    from .runs import Run


@dataclass(frozen=True, slots=True)
class File:
    """One file of an instance."""

    instance: str
    port: str
    filename: str
    media_type: str
    caption: str
    data: bytes

    @property
    def is_picture(self) -> bool:
        return self.media_type.startswith("image/")


def file_variable(data: bytes, filename: str, media_type: str, caption: str = "") -> xr.Variable:
    """Make the variable that holds a file, along the dimension ``<filename>_bytes``."""
    import numpy as np
    import xarray as xr

    attrs = {"filename": filename, "media_type": media_type} | ({"caption": caption} if caption else {})
    return xr.Variable((f"{filename}_bytes",), np.frombuffer(data, np.uint8), attrs)


def png_files(**drawn: tuple[bytes, str]) -> xr.Dataset:
    """Make an artifact of pictures out of PNGs and their captions, ``<name>.png`` each."""
    import xarray as xr

    return xr.Dataset({n: file_variable(data, f"{n}.png", "image/png", text) for n, (data, text) in drawn.items()})


def files_of(run: Run, instance: str) -> Iterator[File]:
    """List the files among the outputs of one instance."""
    row = run.instances[instance]
    for port, digest in row["outputs"].items():
        data = run.store.open(digest)
        for variable in getattr(data, "data_vars", {}).values():
            attrs = variable.attrs
            if "filename" in attrs and "media_type" in attrs and variable.dtype == "uint8":
                yield File(
                    instance,
                    port,
                    Path(attrs["filename"]).name,
                    attrs["media_type"],
                    attrs.get("caption", ""),
                    variable.to_numpy().tobytes(),
                )


def pictures(run: Run) -> Iterator[File]:
    """List the pictures of a run."""
    for instance in run:
        yield from (file for file in files_of(run, instance) if file.is_picture)


def export(run: Run, instance: str, folder: Path) -> list[Path]:
    """Write the files of an instance into ``folder``.

    Raises
    ------
    UsageError
        If it made no files.
    """
    written = []
    for file in files_of(run, instance):
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / file.filename
        path.write_bytes(file.data)
        written.append(path)
    if not written:
        raise UsageError(f"{instance} made no files; its artifacts open with xarray, see `fieldloom show`")
    return written
