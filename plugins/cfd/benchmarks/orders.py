"""Observed orders of convergence against manufactured solutions: Navier-Stokes, Poisson, smoke.

Usage: python orders.py
"""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from manufactured import advection_error, flow_errors, poisson_error, time_errors


def orders(errors, ratio=2.0):
    errors = np.array(errors)
    return np.log(errors[:-1] / errors[1:]) / np.log(ratio)


def show(name, expected, errors, ratio=2.0):
    found = ", ".join(f"{order:.2f}" for order in orders(errors, ratio))
    print(f"| {name} | {expected} | {found} | {errors[-1]:.2e} |", flush=True)


if __name__ == "__main__":
    print("| what | expected | observed | last error |\n|---|---|---|---|")
    linear = [flow_errors(n, 5 * n // 2, "linear") for n in (16, 32, 64, 128)]
    show("P1/P1 velocity, dt ~ h", 2, [e[0] for e in linear])
    show("P1/P1 pressure, dt ~ h", 2, [e[1] for e in linear])
    quadratic = [flow_errors(n, s, "quadratic") for n, s in ((8, 60), (16, 170), (32, 480), (64, 1358))]
    show("P2/P1 velocity, dt ~ h^1.5", 3, [e[0] for e in quadratic])
    show("P2/P1 pressure, dt ~ h^1.5", 2, [e[1] for e in quadratic])
    times = [time_errors(steps) for steps in (10, 20, 40, 80, 160)]
    show("BDF2 velocity in time (P2/P1, exact in space)", 2, [e[0] for e in times])
    show("BDF2 pressure in time", "1.5 to 2", [e[1] for e in times])
    show("Poisson, cosine transform", 2, [poisson_error(n) for n in (16, 32, 64, 128)])
    show("advection, linear, dt ~ h", 1, [advection_error(n, "linear") for n in (64, 128, 256, 512)])
    show("advection, cubic, dt ~ h", 2, [advection_error(n, "cubic") for n in (64, 128, 256, 512)])
