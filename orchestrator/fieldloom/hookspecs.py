"""Every hook that a plugin may implement. This page is the whole plugin interface.

A plugin is a module named in the entry-point group ``fieldloom``; it marks its hooks with
``@fieldloom.hookimpl``. Its import must stay light: no xarray, torch, vtk, prefect.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from .events import InstanceEvent, RunEvent

hookspec = pluggy.HookspecMarker("fieldloom")
hookimpl = pluggy.HookimplMarker("fieldloom")


@hookspec
def register_stages() -> Mapping[str, str]:  # type: ignore[empty-body]  # a specification has no body
    """Name the plugin's stages.

    Returns
    -------
    mapping of str to str
        Stage id (``"<plugin>.<stage>"``) to where its class is (``"package.module:Class"``). The module is
        imported on first use.
    """


@hookspec
def before_run(run: RunEvent) -> None:
    """Observe a run that is about to start. An exception is logged and stops nothing."""


@hookspec
def after_run(run: RunEvent) -> None:
    """Observe a run that has ended, in whatever way."""


@hookspec
def before_stage(instance: InstanceEvent) -> None:
    """Observe an instance that is about to be computed (not one that is reused)."""


@hookspec
def after_stage(instance: InstanceEvent) -> None:
    """Observe an instance that has been computed or has failed."""


@hookspec
def report_sections(run: RunEvent) -> Mapping[str, str]:  # type: ignore[empty-body]  # a specification has no body
    """Add sections to a run's report.

    Returns
    -------
    mapping of str to str
        Title to HTML, which is inserted as it is; pictures go in as ``data:`` URIs.
    """


@hookspec
def artifact_readers() -> Mapping[str, Callable[[Any], Any]]:  # type: ignore[empty-body]  # as above
    """Offer other views of an artifact, for ``Run.read(name, reader)``.

    Returns
    -------
    mapping of str to callable
        Reader name (``"pyvista"``) to a function of the opened Dataset.
    """
