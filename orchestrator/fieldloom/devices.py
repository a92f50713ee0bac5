"""Which accelerators there are, found without importing torch."""

from __future__ import annotations

import os
from pathlib import Path

from .stage import Stage


def gpu_count() -> int:
    """How many GPUs ``CUDA_VISIBLE_DEVICES``, or else the driver's device files, show."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([part for part in visible.split(",") if part.strip() not in ("", "-1")])
    return len(list(Path("/dev").glob("nvidia[0-9]*")))


def device_class(stage: type[Stage]) -> str:
    """The kind of device on which ``stage`` will compute here: ``cpu`` or ``cuda``."""
    return "cuda" if stage.resources.gpu != "no" and gpu_count() else "cpu"
