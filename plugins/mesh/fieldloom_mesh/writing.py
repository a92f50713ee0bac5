"""Mesh time series in exchange formats."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .grids import field_at, fields_of, grid_of

if TYPE_CHECKING:
    import xarray as xr


def write_vtu_series(dataset: xr.Dataset, frames: list[int], stem: str, scratch: Path) -> Iterator[tuple[str, bytes]]:
    """Write frames as VTU files (binary, compressed) and the PVD file that lists them with their times.

    Vectors with two components get a third, zero, as ParaView expects.

    Yields
    ------
    tuple of str and bytes
        File name and content.
    """
    grid = grid_of(dataset)
    entries = []
    for count, frame in enumerate(frames):
        for name in fields_of(dataset):
            values = field_at(dataset, name, frame)
            if values.ndim == 2 and values.shape[1] == 2:
                values = np.pad(values, ((0, 0), (0, 1)))
            (grid.point_data if "node" in dataset[name].dims else grid.cell_data)[name] = values
        path = scratch / f"{stem}_{count:04d}.vtu"
        grid.save(path, binary=True)
        time = float(dataset["time"][frame]) if "time" in dataset.coords else float(count)
        entries.append(f'    <DataSet timestep="{time:.9g}" part="0" file="{path.name}"/>')
        yield path.name, path.read_bytes()
        path.unlink()
    yield f"{stem}.pvd", _pvd(entries).encode()


def _pvd(entries: list[str]) -> str:
    head = (
        '<?xml version="1.0"?>\n<VTKFile type="Collection" version="0.1" byte_order="LittleEndian">\n  <Collection>\n'
    )
    return head + "\n".join(entries) + "\n  </Collection>\n</VTKFile>\n"
