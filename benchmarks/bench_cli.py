"""The command line: start-up, a cached rerun, planning; and what each imports."""

import tempfile
from pathlib import Path

from measure import CLI, Row, chain, interleaved, tree

HEAVY = ("torch", "vtk", "prefect", "xarray")


def imported(arguments, cwd):
    """Which heavy packages a command imports."""
    program = (
        "import sys\nfrom fieldloom.cli import main\n"
        f"code = main({[str(a) for a in arguments]!r})\n"
        f"sys.stderr.write('IMPORTED ' + ' '.join(m for m in {HEAVY!r} if m in sys.modules))"
    )
    return tree([CLI[0], "-c", program], cwd=cwd).stderr.rpartition("IMPORTED ")[2].split()


def startup():
    """``--help``, ``plugins`` and ``validate`` on 50 stages."""
    with tempfile.TemporaryDirectory() as folder:
        spec = chain(Path(folder, "flow.yaml"), 50)
        commands = {"help": ["--help"], "plugins": ["plugins"], "validate": ["validate", spec]}
        cpu = interleaved(5, **{n: lambda c=c: tree([*CLI, *c], cwd=folder).cpu for n, c in commands.items()})
        heavy = {name: imported(command, folder) for name, command in commands.items() if name != "help"}  # that exits
        for name, seconds in cpu.items():
            found = heavy.get(name, [])
            yield Row(f"`fieldloom {name if name != 'help' else '--help'}`", "≤ 0.5 s, nothing heavy imported",
                      f"{seconds:.2f} s, imported: {', '.join(found) or 'nothing heavy'}", seconds <= 0.5 and not found)  # fmt: skip


def cached():
    """A fully cached 50-stage flow, rerun."""
    with tempfile.TemporaryDirectory() as folder:
        spec = chain(Path(folder, "flow.yaml"), 50)
        first = tree([*CLI, "run", "--quiet", spec], cwd=folder)
        assert first.code == 0, first.stderr
        cpu = interleaved(5, ours=lambda: tree([*CLI, "run", spec], cwd=folder).cpu)["ours"]
        found = [name for name in imported(["run", spec], folder) if name == "prefect"]
        yield Row("rerun of a fully cached 50-stage flow", "≤ 0.4 s, Prefect not imported",
                  f"{cpu:.2f} s, {'Prefect imported' if found else 'Prefect not imported'}", cpu <= 0.4 and not found)  # fmt: skip


def planning():
    """10,000 expanded instances."""
    with tempfile.TemporaryDirectory() as folder:
        spec = Path(folder, "flow.yaml")
        values = ", ".join(map(str, range(5000)))
        spec.write_text(
            f"name: wide\nparams: {{v: [{values}]}}\nstages:\n"
            '  a: {uses: probe.number, matrix: {v: "${v}"}, with: {value: "${matrix.v}"}}\n'
            '  b: {uses: probe.increment, matrix: {v: "${v}"}, inputs: {x: a}}\n'
        )
        cost = interleaved(5, ours=lambda: tree([*CLI, "plan", "--json", spec], cwd=folder).cpu)["ours"]
        yield Row("planning 10,000 expanded instances, whole command", "≤ 2 s", f"{cost:.2f} s", cost <= 2.0)
