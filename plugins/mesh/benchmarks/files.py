"""Every format on 64,000 cells: size, seconds to write and read; and how all broken files fare.

Usage: python files.py [--broken]
"""

import collections
import concurrent.futures
import sys
import tempfile
import time
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

import numpy as np
from broken_files import make
from fieldloom_mesh.formats.errors import UnreadableMesh
from fieldloom_mesh.formats.meshes import mesh_from_blocks
from fieldloom_mesh.formats.reading import Limits, read
from fieldloom_mesh.formats.writing import CAPABILITIES, write
from openfoam_case import hex_grid
from sample_meshes import good_files


def speed(folder):
    points, cells = hex_grid((40, 40, 40))
    solid = mesh_from_blocks(points, [(12, cells)], point_data={"p": points[:, 0], "U": points * 2})
    faces = np.concatenate([cells[:, [0, 1, 2]], cells[:, [0, 2, 3]]])[:64_000]
    used, triangles = np.unique(faces, return_inverse=True)
    surface = mesh_from_blocks(points[used], [(5, triangles.reshape(-1, 3))])
    print("| format | cells | MB | write and verify [s] | read [s] |\n|---|---|---|---|---|")
    for kind, able in CAPABILITIES.items():
        mesh, path = (solid if 12 in able.cells else surface), folder / f"a{kind}"
        start = time.perf_counter()
        written = write(path, mesh)
        middle = time.perf_counter()
        list(read(path))
        size = sum(file.stat().st_size for file in written) / 1e6
        took = (middle - start, time.perf_counter() - middle)
        print(f"| {kind} | {len(mesh.types):,} | {size:.1f} | {took[0]:.2f} | {took[1]:.2f} |", flush=True)


def attempt(path):
    start = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            list(read(path, Limits(seconds=20, memory=2 * 2**30)))
        kind = "read"
    except UnreadableMesh as error:
        kind = f"refused: {error.kind}"
    return kind, time.perf_counter() - start


def broken(folder):
    files = make(good_files(folder / "good"), folder / "bad")
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        found = list(pool.map(attempt, files.values()))
    print(f"{len(found)} broken files, slowest {max(seconds for _, seconds in found):.1f} s")
    for kind, count in collections.Counter(kind for kind, _ in found).most_common():
        print(f"  {kind}: {count}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        (broken if "--broken" in sys.argv else speed)(Path(name))
