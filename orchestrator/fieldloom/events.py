"""What happens during a run, as values that observers get: the display, the ledger, hooks."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class RunEvent:
    """A run: its id, flow, folder, status (``running``, ``done``, ``failed``, ``cancelled``) and instances."""

    id: str
    flow: str
    folder: Path
    status: str
    store: Path
    instances: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class InstanceEvent:
    """Something about one instance.

    Parameters
    ----------
    kind : {"starting" (the run itself), "started", "progress", "log", "retry", "cached", "done", "failed", "skipped"}
    name : str
        The instance, such as ``wake[reynolds=60]``.
    data : dict
        ``progress``: done, total, message. ``log``: level, message. ``done`` and ``cached``: outputs, seconds,
        stored. ``failed``: error, place. JSON types only.
    """

    kind: str
    name: str
    stage: str
    data: dict[str, Any] = field(default_factory=dict)
