"""Fieldloom's room of flow solvers."""

from __future__ import annotations

from fieldloom import hookimpl


@hookimpl
def register_stages() -> dict[str, str]:
    """Name the stages; their modules are imported on first use."""
    return {
        "cfd.agreement": "fieldloom_cfd.stages.agreement:Agreement",
        "cfd.continue-smoke": "fieldloom_cfd.stages.continued:ContinueSmoke",
        "cfd.continue-wake": "fieldloom_cfd.stages.continued:ContinueWake",
        "cfd.cylinder-wake": "fieldloom_cfd.stages.wakes:CylinderWake",
        "cfd.dfg-table": "fieldloom_cfd.stages.benchmark:DfgTable",
        "cfd.draw-wakes": "fieldloom_cfd.stages.scenarios:DrawWakes",
        "cfd.measure-buoyancy": "fieldloom_cfd.stages.continued:MeasureBuoyancy",
        "cfd.obstacle-wake": "fieldloom_cfd.stages.wakes:ObstacleWake",
        "cfd.plot-forces": "fieldloom_cfd.stages.wakes:PlotForces",
        "cfd.smoke-plume": "fieldloom_cfd.stages.smoke:SmokePlume",
        "cfd.spectrum": "fieldloom_cfd.stages.derived:Spectrum",
        "cfd.statistics": "fieldloom_cfd.stages.derived:Statistics",
        "cfd.strouhal": "fieldloom_cfd.stages.wakes:StrouhalTable",
        "cfd.vorticity": "fieldloom_cfd.stages.derived:Vorticity",
        "cfd.wake-meshes": "fieldloom_cfd.stages.scenarios:WakeMeshes",
        "cfd.wakes": "fieldloom_cfd.stages.scenarios:Wakes",
    }
