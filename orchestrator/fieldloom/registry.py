"""Which plugins and stages are installed. A broken plugin is set aside with its reason; the others work."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy

from . import hookspecs
from .errors import PluginError, StageNotFound, UsageError, did_you_mean
from .stage import Stage

GROUP = "fieldloom"


@dataclass(frozen=True, slots=True)
class Plugin:
    """An installed plugin: its name, distribution and version; ``problem`` says why it was set aside."""

    name: str
    distribution: str
    version: str
    module: str
    problem: str | None = None


class Registry:
    """The plugins found in the entry-point group ``fieldloom``, loaded one by one.

    Parameters
    ----------
    allow : iterable of str, optional
        Load only these. Default: all, or ``FIELDLOOM_PLUGINS`` (comma-separated).
    deny : iterable of str, optional
        Do not load these. Default: none, or ``FIELDLOOM_DISABLE_PLUGINS``.
    found : iterable of EntryPoint, optional
        Look at these instead of what is installed.
    """

    def __init__(
        self,
        allow: Iterable[str] | None = None,
        deny: Iterable[str] | None = None,
        found: Iterable[EntryPoint] | None = None,
    ) -> None:
        self._allow = _names(allow, "FIELDLOOM_PLUGINS")
        self._deny = _names(deny, "FIELDLOOM_DISABLE_PLUGINS")
        self._manager = pluggy.PluginManager("fieldloom")
        self._manager.add_hookspecs(hookspecs)
        self._plugins: dict[str, Plugin] = {}
        self._stages: dict[str, tuple[str, str]] = {}  # id -> (plugin, "module:Class")
        self._classes: dict[str, type[Stage]] = {}
        points = entry_points(group=GROUP) if found is None else found
        for point in sorted(points, key=lambda p: (p.name, p.value)):
            self._load(point)
        if unknown := sorted(self._allow - {plugin.name for plugin in self._plugins.values()}):
            raise UsageError(f"there is no plugin {unknown[0]!r}; {did_you_mean(unknown[0], self._plugins)}")

    @property
    def hook(self) -> Any:
        """Call hooks of every loaded plugin (pluggy's relay)."""
        return self._manager.hook

    @property
    def plugins(self) -> list[Plugin]:
        """Every plugin found, the ones set aside included."""
        return list(self._plugins.values())

    @property
    def stages(self) -> list[str]:
        """Ids of the available stages."""
        return sorted(self._stages)

    def plugin_of(self, stage_id: str) -> Plugin:
        """The plugin that a stage comes from."""
        return self._plugins[self._stages[stage_id][0]]

    def target(self, stage_id: str) -> str:
        """Where the class of a stage is, ``module:Class``."""
        return self._found(stage_id)[1]

    def stage(self, stage_id: str) -> type[Stage]:
        """Import the class of a stage.

        Raises
        ------
        StageNotFound
            If no loaded plugin has it.
        PluginError
            If its module cannot be imported or holds something else.
        """
        if stage_id not in self._classes:
            plugin, target = self._found(stage_id)
            self._classes[stage_id] = import_stage(target, stage_id, plugin)
        return self._classes[stage_id]

    def _found(self, stage_id: str) -> tuple[str, str]:
        if stage_id in self._stages:
            return self._stages[stage_id]
        room = stage_id.partition(".")[0]
        for plugin in self._plugins.values():
            if plugin.name == room and plugin.problem:
                raise StageNotFound(f"stage {stage_id!r}: plugin {room!r} is set aside: {plugin.problem}")
        if room not in self._plugins:
            raise StageNotFound(
                f"stage {stage_id!r}: no plugin {room!r} is installed; "
                f"{did_you_mean(stage_id, self._stages)} (`fieldloom plugins` lists them)"
            )
        raise StageNotFound(f"plugin {room!r} has no stage {stage_id!r}; {did_you_mean(stage_id, self._stages)}")

    def _load(self, point: EntryPoint) -> None:
        distribution = point.dist.name if point.dist else "?"
        version = point.dist.version if point.dist else "?"
        problem = self._refused(point.name) or self._register(point, distribution)
        name = point.name if point.name not in self._plugins else f"{point.name} ({distribution})"
        self._plugins[name] = Plugin(name, distribution, version, point.value, problem)

    def _refused(self, name: str) -> str | None:
        if self._allow and name not in self._allow:
            return "not among the allowed plugins"
        return "disabled" if name in self._deny else None

    def _register(self, point: EntryPoint, distribution: str) -> str | None:
        """Load one plugin; return why it cannot be used."""
        try:
            module = point.load()
            self._manager.register(module, point.name)
            self._check_hooks(module)
            stages = dict(module.register_stages()) if hasattr(module, "register_stages") else {}
            self._add_stages(point.name, distribution, stages)
        except Exception as error:  # noqa: BLE001, RUF100 - whatever a stranger's plugin raises must not stop the others
            if self._manager.has_plugin(point.name):
                self._manager.unregister(name=point.name)
            return f"{type(error).__name__}: {error}"
        return None

    def _check_hooks(self, module: Any) -> None:
        """Refuse hooks that do not exist: a misspelt hook would silently never be called."""
        known = {name for name in vars(hookspecs) if hasattr(getattr(hookspecs, name), "fieldloom_spec")}
        for name, value in vars(module).items():
            if hasattr(value, "fieldloom_impl") and name not in known:
                raise PluginError(f"there is no hook {name!r}; {did_you_mean(name, known)}")

    def _add_stages(self, plugin: str, distribution: str, stages: dict[str, str]) -> None:
        for stage_id, target in stages.items():
            if stage_id in self._stages:
                other = self._plugins[self._stages[stage_id][0]].distribution
                raise PluginError(f"stage {stage_id!r} of {distribution} is already registered by {other}")
            if not stage_id.startswith(f"{plugin}.") or target.count(":") != 1:
                raise PluginError(f"stage {stage_id!r}: {target!r} should map '{plugin}.<stage>' to 'module:Class'")
        self._stages |= {stage_id: (plugin, target) for stage_id, target in stages.items()}

    @cached_property
    def readers(self) -> dict[str, Any]:
        """Artifact readers of all plugins by name."""
        merged: dict[str, Any] = {}
        for readers in self.hook.artifact_readers():
            merged |= readers
        return merged


def import_stage(target: str, stage_id: str, plugin: str) -> type[Stage]:
    """Import ``module:Class`` and check that it is a stage.

    Raises
    ------
    PluginError
    """
    module_name, _, name = target.partition(":")
    try:
        found = getattr(importlib.import_module(module_name), name)
    except Exception as error:
        raise PluginError(
            f"stage {stage_id!r} of plugin {plugin!r} cannot be imported from {target}: {type(error).__name__}: {error}"
        ) from error
    if not (isinstance(found, type) and issubclass(found, Stage)):
        raise PluginError(f"stage {stage_id!r} of plugin {plugin!r}: {target} is not a fieldloom.Stage")
    return found


def _names(given: Iterable[str] | None, variable: str) -> frozenset[str]:
    if given is not None:
        return frozenset(given)
    return frozenset(name.strip() for name in os.environ.get(variable, "").split(",") if name.strip())
