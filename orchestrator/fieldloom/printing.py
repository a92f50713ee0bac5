"""Printing: plain lines, JSON, tables, numbers for people."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any


def line(text: str = "") -> None:
    """Print one line."""
    sys.stdout.write(text + "\n")


def as_json(value: Any) -> None:
    """Print ``value`` as indented JSON."""
    line(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def table(rows: Iterable[Sequence[str]], header: Sequence[str]) -> None:
    """Print aligned columns; the last one takes what is left of the terminal's width."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    grid = Table(box=None, pad_edge=False, show_edge=False, header_style="bold")
    for i, name in enumerate(header):
        grid.add_column(name, no_wrap=i < len(header) - 1 and console.is_terminal, overflow="fold")
    for row in rows:
        grid.add_row(*(Text(cell) for cell in row))
    if console.is_terminal:
        console.print(grid)
    else:  # a pipe has no width: do not wrap
        Console(highlight=False, width=400).print(grid)


def seconds(value: float | None) -> str:
    """``4.2 s``, ``3 min 5 s``."""
    if value is None:
        return ""
    if value < 60:
        return f"{value:.2g} s" if value < 1 else f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def size(value: float | None) -> str:
    """``1.5 MB``."""
    if value is None:
        return ""
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            break
        value /= 1000
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"


def moment(timestamp: float) -> str:
    """Local date and time."""
    return datetime.fromtimestamp(timestamp).strftime("%Y-%m-%d %H:%M:%S")
