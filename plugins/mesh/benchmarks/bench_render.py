"""Drawing 64,000 triangles: seconds for each frame after the first."""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import itertools

from fieldloom_mesh.rendering import View, draw
from test_mesh import mesh

if __name__ == "__main__":
    data, stamps = mesh(frames=11, n=179), [time.perf_counter()]
    draw(
        data,
        View("temperature", "viridis", (-1, 1), (960, 720)),
        range(11),
        lambda n: stamps.append(time.perf_counter()),
    )
    later = [b - a for a, b in itertools.pairwise(stamps)]
    print(f"{data.sizes['cell']} cells: {sum(later) / len(later):.2f} s a frame")
