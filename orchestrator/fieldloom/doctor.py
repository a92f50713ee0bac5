"""Is everything there that runs need? Each answer says what to install."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from .registry import Registry

_PINS = {"prefect": ("3.8", "3.10"), "fastapi": ("0.139", "0.151"), "sqlalchemy": ("2.0", "2.1")}
_RENDER = (
    "import pyvista as pv; p = pv.Plotter(off_screen=True, window_size=(64, 64)); "
    "p.add_mesh(pv.Sphere()); assert p.screenshot(None, return_img=True).std() > 0"
)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at: whether it is well, what was found, and what to do."""

    name: str
    ok: bool
    found: str
    do: str = ""


def examine() -> Iterator[Check]:
    """Look at Python, versions, plugins, the store's folder, rendering."""
    yield Check("python", sys.version_info >= (3, 11), sys.version.split()[0], "install Python 3.11 or newer")
    for name, (low, high) in _PINS.items():
        yield _version(name, low, high)
    for plugin in Registry().plugins:
        yield Check(
            f"plugin {plugin.name}",
            not plugin.problem,
            plugin.problem or plugin.version,
            f"repair or remove {plugin.distribution}; it is set aside, the others work",
        )
    yield from _server()
    yield _store()
    yield _rendering()


def _version(name: str, low: str, high: str) -> Check:
    wanted = f"{name}>={low},<{high}"
    try:
        found = version(name)
    except PackageNotFoundError:
        return Check(name, False, "not installed", f"pip install '{wanted}'")
    return Check(name, _numbers(low) <= _numbers(found) < _numbers(high), found, f"pip install '{wanted}'")


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".") if part.isdigit())


def _server() -> Iterator[Check]:
    """A server of the user's, if one is named, should answer."""
    url = os.environ.get("PREFECT_API_URL")
    if not url:
        return
    try:
        with urllib.request.urlopen(f"{url.rstrip('/')}/health", timeout=5) as answer:
            ok = answer.status == 200
    except (OSError, ValueError):
        ok = False
    yield Check("prefect server", ok, url, "start it, or unset PREFECT_API_URL to use the embedded server")


def _store() -> Check:
    from .runs import default_store

    folder = default_store().absolute()
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    writable = os.access(existing, os.W_OK)
    found = f"{folder}, {free / 1e9:.0f} GB free" + ("" if writable else ", not writable")
    return Check("store", writable and free > 1e9, found, "choose another folder with --store or FIELDLOOM_STORE")


def rendering_problem() -> str:
    """Draw once in a child process: where a GL library is missing, VTK ends with a segmentation fault.

    Returns
    -------
    str
        Empty if drawing works; otherwise why not, and the command that installs what is missing.
    """
    try:
        result = subprocess.run(
            [sys.executable, "-c", _RENDER], capture_output=True, text=True, timeout=180, check=False
        )
    except subprocess.TimeoutExpired:
        return f"off-screen drawing does not answer within 180 s; {_install()}"
    if result.returncode == 0:
        return ""
    lines = result.stderr.strip().splitlines()[-1:]
    why = f"signal {-result.returncode}" if result.returncode < 0 else " ".join(lines)
    return f"off-screen drawing does not work here ({why}); {_install()}"


def _rendering() -> Check:
    try:
        version("pyvista")
    except PackageNotFoundError:
        return Check("rendering", True, "pyvista is not installed, so nothing renders")
    problem = rendering_problem()
    return Check("rendering", not problem, problem.partition(";")[0] or "off-screen drawing works", _install())


def _install() -> str:
    release = Path("/etc/os-release")
    text = release.read_text() if release.exists() else ""
    if "fedora" in text or "rhel" in text:
        return "dnf install -y mesa-libEGL mesa-libGL libXrender"
    return "apt-get install -y --no-install-recommends libegl1 libgl1 libxrender1"
