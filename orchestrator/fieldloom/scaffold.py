"""``fieldloom new-plugin``: a copy of the template room under another name."""

from __future__ import annotations

import keyword
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

from .errors import UsageError
from .registry import Registry

_SKIPPED = {"__pycache__", ".pytest_cache"}


def write_plugin(name: str, parent: Path) -> Path:
    """Write the plugin ``name`` into a new folder below ``parent`` and return the folder.

    Raises
    ------
    UsageError
        If the name is not usable or the folder exists.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name) or name == "template":
        raise UsageError(f"{name!r} cannot name a plugin: use lower-case letters, digits and _, starting with a letter")
    if name in {plugin.name for plugin in Registry().plugins}:
        raise UsageError(f"a plugin {name!r} is installed already; choose another name")
    target = parent / name
    if target.exists():
        raise UsageError(f"{target} exists already; choose another name or folder")
    _copy(_template(), target, name)
    return target


def _template() -> Any:
    """The template: packed into the wheel, or in the repository."""
    packed = files("fieldloom") / "_template"
    return packed if packed.is_dir() else Path(__file__).parents[2] / "plugins" / "template"


def _copy(source: Any, target: Path, name: str) -> None:
    target.mkdir(parents=True)
    for item in source.iterdir():
        if item.name in _SKIPPED or item.name.endswith(".egg-info"):
            continue
        renamed = target / item.name.replace("template", name)
        if item.is_dir():
            _copy(item, renamed, name)
        else:
            text = item.read_text(encoding="utf-8")
            renamed.write_text(text.replace("template", name).replace("Template", name.capitalize()), encoding="utf-8")
