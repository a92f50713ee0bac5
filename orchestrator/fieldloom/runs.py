"""Looking at runs: what the ledger knows of them, and their artifacts as xarray data."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fieldloom_storage import Artifact, Store

from .errors import UsageError, did_you_mean
from .registry import Registry

if TYPE_CHECKING:
    import xarray as xr


class Run(Mapping[str, Any]):
    """A finished (or unfinished) run: a mapping of ``step``, ``instance`` or ``instance.port`` to xarray data.

    ``run["wake[reynolds=60].fields"]`` opens lazily; the port may be left out where there is only one.
    """

    def __init__(self, store: Store, run_id: str) -> None:
        found = store.ledger.run(run_id)
        if found is None:
            raise UsageError(f"there is no run {run_id} in {store.root}")
        self.store, self.id, self._row = store, run_id, found

    @property
    def flow(self) -> str:
        return str(self._row["flow"])

    @property
    def status(self) -> str:
        """``running``, ``done``, ``failed``, ``cancelled`` or ``crashed``."""
        return str(self._row["status"])

    @property
    def info(self) -> dict[str, Any]:
        """Spec, parameters, versions, machine."""
        return dict(self._row["info"])

    @property
    def started(self) -> float:
        return float(self._row["started"])

    @property
    def seconds(self) -> float | None:
        """Wall seconds from start to end; None for a run that never ended."""
        return self._row["finished"] - self._row["started"] if self._row["finished"] else None

    @property
    def folder(self) -> Path:
        """Where report, log and files are."""
        return self.store.root / "runs" / self.id

    @cached_property
    def instances(self) -> dict[str, dict[str, Any]]:
        """The ledger's row of each instance, in the order of the plan."""
        rows = self.store.ledger.instances(self.id)
        return {row["name"]: row for row in sorted(rows, key=lambda row: row["info"].get("position", 0))}

    def artifact(self, name: str) -> Artifact:
        """Find the artifact of ``instance`` or ``instance.port``.

        Raises
        ------
        UsageError
            If the run has no such instance or output, or it is not finished.
        """
        instance, port = self._split(name)
        row = self.instances[instance]
        outputs = row["outputs"]
        if not outputs:
            raise UsageError(f"{instance} has no output in run {self.id}: it is {row['status']}")
        if port is None and len(outputs) > 1:
            raise UsageError(f"{instance} has several outputs; write {instance}.<port>: {', '.join(outputs)}")
        if port is not None and port not in outputs:
            raise UsageError(f"{instance} has no output {port!r}; {did_you_mean(port, outputs)}")
        return self.store.artifact(outputs[port] if port else next(iter(outputs.values())))

    def __getitem__(self, name: str) -> xr.Dataset | xr.DataTree:
        return self.store.open(self.artifact(name).digest)

    def read(self, name: str, reader: str, registry: Registry | None = None) -> Any:
        """Open an artifact through a plugin's reader, such as ``"pyvista"``."""
        readers = (registry or Registry()).readers
        if reader not in readers:
            raise UsageError(f"there is no artifact reader {reader!r}; {did_you_mean(reader, readers)}")
        return readers[reader](self[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self.instances)

    def __len__(self) -> int:
        return len(self.instances)

    def __repr__(self) -> str:
        return f"<Run {self.id}: {self.status}, {len(self)} instances>"

    def _split(self, name: str) -> tuple[str, str | None]:
        if name in self.instances:
            return name, None
        instance, _, port = name.rpartition(".")
        if instance in self.instances:
            return instance, port
        raise UsageError(f"run {self.id} has no instance {name!r}; {did_you_mean(name, self.instances)}")


def default_store() -> Path:
    """``FIELDLOOM_STORE``, or ``.fieldloom`` in the working directory."""
    return Path(os.environ.get("FIELDLOOM_STORE") or ".fieldloom")


def open_run(run_id: str = "latest", store: str | os.PathLike[str] | None = None) -> Run:
    """Open a run by its id, a unique beginning of it, ``"latest"``, or ``"latest~1"`` for the one before.

    Raises
    ------
    UsageError
        If no run, or more than one, fits.
    """
    opened = Store(store or default_store(), create=False)
    return find_run(opened, run_id)


def find_run(store: Store, run_id: str) -> Run:
    """Find a run in ``store``; see :func:`open_run`."""
    ids = [row["id"] for row in store.ledger.runs()]
    name, _, back = run_id.partition("~")
    if name == "latest" and (not back or back.isdigit()):
        matches = ids[int(back or 0) :][:1]
    else:
        matches = [run_id] if run_id in ids else [known for known in ids if known.startswith(run_id)]
    if len(matches) == 1:
        return Run(store, matches[0])
    if not ids:
        raise UsageError(f"no flow has been run in {store.root}; `fieldloom run flow.yaml` does")
    if not matches:
        raise UsageError(f"there is no run {run_id!r} in {store.root}; {did_you_mean(run_id, ids)}")
    raise UsageError(f"{run_id!r} fits several runs: {', '.join(matches[:4])}")


def reconcile(store: Store) -> list[str]:
    """Mark runs whose process died as crashed: nobody else will. Returns their ids in Prefect."""
    dead = [row for row in store.ledger.unfinished() if not store.is_leased(f"run-{row['id']}")]
    for row in dead:
        store.ledger.finish_run(row["id"], "crashed", time.time())
    return [row["info"]["prefect_run"] for row in dead if "prefect_run" in row["info"]]
