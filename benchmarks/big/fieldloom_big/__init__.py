"""A plugin for the benchmark of large arrays."""

from fieldloom import hookimpl


@hookimpl
def register_stages():
    return {"big.make": "fieldloom_big.stages:Make", "big.add": "fieldloom_big.stages:Add"}
