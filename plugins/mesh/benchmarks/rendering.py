"""Drawing 64,000 triangles: seconds for each frame after the first."""

import itertools
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from fieldloom_mesh.rendering import Panel, View, draw
from sample_meshes import triangles

if __name__ == "__main__":
    data, stamps = triangles(frames=11, n=179), [time.perf_counter()]
    cpu = time.process_time()
    view = View((Panel("temperature", "viridis", (-1.0, 1.0)),), (960, 720))
    draw(data, view, range(11), lambda n: stamps.append(time.perf_counter()))
    later = sorted(b - a for a, b in itertools.pairwise(stamps))[:-1]
    per_frame = (time.process_time() - cpu) / 11
    print(
        f"{data.sizes['cell']} cells, 960 x 720, first picture excluded: median {later[len(later) // 2]:.2f} s a frame,"
    )
    print(f"slowest {later[-1]:.2f} s; {per_frame:.2f} CPU s a frame, first included")
