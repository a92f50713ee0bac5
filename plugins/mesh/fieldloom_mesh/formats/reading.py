"""Read any mesh file, in a child process: VTK's readers print, crash, hang or eat memory on a broken file."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time as clock
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .errors import MeshFileWarning, UnreadableMesh
from .meshes import Array, Mesh
from .prechecks import precheck

_AGAIN = "export it again from the program that made it"
_TOPOLOGY = ("points", "connectivity", "offsets", "types")


@dataclass(frozen=True, slots=True)
class Limits:
    """What one read may use, per time step (memory: in all)."""

    seconds: float = 300.0
    memory: int = 0  # bytes; 0: the machine's memory

    @property
    def bytes(self) -> int:
        """Address space for the child."""
        # below 1 GiB VTK itself does not load
        return (
            max(self.memory, 2**30)
            if self.memory
            else max(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), 2**32)
        )


def read(path: str | Path, limits: Limits = Limits()) -> Iterator[tuple[float | None, Mesh]]:
    """Read a mesh file, a case or a folder of numbered files, one step at a time.

    Parameters
    ----------
    path : str or Path
        See ``sources.READERS`` for the extensions; an OpenFOAM case folder; a folder of numbered files of one format.
    limits : Limits, optional
        Time and memory of the child process.

    Yields
    ------
    tuple of float or None and Mesh
        Time and mesh. Consecutive steps with equal points and cells share those arrays.

    Raises
    ------
    UnreadableMesh
        With the reason, and what to do.
    """
    path = Path(path).absolute()
    precheck(path)
    with tempfile.TemporaryDirectory(prefix="mesh-") as folder:
        yield from _steps(path, Path(folder), limits)


def _steps(path: Path, scratch: Path, limits: Limits) -> Iterator[tuple[float | None, Mesh]]:
    with (scratch / "stderr").open("wb") as stderr, _child(path, scratch, limits, stderr) as child:
        mesh = None
        try:
            while (said := _next_line(child, limits.seconds)) == "step":
                head = json.loads((scratch / "step.json").read_text("utf-8"))
                mesh = _mesh(scratch, head, mesh)
                for note in head["notes"]:
                    warnings.warn(f"{path.name}: {note}", MeshFileWarning, stacklevel=4)
                yield head["time"], mesh
                _ask_for_more(child)
        finally:
            child.kill()
        if said != "end":
            raise _failure(path, scratch, said, child.wait(), limits)
        if mesh is None:
            raise UnreadableMesh(path, "it holds no mesh", _AGAIN, "invalid")


def _child(path: Path, scratch: Path, limits: Limits, stderr: Any) -> subprocess.Popen[bytes]:
    arguments = [str(path), str(scratch), str(int(limits.seconds) + 1), str(limits.bytes)]
    here = Path(__file__).parent
    search = os.pathsep.join(filter(None, [str(here.parent), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": search, "HDF5_USE_FILE_LOCKING": "FALSE"}
    return subprocess.Popen(
        [sys.executable, "-m", f"{here.name}.child", *arguments],  # by folder: fieldloom need not be imported
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, env=environment, bufsize=0,
    )  # fmt: skip


def _next_line(child: subprocess.Popen[bytes], seconds: float) -> str:
    """The child's next line; '' if it died, 'timeout' if it said nothing in time."""
    assert child.stdout is not None
    deadline = clock.monotonic() + seconds
    line = b""
    while not line.endswith(b"\n"):
        if not select.select([child.stdout], [], [], max(deadline - clock.monotonic(), 0))[0]:
            return "timeout"
        piece = child.stdout.read(64)
        if not piece:
            child.wait()
            return ""
        line += piece
    return line.decode().strip()


def _ask_for_more(child: subprocess.Popen[bytes]) -> None:
    assert child.stdin is not None
    with contextlib.suppress(BrokenPipeError):  # it died between two steps: the next line says so
        child.stdin.write(b"\n")


def _mesh(scratch: Path, head: dict[str, Any], before: Mesh | None) -> Mesh:
    names = [] if head["same"] else list(_TOPOLOGY)
    arrays = [np.load(scratch / f"{i}.npy") for i in range(len(names) + len(head["point"]) + len(head["cell"]))]
    topology = dict(zip(names, arrays, strict=False)) or {name: getattr(before, name) for name in _TOPOLOGY}
    fields = arrays[len(names) :]
    point = dict(zip(head["point"], fields, strict=False))
    return Mesh(**topology, point_data=point, cell_data=_rest(head["cell"], fields[len(point) :]))


def _rest(names: list[str], values: list[Array]) -> dict[str, Array]:
    return dict(zip(names, values, strict=True))


def _failure(path: Path, scratch: Path, said: str, code: int, limits: Limits) -> UnreadableMesh:
    if said == "timeout" or -code in (signal.SIGXCPU,):
        return UnreadableMesh(
            path, f"reading took more than {limits.seconds:g} s", "raise the limit, or check the file", "timeout"
        )
    if said == "failed":
        error = json.loads((scratch / "error.json").read_text("utf-8"))
        if error["error"] == "MemoryError":
            return _too_large(path, limits)
        return UnreadableMesh(path, error["text"] or f"the reader stopped with {error['error']}", _AGAIN, "reader")
    tail = (scratch / "stderr").read_bytes()[-2000:].decode("utf-8", "replace").strip()
    if "bad_alloc" in tail or "Unable to allocate" in tail or "out of memory" in tail.lower():
        return _too_large(path, limits)
    name = signal.Signals(-code).name if code < 0 else f"exit status {code}"
    return UnreadableMesh(path, f"its reader crashed ({name}), as it does on damaged files", _AGAIN, "crash")


def _too_large(path: Path, limits: Limits) -> UnreadableMesh:
    reason = f"its header asks for more than {limits.bytes / 2**30:.1f} GiB of memory"
    return UnreadableMesh(path, reason, f"{_AGAIN}, or raise the memory limit", "memory")
