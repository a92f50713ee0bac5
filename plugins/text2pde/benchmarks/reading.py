"""How well prompts are read: exact values on held-out scenarios, in trained and in held-out phrasing.

Reading is exact when every quantity that a caption names, and no other, comes back to 1e-6 relative.
"""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch
from fieldloom_text2pde.text.captions import cylinder, smoke
from fieldloom_text2pde.text.reading import agreed, read
from fieldloom_text2pde.text.tokenizer import Tokenizer
from fieldloom_text2pde.text.training import train_text

RANGES = {"centre_x": (0.2, 0.4), "centre_y": (0.15, 0.26), "radius": (0.04, 0.065), "mean_velocity": (0.3, 1.0)}
VISCOSITY = 1e-3
VARIANTS = 20


def wake(rng):
    q = {name: rng.uniform(*bounds) for name, bounds in RANGES.items()}
    return q | {"reynolds": 2 * q["radius"] * q["mean_velocity"] / VISCOSITY}


def wakes(rng, scenarios, variants, held_out=False):
    """Captions, and the table of what is true."""
    drawn = [wake(rng) for _ in range(scenarios)]
    captions = [c for q in drawn for c in cylinder.captions(rng, q, variants, held_out)]
    return captions, {name: np.repeat([q[name] for q in drawn], variants) for name in cylinder.QUANTITIES}


def blobs(rng, cells=32):
    """Up to seven Gaussians."""
    y, x = (np.indices((cells, cells)) + 0.5) / cells
    density = np.zeros((cells, cells))
    for _ in range(rng.integers(1, 8)):
        (cx, cy), (a, b) = rng.uniform(0.1, 0.9, 2), rng.uniform(0.03, 0.12, 2)
        density += rng.uniform(0.8, 1.2) * np.exp(-(((x - cx) / a) ** 2) - ((y - cy) / b) ** 2)
    return density


def plumes(rng, scenarios, variants, held_out=False):
    """Captions, and the table of what is true."""
    drawn = [(blobs(rng), rng.uniform(0.2, 0.5)) for _ in range(scenarios)]
    captions = [c for density, b in drawn for c in smoke.captions(rng, density, b, variants, held_out)]
    counts = [smoke.describe(density).count for density, _ in drawn]
    table = {"plumes": counts, "buoyancy": [b for _, b in drawn]}
    return captions, {name: np.repeat(np.asarray(column, float), variants) for name, column in table.items()}


def exact(caption, encoder, tokenizer):
    try:
        values = read(caption.text, encoder, tokenizer).values
    except ValueError:
        return False
    wanted = agreed(caption.text, caption.spans)  # the finer one, where a radius and a diameter are given
    return values.keys() == wanted.keys() and all(abs(values[k] - v) <= 1e-6 * abs(v) for k, v in wanted.items())


@torch.no_grad()
def estimate_error(captions, truth, encoder, tokenizer):
    """Root-mean-square error of the estimates in standard deviations, of captions that name everything."""
    rows = [i for i, c in enumerate(captions) if set(encoder.quantities) <= c.values().keys()]
    encoded = encoder(tokenizer.batch([captions[i].text for i in rows]))
    wanted = torch.tensor(np.stack([truth[name][rows] for name in encoder.quantities], 1), dtype=torch.float32)
    misses = (encoded.estimate - (wanted - encoder.mean) / encoder.scale) ** 2
    return dict(zip(encoder.quantities, misses.mean(0).sqrt().tolist(), strict=True))


def measure(name, make, scenarios, steps, seed=0):
    captions, truth = make(np.random.default_rng(seed), scenarios, VARIANTS)
    start = time.process_time()
    tokenizer = Tokenizer.from_texts(c.text for c in captions)
    encoder = train_text(captions, truth, tokenizer, seed=seed, steps=steps)
    cost = time.process_time() - start
    size = sum(p.numel() for p in encoder.parameters())
    print(f"{name}: {scenarios} scenarios x {VARIANTS}, {steps} steps, {cost:.1f} CPU s, {size} parameters, "
          f"{len(tokenizer)} words, {len(encoder.tags)} tags", flush=True)  # fmt: skip
    for held_out in (False, True):
        tests, true = make(np.random.default_rng(seed + 1000), 200, 5, held_out)
        right = [exact(c, encoder, tokenizer) for c in tests]
        errors = estimate_error(tests, true, encoder, tokenizer)
        words = "held-out phrasing" if held_out else "trained phrasing "
        print(f"  {words}: exact {np.mean(right):.4f}; estimate, rmse / sigma: "
              + ", ".join(f"{q} {e:.3f}" for q, e in errors.items()))  # fmt: skip
        if "-v" in sys.argv:
            for c in [c for c, ok in zip(tests, right, strict=True) if not ok][:12]:
                print("    ", c.text)


if __name__ == "__main__":
    torch.set_num_threads(1)
    for scenarios in (150, 300):
        measure("cylinder", wakes, scenarios, 1200)
    measure("smoke", plumes, 300, 600)
