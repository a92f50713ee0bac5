"""What the benchmarks share: unseen systems, measurements, means, and the file that they write."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from fieldloom_dcdm import poisson
from fieldloom_dcdm.problem import Poisson
from fieldloom_dcdm.solving import System, solve_system
from fieldloom_dcdm.systems import COEFFICIENT_KINDS, MASK_KINDS, flow_rhs, random_coefficient, random_mask, white_rhs

RESULTS = Path(__file__).parent / "results"
UNSEEN = 20_000
"""Seeds of training and of its scores are below."""


@dataclass(frozen=True)
class Row:
    """One method on one system."""

    system: str
    method: str
    rtol: float
    iterations: int
    residual: float
    setup_cpu: float
    solve_cpu: float
    solve_wall: float


def masks(shape: tuple[int, ...], number: int) -> Iterator[tuple[str, Poisson, np.ndarray]]:
    """Obstacles in turn of all kinds, boundaries and right-hand sides."""
    for i in range(number):
        kind, rng = MASK_KINDS[i % len(MASK_KINDS)], np.random.default_rng([UNSEEN, i])
        yield f"{kind}-{i}", *_posed(rng, random_mask(rng, shape, kind), None, i)


def coefficients(shape: tuple[int, ...], number: int) -> Iterator[tuple[str, Poisson, np.ndarray]]:
    """Coefficients in turn of all kinds, with jumps of 100 and 1000."""
    for i in range(number):
        kind, rng = COEFFICIENT_KINDS[i % len(COEFFICIENT_KINDS)], np.random.default_rng([UNSEEN, i])
        c = random_coefficient(rng, shape, kind, (100.0, 1000.0)[i // len(COEFFICIENT_KINDS) % 2])
        yield f"{kind}-{i}", *_posed(rng, np.ones(shape, bool), c, i)


def _posed(rng, mask, coefficient, i):
    open_side = [("neumann", "dirichlet")] + ["neumann"] * (mask.ndim - 1)
    boundary = ("dirichlet", open_side, ["dirichlet"] + ["neumann"] * (mask.ndim - 1))[i % 3]
    problem = poisson(mask, 1.0, boundary, coefficient)
    return problem, (white_rhs if i % 2 else flow_rhs)(rng, problem)


def measure(name: str, method: str, system: System, b: np.ndarray, rtol: float, **options) -> Row:
    """Solve, and check the residual in double precision; ``strict=False`` lets it miss the tolerance."""
    strict = options.pop("strict", True)
    result = solve_system(system, b, rtol=rtol, **options)
    if strict:
        result.check()
    t = result.timings
    return Row(name, method, rtol, result.iterations, result.relative_residual, t.setup_cpu, t.solve_cpu, t.solve)


def mean(values) -> float:
    """Geometric mean."""
    return float(np.exp(np.mean(np.log(list(values)))))


def machine() -> dict[str, object]:
    return {
        "load": [round(v, 2) for v in os.getloadavg()],
        "cpus": os.cpu_count(),
        "processor": platform.processor() or platform.machine(),
        "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d"),
    }


def write(name: str, figures: object, rows: list[Row], started: dict[str, object]) -> None:
    """Write figures, and in a file of their own all rows; print the figures."""
    RESULTS.mkdir(exist_ok=True)
    content = {"machine": started, "load at the end": machine()["load"], "figures": figures}
    text = json.dumps(content, indent=1)
    (RESULTS / f"{name}.json").write_text(text + "\n", "utf-8")
    (RESULTS / f"{name}-rows.json").write_text(json.dumps([asdict(row) for row in rows]) + "\n", "utf-8")
    print(text, flush=True)
