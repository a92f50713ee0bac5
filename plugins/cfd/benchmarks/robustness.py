"""Random wakes inside the documented ranges: how many fail, what they cost.

Usage: python robustness.py [draws] [seed] [--obstacles]
"""

import sys
import time

import numpy as np
from fieldloom_cfd.channel_flow import channel_flow, discretise
from fieldloom_cfd.meshing import channel_mesh, circle, ellipse, naca, reference_size, square
from fieldloom_cfd.strouhal import strouhal

HEIGHT = 0.41


def cylinder(rng):
    radius = rng.uniform(0.03, 0.08)
    x = rng.uniform(1.5 * radius + 0.05, 0.5)
    return circle((x, rng.uniform(1.5 * radius, HEIGHT - 1.5 * radius)), radius)


def any_obstacle(rng):
    kind = rng.choice(["ellipse", "square", "naca"])
    angle = float(rng.uniform(-30, 30))
    if kind == "ellipse":
        a = rng.uniform(0.03, 0.07)
        return ellipse((0.3, 0.2), (a, a * rng.uniform(0.3, 1.5)), angle)
    if kind == "square":
        return square((0.3, 0.2), rng.uniform(0.05, 0.11), 3 * angle)
    code = f"{rng.integers(1, 7)}{rng.integers(2, 7)}{rng.integers(8, 25):02d}"
    return naca(code, (0.35, 0.2), rng.uniform(0.1, 0.2), angle / 2)


def draw(rng, make):
    outline = make(rng)
    return {
        "outline": outline,
        "reynolds": float(np.exp(rng.uniform(np.log(2), np.log(200)))) if rng.random() < 0.3 else rng.uniform(20, 200),
        "mean": rng.uniform(0.3, 2.0),
        "length": float(rng.choice([1.6, 2.2, 3.0])),
        "resolution": int(rng.integers(6, 10)),
        "element": "quadratic" if rng.random() < 0.2 else "linear",
    }


def simulate(case):
    size = reference_size(case["outline"])
    resolution = case["resolution"] if case["element"] == "linear" else max(4, case["resolution"] // 2)
    mesh = channel_mesh(case["length"], HEIGHT, case["outline"], size / 2 / resolution)
    domain = discretise(mesh, case["element"])
    mean, duration = case["mean"], 40 * case["outline"].frontal / case["mean"]
    frames = list(channel_flow(domain, mean, mean * domain.size / case["reynolds"], duration, 60))
    t, lift = (np.concatenate([getattr(f, name) for f in frames]) for name in ("force_times", "lift"))
    assert all(np.isfinite(f.velocity).all() and np.isfinite(f.pressure).all() for f in frames)
    fastest = max(np.hypot(*f.velocity.T).max() for f in frames) / mean
    return len(domain.nodes), strouhal(t, lift, domain.size, mean).value, fastest


def main():
    numbers = [int(a) for a in sys.argv[1:] if a.isdigit()]
    draws, seed = (numbers + [200, 20261123][len(numbers) :])[:2]
    make = any_obstacle if "--obstacles" in sys.argv else cylinder
    rng = np.random.default_rng(seed)
    failures, costs, shed, speeds = [], [], 0, []
    for i in range(draws):
        case, start = draw(rng, make), time.process_time()
        try:
            _, number, fastest = simulate(case)
            shed += number == number
            speeds.append(fastest)
        except Exception as error:  # every failure counts
            failures.append((i, case, repr(error)))
            print(i, case, repr(error), flush=True)
        costs.append(time.process_time() - start)
    q = np.percentile(costs, [0, 50, 90, 100])
    print(f"{draws} draws (seed {seed}): {len(failures)} failures; {shed} shed; largest speed {max(speeds):.2f} U")
    print(f"CPU s: least {q[0]:.1f}, median {q[1]:.1f}, 90 % {q[2]:.1f}, most {q[3]:.1f}")


if __name__ == "__main__":
    main()
