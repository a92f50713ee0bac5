"""Buoyant smoke on a grid: our generator against U-Net, FNO and POD at equal CPU time, over seeds.

Usage: python smoke.py DATA OUT.json [seed] [effort] [checkpoint]

1,460 trajectories of 16 frames at 32 x 32 for training, 40 to set the spread, 64 for testing, single thread; all
networks also learn mirror images, with the same loss and optimiser. Ours: autoencoder, mean and residual in
AUTOENCODER + MEAN + RESIDUAL CPU seconds; the others have their sum. Text and first frames from prompts are trained
besides and not compared. ``effort`` multiplies all times; with a ``checkpoint`` the model is written there and the
other networks are left out.
"""

import json
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from data import smoke
from fieldloom_cfd.buoyancy import estimate_buoyancy
from fieldloom_cfd.smoke import Box
from fieldloom_text2pde import evaluation, fidelity, metrics, pipeline
from fieldloom_text2pde.autoencoders.learning import ReconstructionLoss, reconstructions, train_autoencoder
from fieldloom_text2pde.baselines import forecasters
from fieldloom_text2pde.checkpoint import save
from fieldloom_text2pde.generator.backbones import BackboneConfig
from fieldloom_text2pde.generator.learning import Dropping
from fieldloom_text2pde.generator.model import Draw, Generator
from fieldloom_text2pde.generator.setting import Design
from fieldloom_text2pde.generator.spread import set_spread
from fieldloom_text2pde.text.captions import smoke as wording
from fieldloom_text2pde.text.captions.plumes import describe
from fieldloom_text2pde.text.reading import read
from fieldloom_text2pde.text.tokenizer import Tokenizer
from fieldloom_text2pde.text.training import train_text
from fieldloom_text2pde.training import Schedule
from fieldloom_text2pde.trajectories import Sample, Trajectories

AUTOENCODER, MEAN, RESIDUAL, OPENING, TEXT_STEPS = 12.0, 124.0, 24.0, 40.0, 500
VARIANTS = 4


def lasting(seconds, average=0.99):
    return Schedule(10**9, seconds=seconds, average=average)


def first_smoke(sample):
    return sample.values[0, :, 0].reshape(32, 32)


def counted(data):
    """The same trajectories with the number of plumes in the first frame among their numbers."""
    samples = tuple(
        Sample(s.values, s.points, s.triangles, {**s.numbers, "plumes": float(describe(first_smoke(s)).count)})
        for s in data.samples
    )
    return Trajectories(samples, data.channels, data.times, data.units, data.grid, data.box)


def captions_of(rng, data, count, held_out=False):
    return [wording.captions(rng, first_smoke(s), s.numbers["buoyancy"], count, held_out) for s in data.samples]


def train_words(train, seed):
    found = captions_of(np.random.default_rng(seed), train, VARIANTS)
    flat = [c for row in found for c in row]
    truth = {q: np.repeat([s.numbers[q] for s in train.samples], VARIANTS) for q in ("buoyancy", "plumes")}
    tokenizer = Tokenizer.from_texts([c.text for c in flat])
    encoder = train_text(flat, truth, tokenizer, seed=seed, steps=TEXT_STEPS).requires_grad_(False)
    return encoder, tokenizer, [[c.text for c in row] for row in found]


def prompt_fidelity(model, test, ties, captions, draw, check):
    """How often captions are read exactly, and one member shows what they ask for: plumes counted, buoyancy fitted.

    The buoyancy is that with which the solver, from the drawn first frame, meets the drawn second one best.
    """
    exact, counted_right, misses = [], [], []
    for i, (caption, domain) in enumerate(zip(captions, ties, strict=True)):
        wanted, own = caption.values(), replace(draw, seed=1000 * draw.seed + i)
        try:
            found = read(caption.text, model.text, model.tokenizer).values
        except ValueError:  # a misreading that contradicts itself
            found = {}
        exact += [abs(found.get(k, 1e9) - v) <= 1e-6 * abs(v) for k, v in wanted.items()]
        drawn = model.imagined(domain, found, 1, own, caption.text, fidelity.wish(model, found) if check else None)[0]
        if "plumes" in wanted:
            counted_right.append(fidelity.plumes_in(model, drawn[0]) == wanted["plumes"])
        if "buoyancy" in wanted:
            misses.append(abs(buoyancy_in(drawn) / wanted["buoyancy"] - 1))
    return {
        "read_exactly": float(np.mean(exact)),
        "plumes_right": float(np.mean(counted_right)),
        "plumes_asked": len(counted_right),
        "buoyancy_error": float(np.median(misses)),
        "buoyancy_within_tenth": float(np.mean(np.array(misses) <= 0.1)),
        "buoyancy_asked": len(misses),
    }


def buoyancy_in(values):
    """Of a trajectory (time, cells, [smoke, u, v]) on 32 x 32 cells, four steps of 1.5 s from frame to frame."""
    frames = values[:2].reshape(2, 32, 32, 3).astype(float)
    box = Box(1.0, 1.5, 0.01, 0.0)
    return estimate_buoyancy(frames[0, ..., 0], list(frames[..., 1:]), box, 4, (0.02, 1.0))[0]


def others(base, train, setting, seconds, seed):
    """What ours is compared with; no networks where they have no time."""
    fitted = {"persistence": forecasters.persistence(base), "pod": forecasters.pod_ridge(base, setting, 120)}
    for kind in ("unet", "fno") if seconds else ():
        fitted[kind] = forecasters.field_network(kind, train, setting, lasting(seconds), seed)
    return fitted


def main(folder, out, seed, effort=1.0, checkpoint=None):
    torch.set_num_threads(1)
    whole = counted(smoke(folder, 1564))
    base, held, test = whole.some(range(1460)), whole.some(range(1460, 1500)), whole.some(range(1500, 1564))
    train = pipeline.mirrored(base, "smoke")
    setting = pipeline.learn_setting(train, "smoke")
    autoencoder = pipeline.build_autoencoder(train, seed)
    domains = pipeline.domains_of(autoencoder, setting, train)
    scaled = [setting.scaling.apply(v) for v in pipeline.tensors_of(train)]
    train_autoencoder(autoencoder, scaled, domains, lasting(effort * AUTOENCODER, 0.98), ReconstructionLoss(8, 4), seed)
    ties = pipeline.domains_of(autoencoder, setting, test)
    found = reconstructions(autoencoder, [setting.scaling.apply(v) for v in pipeline.tensors_of(test)], ties)
    errors = [
        metrics.relative_error(setting.scaling.undo(f).numpy(), s.values)
        for f, s in zip(found, test.samples, strict=True)
    ]
    result = {"seed": seed, "autoencoder": float(np.mean(errors))}
    print(result, flush=True)
    text, tokenizer, texts = train_words(base, seed)
    torch.manual_seed(seed)
    design = Design(
        mean="patched-unet",
        residual_backbone=BackboneConfig(widths=(96, 128)),
        opening_backbone=BackboneConfig(widths=(64, 96)),
    )
    model = Generator(setting, design, autoencoder, text, tokenizer)
    latents = pipeline.cache_latents(model, train, domains, measure=True)
    budget = pipeline.Budget(*(lasting(effort * s) for s in (MEAN, RESIDUAL, OPENING)))
    steps = {}
    prompts = pipeline.Prompts(model.embed, texts + [[wording.other_side(t) for t in row] for row in texts])
    pipeline.train_generator(
        model, train, domains, latents, budget, seed, prompts, Dropping(0.05, 0.05, 0.1),
        monitor=lambda name, t: steps.update({name: t.step}),
    )  # fmt: skip
    result["steps"] = steps
    result["spread_before"] = set_spread(model, held, 8, seed)
    result["inflation"] = float(model.continuation.inflation)
    draw, scale = Draw(seed), setting.scaling.scale

    def scored(name, drawer, places):
        result[name] = asdict(evaluation.score(test, scale, places, drawer))
        print(name, {k: v if isinstance(v, dict) else round(v, 4) for k, v in result[name].items()}, flush=True)

    scored("mean", evaluation.from_frames(model, 1, replace(draw, members_share_mean=True)), ties)
    scored("ours, 2 steps", evaluation.from_frames(model, 8, draw), ties)
    result["by_steps"] = evaluation.by_steps(model, test.some(range(10)), ties[:10], draw) if seed == 0 else None
    if seed == 0:
        independent = replace(draw, antithetic=False)
        scored("ours, 2 steps, independent noise", evaluation.from_frames(model, 8, independent), ties)
    seconds = 0.0 if checkpoint else effort * (AUTOENCODER + MEAN + RESIDUAL)
    for name, f in others(base, train, setting, seconds, seed).items():
        scored(name, lambda s, _, f=f: f.forecast(s)[None], [None] * len(test))
    result["truth"] = float(np.median([abs(buoyancy_in(s.values) / s.numbers["buoyancy"] - 1) for s in test.samples]))
    rng = np.random.default_rng(seed + 1)
    asked = [row[0] for row in captions_of(rng, test, 1, held_out=True)]
    result["prompts"] = prompt_fidelity(model, test, ties, asked, draw, check=False)
    result["prompts, checked"] = prompt_fidelity(model, test, ties, asked, draw, check=True)
    print(result["prompts"], result["prompts, checked"], flush=True)
    with open(out, "w") as file:
        json.dump(result, file, indent=1)
    if checkpoint is not None:
        recipe = {"script": "plugins/text2pde/benchmarks/smoke.py", "seed": seed, "effort": effort}
        save(model.to_dataset(), Path(checkpoint), {"recipe": recipe, "scores": result})


if __name__ == "__main__":
    start = time.process_time()
    seed, effort, *path = [*sys.argv[3:], *["0", "1"][len(sys.argv) - 3 :]]
    main(sys.argv[1], sys.argv[2], int(seed), float(effort), *path)
    print(f"{time.process_time() - start:.0f} CPU s in all")
