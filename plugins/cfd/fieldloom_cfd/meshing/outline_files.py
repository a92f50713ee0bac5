"""Outlines from text files: x, y rows, and the airfoil formats of Selig and Lednicer."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from .outlines import Outline, polygon
from .polygons import Array, rotated


def read_outline(
    path: str | Path, *, scale: float = 1.0, angle: float = 0.0, middle: tuple[float, float] | None = None
) -> Outline:
    """Outline from a text file with one point a row.

    Parameters
    ----------
    path
        Rows of x and y, separated by comma, semicolon or white space, with
        ``#`` comments and at most one title or header line; or an airfoil
        ``.dat`` file as Selig (trailing edge, above, nose, below) or Lednicer
        (two counts, then both sides from the nose). With semicolons, commas
        are decimal marks.
    scale : float
        Factor to metres; the chord in metres for an airfoil of unit chord.
    angle : float
        Degrees, counter-clockwise about the file's origin, after scaling.
    middle : tuple of float, optional
        Where the middle of the bounding box goes, in metres; it stays where it is unless given.

    Raises
    ------
    ValueError
        Names the file and the line of what is wrong.
    """
    path = Path(path)
    lines, points = read_rows(path)
    lines, points = _one_loop(lines, points)
    placed = rotated(scale * points, angle)
    if middle is not None and len(placed):
        placed += np.array(middle) - (placed.min(axis=0) + placed.max(axis=0)) / 2
    try:
        return polygon(placed, [f"line {line}" for line in lines])
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def read_rows(path: Path) -> tuple[list[int], Array]:
    """Line numbers and points (k, 2) of the rows with two numbers."""
    lines, rows, titles = [], [], 0
    for number, text in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), start=1):
        content = text.partition("#")[0].strip()
        if not content:
            continue
        row = _numbers(content)
        if row is not None and len(row) == 2:
            lines.append(number)
            rows.append(row)
        elif row is None and not rows and not titles:
            titles += 1
        else:
            raise ValueError(f"{path}, line {number}: expected two numbers, x and y, got {content!r}; correct the row")
    return lines, np.array(rows, dtype=np.float64).reshape(-1, 2)


def _numbers(content: str) -> list[float] | None:
    """The numbers of a row, or None where it holds anything else."""
    if ";" in content:
        content = content.replace(",", ".").replace(";", " ")
    try:
        return [float(word) for word in re.split(r"[,\s]+", content.strip(", \t"))]
    except ValueError:
        return None


def _one_loop(lines: list[int], points: Array) -> tuple[list[int], Array]:
    """Lednicer's two sides joined to one loop; every other file as it is."""
    n = len(points) - 1
    if n < 4 or points[0].min() < 2 or (points[0] % 1).any() or points[0].sum() != n:
        return lines, points
    upper = int(points[0, 0])
    order = [*range(upper, 0, -1), *range(upper + 1, n + 1)]
    if (points[1] == points[upper + 1]).all():  # both sides start at the same nose
        order.remove(upper + 1)
    return [lines[i] for i in order], points[order]
