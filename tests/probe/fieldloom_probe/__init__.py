"""A plugin for tests and benchmarks of the core: small stages that count, sleep, fail, stream."""

from fieldloom import hookimpl


@hookimpl
def register_stages():
    names = (
        "Number",
        "Add",
        "Total",
        "Fail",
        "Sleep",
        "Work",
        "Noise",
        "Checkpointed",
        "Produce",
        "Increment",
        "Grid",
        "Wants",
        "Hungry",
        "Wrong",
        "Team",
    )
    found = {f"probe.{name.lower()}": f"fieldloom_probe.stages:{name}" for name in names}
    return found | {"probe.read-numbers": "fieldloom_probe.stages:ReadNumbers"}
