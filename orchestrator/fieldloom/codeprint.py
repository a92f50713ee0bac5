"""The code closure of a stage: a digest for each function, class and constant that it reaches.

Found by reading source, never by importing or running it: start at the stage's class and follow names and
imports within its own top-level package. Comments, docstrings and formatting change nothing; a changed
helper does. What reading cannot see (names computed at run time, compiled code) is for ``cache_version`` and
``affects``.
"""

from __future__ import annotations

import ast
import importlib.util
import sys
from functools import cache
from pathlib import Path
from typing import Any

from fieldloom_storage import canonical

_IGNORED_FIELDS = frozenset({"lineno", "col_offset", "end_lineno", "end_col_offset", "ctx", "type_comment", "kind"})
_DOCUMENTED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def closure(target: str) -> dict[str, str]:
    """Digest everything that ``module:Name`` reaches in its package.

    Returns
    -------
    dict
        ``module:name`` of each definition to the digest of its normalised syntax tree.
    """
    module, _, name = target.partition(":")
    package = module.partition(".")[0]
    found: dict[str, str] = {}
    waiting = [(module, name)]
    while waiting:
        module, name = waiting.pop()
        if f"{module}:{name}" in found:
            continue
        source = _module(module)
        if source is None:
            continue
        if name == "*":
            waiting += [(module, inner) for inner in source.definitions]
        elif name in source.definitions:
            found[f"{module}:{name}"] = source.digest(name)
            waiting += source.references(name, package)
        elif name in source.imports:
            waiting += _resolved(*source.imports[name], package)
        else:
            waiting += [(star, name) for star in source.star_imports if star.partition(".")[0] == package]
    return dict(sorted(found.items()))


def digest(functions: dict[str, str]) -> str:
    """Digest of a whole closure."""
    return canonical.digest(functions)


class _Module:
    """The top-level definitions and imports of one source file."""

    def __init__(self, name: str, path: Path) -> None:
        self._name, self._is_package = name, path.name == "__init__.py"
        self.definitions: dict[str, list[ast.stmt]] = {}
        self.imports: dict[str, tuple[str, str | None]] = {}
        self.star_imports: list[str] = []
        self._digests: dict[str, str] = {}
        self._references: dict[str, list[tuple[str, str]]] = {}
        self._read(ast.parse(path.read_bytes()).body)

    def _read(self, body: list[ast.stmt]) -> None:
        for statement in body:
            if isinstance(statement, _DOCUMENTED):
                self.definitions.setdefault(statement.name, []).append(statement)
            elif isinstance(statement, ast.Import | ast.ImportFrom):
                self.imports |= self._imported(statement)
            elif isinstance(statement, ast.If | ast.Try):
                self._read(statement.body + statement.orelse + getattr(statement, "finalbody", []))
                for handler in getattr(statement, "handlers", []):
                    self._read(handler.body)
            else:
                for node in ast.walk(statement):
                    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                        self.definitions.setdefault(node.id, []).append(statement)

    def _imported(self, statement: ast.Import | ast.ImportFrom) -> dict[str, tuple[str, str | None]]:
        """Local names to (module, attribute); attribute None: the module itself."""
        if isinstance(statement, ast.Import):
            return {
                (alias.asname or alias.name.partition(".")[0]): (
                    alias.name if alias.asname else alias.name.partition(".")[0],
                    None,
                )
                for alias in statement.names
            }
        base = statement.module or ""
        if statement.level:
            parents = self._name.split(".")
            keep = len(parents) - statement.level + self._is_package
            base = ".".join([*parents[:keep], *([statement.module] if statement.module else [])])
        if any(alias.name == "*" for alias in statement.names):
            self.star_imports.append(base)
        return {alias.asname or alias.name: (base, alias.name) for alias in statement.names if alias.name != "*"}

    def digest(self, name: str) -> str:
        if name not in self._digests:
            self._digests[name] = canonical.digest([_normalised(node) for node in self.definitions[name]])
        return self._digests[name]

    def references(self, name: str, package: str) -> list[tuple[str, str]]:
        """What the definition ``name`` mentions: names of this module and imports from ``package``."""
        if name not in self._references:
            self._references[name] = self._find_references(name, package)
        return self._references[name]

    def _find_references(self, name: str, package: str) -> list[tuple[str, str]]:
        imports = dict(self.imports)
        nodes = [node for statement in self.definitions[name] for node in ast.walk(statement)]
        for node in nodes:
            if isinstance(node, ast.Import | ast.ImportFrom):
                imports |= self._imported(node)
        found: list[tuple[str, str]] = []
        attributes = {id(node.value): node.attr for node in nodes if isinstance(node, ast.Attribute)}
        for node in nodes:
            if not isinstance(node, ast.Name):
                continue
            if node.id in imports:
                module, attribute = imports[node.id]
                found += _resolved(module, attribute, package, attributes.get(id(node)))
            else:
                found.append((self._name, node.id))
        return found


def _resolved(module: str, attribute: str | None, package: str, used: str | None = None) -> list[tuple[str, str]]:
    """Which definition an imported name stands for; a module as a whole where that cannot be told."""
    if module.partition(".")[0] != package:
        return []
    if attribute is None:
        return [(module, used or "*")]
    if _module(f"{module}.{attribute}") is not None:  # `from . import solver`, then `solver.solve`
        return [(f"{module}.{attribute}", used or "*")]
    return [(module, attribute)]


@cache
def _module(name: str) -> _Module | None:
    path = _source(name)
    return _Module(name, path) if path else None


def _source(name: str) -> Path | None:
    """Find the source file of a module without importing it (its parents may be imported, as Python does)."""
    loaded = sys.modules.get(name)
    origin = getattr(loaded, "__file__", None)
    if origin is None:
        parent, _, leaf = name.rpartition(".")
        if parent:
            folder = _source(parent)
            if folder is None or folder.name != "__init__.py":
                return None
            for candidate in (folder.parent / f"{leaf}.py", folder.parent / leaf / "__init__.py"):
                if candidate.is_file():
                    return candidate
            return None
        try:
            spec = importlib.util.find_spec(name)
        except (ImportError, ValueError):
            return None
        origin = spec.origin if spec else None
    return Path(origin) if origin and origin.endswith(".py") else None


def _normalised(node: Any) -> Any:
    """Reduce a syntax tree to what matters, the same under every Python version: no places, docstrings, blanks."""
    if isinstance(node, ast.AST):
        fields = {}
        for name, value in ast.iter_fields(node):
            if name in _IGNORED_FIELDS or value is None or value == []:
                continue
            if name == "body" and isinstance(node, _DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
                value = value[1:]
            fields[name] = _normalised(value)
        return [type(node).__name__, fields]
    if isinstance(node, list):
        return [_normalised(item) for item in node]
    return f"{type(node).__name__} {node!r}"
