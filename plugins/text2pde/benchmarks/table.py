"""Medians and ranges over seeds of every number in the results of one benchmark.

Usage: python table.py OUT_0.json OUT_1.json OUT_2.json
"""

import json
import statistics
import sys
from pathlib import Path


def numbers(value, name=""):
    """Name and value of every number in nested mappings."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from numbers(item, f"{name} / {key}" if name else key)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield name, float(value)


def main(paths):
    runs = [dict(numbers(json.loads(Path(p).read_text()))) for p in paths]
    for name in dict.fromkeys(name for run in runs for name in run):
        values = [run[name] for run in runs if name in run]
        low, high = min(values), max(values)
        print(f"{name:60s} {statistics.median(values):10.4g}   {low:.4g} to {high:.4g}, {len(values)} seeds")


if __name__ == "__main__":
    main(sys.argv[1:])
