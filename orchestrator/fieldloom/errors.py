"""Everything fieldloom refuses to do, grouped by what a caller would do about it.

Exit codes of the command line: 0 done, 1 a stage failed, 2 the spec or the command is wrong, 3 the
environment is (store, plugin, server), 130 interrupted.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where something stands: file, line and column (both from 1; 0 where there is no file)."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing wrong with a spec, where, and what to do."""

    place: Place
    message: str
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" + (f"\n    {self.hint}" if self.hint else "")


class FieldloomError(Exception):
    """Base of all errors that fieldloom raises on purpose."""

    kind = "fieldloom"
    exit_code = 3


class SpecError(FieldloomError, ValueError):
    """A flow spec is wrong; ``problems`` lists everything found, in file order."""

    kind = "spec"
    exit_code = 2

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(set(problems)))
        super().__init__("\n".join(map(str, self.problems)))


class UsageError(FieldloomError, ValueError):
    """A command or a call asks for something that does not exist."""

    kind = "usage"
    exit_code = 2


class PluginError(FieldloomError, ImportError):
    """A plugin or one of its stages cannot be loaded."""

    kind = "plugin"


class StageNotFound(FieldloomError, KeyError):
    """No installed plugin has that stage."""

    kind = "stage-not-found"
    exit_code = 2

    def __str__(self) -> str:  # KeyError would print the repr
        return str(self.args[0])


class PortError(FieldloomError, ValueError):
    """Data does not keep the contract of the port that it passes."""

    kind = "port"
    exit_code = 1


class StageFailed(FieldloomError, RuntimeError):
    """A stage raised, ran out of time or memory, or its process died."""

    kind = "stage-failed"
    exit_code = 1


class Cancelled(FieldloomError):
    """The run was interrupted; what was finished is kept."""

    kind = "cancelled"
    exit_code = 130


class EngineError(FieldloomError, RuntimeError):
    """The engine itself cannot work: no server, no port, no process."""

    kind = "engine"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Suggest the closest of ``known``, or list them if they are few."""
    options = sorted(known)
    if close := difflib.get_close_matches(word, options, n=2, cutoff=0.65):
        return f"did you mean {' or '.join(close)}?"
    if not options:
        return ""
    return f"known: {', '.join(options[:12])}" + (", ..." if len(options) > 12 else "")
