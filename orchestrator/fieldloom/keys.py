"""The action key: same key, same work.

Not in it: names of steps and flows, paths, retries, resources, thread counts, fieldloom's own version.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from fieldloom_storage import canonical

from . import codeprint
from .stage import Stage

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class StageCode:
    """What of a stage's key does not depend on the instance."""

    stage_id: str
    cache_version: int
    functions: dict[str, str]
    code: str
    versions: dict[str, str]
    random: bool
    device: str | None = None


@dataclass(frozen=True, slots=True)
class Components:
    """What a key is made of, kept with every instance so that ``plan`` can say why something must run.

    ``files`` are the digests of files outside the store, by name.
    """

    code: StageCode
    params: dict[str, Any]
    seed: int | None
    inputs: dict[str, Any] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The action key."""
        return canonical.digest(
            ({"files": self.files} if self.files else {})
            | {
                "schema": SCHEMA,
                "stage": self.code.stage_id,
                "cache_version": self.code.cache_version,
                "code": self.code.code,
                "versions": self.code.versions,
                "device": self.code.device,
                "params": self.params,
                "seed": self.seed,
                "inputs": self.inputs,
            }
        )


def stage_code(stage_id: str, target: str, stage: type[Stage], device: str = "cpu") -> StageCode:
    """Fingerprint a stage: its code closure and the versions of what affects it."""
    functions = codeprint.closure(target)
    return StageCode(
        stage_id,
        stage.cache_version,
        functions,
        codeprint.digest(functions),
        {name: _version(name) for name in stage.affects},
        stage.random,
        device if stage.device_matters else None,
    )


@cache
def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "not installed"


def input_component(digests: list[tuple[Mapping[str, Any], str]], many: bool) -> Any:
    """What of an input enters the key: the digest, or for a collection each one with its coordinates."""
    return [[dict(coords), digest] for coords, digest in digests] if many else digests[0][1]


def differences(now: Components, before: Mapping[str, Any], functions_before: Mapping[str, str]) -> list[str]:
    """Say in words what changed since ``before``, an instance's ``info`` from the ledger.

    Returns
    -------
    list of str
        Such as ``params.duration 6.0 -> 8.0`` or ``code fieldloom_cfd.mesh:channel changed``.
    """
    changes = [*_changed("params", before.get("params", {}), now.params)]
    if before.get("seed") != now.seed:
        changes.append(f"seed {before.get('seed')} -> {now.seed}")
    if before.get("cache_version") != now.code.cache_version:
        changes.append(f"cache_version {before.get('cache_version')} -> {now.code.cache_version}")
    changes += _changed_things("file", before.get("files", {}), now.files)
    changes += _changed("version of", before.get("versions", {}), now.code.versions)
    changes += _changed_things("code", functions_before, now.code.functions, most=1000)
    for port, value in now.inputs.items():
        if before.get("inputs", {}).get(port) != value:
            changes.append(f"input {port} changed")
    if before.get("device") != now.code.device:
        changes.append(f"device {before.get('device')} -> {now.code.device}")
    return changes


def _changed(label: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    dot = "." if label == "params" else " "
    return [
        f"{label}{dot}{name} {_shown(before, name)} -> {_shown(now, name)}"
        for name in sorted({*before, *now})
        if before.get(name) != now.get(name)
    ]


def _shown(values: Mapping[str, Any], name: str) -> str:
    text = repr(values[name]) if name in values else "(absent)"
    return text if len(text) <= 40 else text[:37] + "..."


def _changed_things(kind: str, before: Mapping[str, str], now: Mapping[str, str], most: int = 3) -> list[str]:
    """Say which digests changed, came or went; of many only the first."""
    words = []
    for name in sorted({*before, *now}):
        if before.get(name) != now.get(name):
            what = "is new" if name not in before else "is gone" if name not in now else "changed"
            words.append(f"{kind} {name} {what}")
    rest = len(words) - most
    return words if rest <= 0 else [*words[:most], f"and {rest} more {kind}s"]
