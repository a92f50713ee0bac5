"""The reading end of the child process: ``python -m formats.child FILE SCRATCH CPU_SECONDS MEMORY``.

For each step it writes the arrays as .npy and what belongs to them as step.json, says ``step`` on its real standard
output, and waits for a line, so that it is at most one step ahead. It ends with ``end``, or ``failed`` and error.json.
"""

from __future__ import annotations

import json
import os
import re
import resource
import sys
from pathlib import Path
from typing import Any

import numpy as np

from .meshes import Mesh, flaw, same_topology

_LOSS = re.compile("error|unable|unsupported|invalid|unrecognized|premature|mismatch", re.IGNORECASE)


def main() -> None:
    """Read a file step by step, as the parent asks."""
    path, scratch, cpu, memory = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # readers that print must not disturb the channel
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        said = _read(path, scratch, channel, cpu)
    except BaseException as exc:  # SystemExit too: some readers call sys.exit
        _write_json(scratch / "error.json", {"error": type(exc).__name__, "text": str(exc)})
        said = "failed"
    channel.write(said + "\n")
    channel.flush()
    os._exit(0)  # no destructors: VTK objects of a broken file may crash in them


def _read(path: Path, scratch: Path, channel: Any, cpu: int) -> str:
    from .sources import steps_of

    errors = _errors_of_vtk()
    before, steps = None, steps_of(path)
    while True:
        _allow(cpu)
        try:
            step = next(steps, None)
        except ValueError as error:  # what VTK said before comes nearer to the cause
            raise ValueError(_first_error(errors) or str(error)) from error
        if found := _first_error(errors):
            raise ValueError(found)
        if step is None:
            return "end"
        before = _hand_over(scratch, step, before)
        channel.write("step\n")
        channel.flush()
        if not sys.stdin.readline():
            return "end"


def _hand_over(scratch: Path, step: Any, before: Mesh | None) -> Mesh:
    time, mesh, notes = step
    if found := flaw(mesh):
        raise ValueError(found)
    same = before is not None and same_topology(before, mesh)
    names = [] if same else ["points", "connectivity", "offsets", "types"]
    arrays = [getattr(mesh, name) for name in names] + [*mesh.point_data.values(), *mesh.cell_data.values()]
    for i, values in enumerate(arrays):
        np.save(scratch / f"{i}.npy", values, allow_pickle=False)
    head = {"time": time, "same": same, "point": list(mesh.point_data), "cell": list(mesh.cell_data), "notes": notes}
    _write_json(scratch / "step.json", head)
    return mesh


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value), encoding="utf-8")


def _allow(seconds: int) -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(used.ru_utime + used.ru_stime) + seconds + 1
    resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.RLIM_INFINITY))


def _errors_of_vtk() -> Any:
    from vtkmodules.vtkCommonCore import vtkLogger, vtkOutputWindow, vtkStringOutputWindow

    vtkLogger.SetStderrVerbosity(vtkLogger.VERBOSITY_OFF)
    window = vtkStringOutputWindow()
    vtkOutputWindow.SetInstance(window)
    return window


def _first_error(window: Any) -> str | None:
    """VTK's first complaint that means lost data; the legacy reader calls a cut file a "generic warning"."""
    lines = window.GetOutput().splitlines()
    for i, line in enumerate(lines):
        told = " ".join(text.split("): ", 1)[-1] for text in lines[i + 1 : i + 3] if text.strip())
        if line.startswith("ERROR:") or (line.startswith("Generic Warning:") and _LOSS.search(told)):
            return f"VTK says: {told[:300]}"
    return None


if __name__ == "__main__":
    main()
