"""What fieldloom finds by the entry point; apart from ``__init__``, so that the numerics work without fieldloom."""

from __future__ import annotations

from fieldloom import hookimpl


@hookimpl
def register_stages() -> dict[str, str]:
    """Name the stages; their modules are imported on first use."""
    return {
        "dcdm.benchmark": "fieldloom_dcdm.stages.benchmark:Benchmark",
        "dcdm.make-systems": "fieldloom_dcdm.stages.systems:MakeSystems",
        "dcdm.plume": "fieldloom_dcdm.stages.plume:Plume",
        "dcdm.project": "fieldloom_dcdm.stages.project:Project",
        "dcdm.solve": "fieldloom_dcdm.stages.solve:Solve",
        "dcdm.train": "fieldloom_dcdm.stages.train:Train",
    }
