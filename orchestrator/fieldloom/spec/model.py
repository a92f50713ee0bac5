"""What a flow spec may say. These models are the schema, the validation and the reference page at once."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

NAME = r"^[A-Za-z][A-Za-z0-9_-]*$"
REFERENCE = "A reference: `step`, `step.port`, `step[axis=value].port`, or `step.*` for all instances."
_DURATION = re.compile(r"([0-9.]+)\s*(ms|s|m|min|h|d)")
_SECONDS = {"ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE = re.compile(r"([0-9.]+)\s*([KMGT]i?)?B")
_POWER = {None: 0, "K": 1, "M": 2, "G": 3, "T": 4}


def _seconds(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if match := _DURATION.fullmatch(value.strip()):
        return float(match[1]) * _SECONDS[match[2]]
    raise ValueError("write a duration such as 90, 90s, 10m or 2h")


def _bytes(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if match := _SIZE.fullmatch(value.strip()):
        unit = match[2]
        power = _POWER[unit[0] if unit else None]
        return int(float(match[1]) * (1024 if unit and unit.endswith("i") else 1000) ** power)
    raise ValueError("write a size such as 512MiB or 2GB")


def _schema(pattern: str, example: str) -> WithJsonSchema:
    return WithJsonSchema(
        {"anyOf": [{"type": "number"}, {"type": "string", "pattern": pattern}], "examples": [example]}
    )


Seconds = Annotated[float, BeforeValidator(_seconds), Field(gt=0), _schema(r"^[0-9.]+ *(ms|s|m|min|h|d)$", "10m")]
Bytes = Annotated[int, BeforeValidator(_bytes), Field(gt=0), _schema(r"^[0-9.]+ *([KMGT]i?)?B$", "2GiB")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class ResourcesSpec(_Strict):
    """What an instance may use. Overrides what the stage declares; never part of its key."""

    cpus: int | None = Field(None, ge=1, description="CPU threads that the stage may use.")
    memory: Bytes | None = Field(None, description="Memory cap; the stage then runs in a process of its own.")
    gpu: bool | None = Field(None, description="Whether the stage waits for, and gets, a GPU.")


class StepSpec(_Strict):
    """One step of the flow: a stage, its parameters, and where its inputs come from."""

    uses: str = Field(description="The stage, `<plugin>.<stage>`; `fieldloom stages` lists them.")
    description: str = Field("", description="What the step is for; shown in the report.")
    matrix: dict[str, list[Any]] = Field(
        default_factory=dict, description="Fan-out: one instance for each combination of the axes' values."
    )
    with_: dict[str, Any] = Field(default_factory=dict, alias="with", description="Parameters of the stage.")
    inputs: dict[str, str | list[str]] = Field(
        default_factory=dict, description=f"Input port to reference. {REFERENCE}"
    )
    after: list[str] = Field(default_factory=list, description="Steps to wait for without using their outputs.")
    seed: int | str | None = Field(None, description="Seed of this step; the flow's, if not given.")
    retries: int = Field(0, ge=0, le=100, description="How often to try again after a failure.")
    retry_delay: Seconds = Field(1.0, description="Time between tries (a number is seconds).")
    timeout: Seconds | None = Field(None, description="Time after which the stage is stopped, in C code too.")
    resources: ResourcesSpec = Field(
        default_factory=lambda: ResourcesSpec(cpus=None, memory=None, gpu=None), description="What an instance may use."
    )
    batch: int | None = Field(None, ge=1, description="Instances grouped into one Prefect task.")
    isolate: bool | None = Field(None, description="Run in a process of its own even without timeout or memory cap.")


class FlowSpec(_Strict):
    """A flow: parameters, and the steps that they go into."""

    version: Literal[1] = Field(1, description="Version of the spec language.")
    name: str = Field(pattern=NAME, description="Name of the flow.")
    description: str = Field("", description="What the flow is for; shown in the report.")
    seed: int = Field(0, ge=0, lt=2**63, description="Seed of every stage that draws random numbers.")
    params: dict[str, Any] = Field(
        default_factory=dict, description="Values for `${name}`; `--set name=value` overrides."
    )
    env: list[str] = Field(default_factory=list, description="Environment variables that `${env.NAME}` may read.")
    include: list[str] = Field(default_factory=list, description="Other specs whose params and stages are added.")
    stages: dict[Annotated[str, Field(pattern=NAME)], StepSpec] = Field(min_length=1, description="The steps by name.")
