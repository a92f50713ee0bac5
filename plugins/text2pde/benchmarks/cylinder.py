"""Wakes of cylinders on meshes that all differ: our generator against others at equal CPU time, over seeds.

Usage: python cylinder.py DATA OUT.json [seed] [effort] [checkpoint]

300 wakes and their mirror images for training, 20 wakes to set the spread, 40 for testing, single thread. Ours:
autoencoder, mean and residual in AUTOENCODER + MEAN + RESIDUAL CPU seconds; the mesh operator has their sum. Text and
first frames from prompts are trained besides and not compared. ``effort`` multiplies all times; with a ``checkpoint``
the model is written there and the others are left out.
"""

import json
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from data import VISCOSITY, wake, wakes
from fieldloom_text2pde import evaluation, fidelity, metrics, pipeline
from fieldloom_text2pde.autoencoders.learning import ReconstructionLoss, reconstructions, train_autoencoder
from fieldloom_text2pde.baselines import forecasters
from fieldloom_text2pde.checkpoint import save
from fieldloom_text2pde.generator.backbones import BackboneConfig
from fieldloom_text2pde.generator.model import Draw, Generator
from fieldloom_text2pde.generator.setting import Design
from fieldloom_text2pde.generator.spread import set_spread
from fieldloom_text2pde.interpolation import interpolation_floor
from fieldloom_text2pde.networks.blocks import parameter_count
from fieldloom_text2pde.text.captions import cylinder
from fieldloom_text2pde.text.reading import read
from fieldloom_text2pde.text.tokenizer import Tokenizer
from fieldloom_text2pde.text.training import train_text
from fieldloom_text2pde.training import Schedule

AUTOENCODER, MEAN, RESIDUAL, OPENING, TEXT_STEPS = 60.0, 75.0, 45.0, 30.0, 1000
TEST = range(340, 380)
QUANTITIES = ("centre_x", "centre_y", "radius", "mean_velocity", "reynolds")


def lasting(seconds, average=0.99):
    return Schedule(10**9, seconds=seconds, average=average)


def captions_of(rng, data, count, held_out=False):
    return [cylinder.captions(rng, {q: s.numbers[q] for q in QUANTITIES}, count, held_out) for s in data.samples]


def train_words(train, seed):
    """Text encoder, tokenizer and training captions."""
    found = captions_of(np.random.default_rng(seed), train, 20)
    flat = [c for row in found for c in row]
    truth = {q: np.repeat([s.numbers[q] for s in train.samples], 20) for q in QUANTITIES}
    tokenizer = Tokenizer.from_texts([c.text for c in flat])
    encoder = train_text(flat, truth, tokenizer, seed=seed, steps=TEXT_STEPS).requires_grad_(False)
    return encoder, tokenizer, [[c.text for c in row] for row in found]


def autoencoder_scores(model, setting, test, domains):
    scaled = [setting.scaling.apply(v) for v in pipeline.tensors_of(test)]
    restored = [setting.scaling.undo(r).numpy() for r in reconstructions(model, scaled, domains)]
    floors = [interpolation_floor(s, test.box, model.config.shape) for s in test.samples]

    def mean(values, channels):
        pairs = zip(values, test.samples, strict=True)
        return float(np.mean([metrics.relative_error(v[..., channels], s.values[..., channels]) for v, s in pairs]))

    ny, nx = model.config.latent_shape
    size = np.mean([s.values.size for s in test.samples]) / (len(test.times) * model.config.latents * ny * nx)
    return {
        "parameters": parameter_count(model),
        "compression": float(size),
        "error": mean(restored, [0, 1, 2]),
        "error_v": mean(restored, [1]),
        "floor": mean(floors, [0, 1, 2]),
        "floor_v": mean(floors, [1]),
    }


def finer(model, folder, which):
    """Error at the nodes of the mesh that was encoded, and at those of one twice finer, whose solution is the truth."""
    fine = wakes(folder, which, resolution=16)
    coarse = wakes(folder, which)
    rows = []
    for f, c in zip(fine.samples, coarse.samples, strict=True):
        index, weights = forecasters.barycentric(f.points, c.points)
        on_coarse = (f.values[:, index] * weights[None, ..., None]).sum(axis=2).astype(np.float32)
        domains = [model.mesh_domain(s.points, s.triangles) for s in (c, f)]
        with torch.no_grad():
            latents = model.encode([torch.from_numpy(on_coarse)], domains[:1])
            found = [model.decode(latents, [d])[0].numpy() for d in domains]
        rows.append([metrics.relative_error(found[0], on_coarse), metrics.relative_error(found[1], f.values)])
    same, twice = np.mean(rows, axis=0)
    return {"encoded_mesh": float(same), "twice_finer": float(twice)}


def cost(model, test, ties):
    """CPU seconds of a member of 8, decoding included, and of our solver for the same frames, on five test meshes."""
    rows = []
    for i in range(5):
        sample, known = test.samples[i], test.samples[i].numbers_in(model.setting.numbers.names)
        model.continued(ties[i], sample.values[0], known, 8, Draw())
        start = time.process_time()
        for _ in range(3):
            model.continued(ties[i], sample.values[0], known, 8, Draw())
        drawn = (time.process_time() - start) / 24
        start = time.process_time()
        wake(TEST[i])
        rows.append((len(sample.points), drawn, time.process_time() - start))
    nodes, drawn, solved = np.array(rows).T
    ratios = solved / drawn
    return {
        "nodes": float(np.median(nodes)),
        "drawn": float(np.median(drawn)),
        "solved": float(np.median(solved)),
        "ratio": float(np.median(ratios)),
        "least_ratio": float(ratios.min()),
    }


def read_exactly(model, test, seed):
    """Part of the quantities in new captions that are read exactly, in trained and in unseen phrasing."""
    found = {}
    for name, held_out in (("trained", False), ("unseen", True)):
        rows = captions_of(np.random.default_rng(seed + 7), test, 8, held_out)
        hits = []
        for caption in (c for row in rows for c in row):
            try:
                values = read(caption.text, model.text, model.tokenizer).values
            except ValueError:  # a misreading that contradicts itself
                values = {}
            hits += [abs(values.get(q, 1e9) - v) <= 1e-6 * abs(v) for q, v in caption.values().items()]
        found[name] = float(np.mean(hits))
    return found


def throughput(model, train, domains, latents):
    """CPU seconds of one step on cached latents, and of encoding the batch that it would need otherwise."""
    values = pipeline.tensors_of(train)
    start = time.process_time()
    for _ in range(3):
        with torch.no_grad():
            model.encode(values[:16], domains[:16])
    encoding = (time.process_time() - start) / 3
    given = latents.given(framed=True, text=model.text_width).rows(torch.arange(16))
    generator = torch.Generator().manual_seed(0)
    start = time.process_time()
    for _ in range(3):
        mean = model.continuation.expected(given).detach()
        model.continuation.residual_loss(latents.values[:16], mean, given, generator).backward()
    cached = (time.process_time() - start) / 3
    return {"cached": cached, "encoding": encoding, "ratio": (cached + encoding) / cached}


def others(train, setting, seconds, seed):
    """What ours is compared with; no network where it has no time."""
    fitted = {"persistence": forecasters.persistence(train), "pod": forecasters.pod_ridge(train, setting)}
    if seconds:
        fitted["mesh-operator"] = forecasters.mesh_operator(train, setting, lasting(seconds), seed, batch=8)
    return fitted


def main(folder, out, seed, effort=1.0, checkpoint=None):
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    base, held, test = (wakes(folder, r) for r in (range(300), range(300, 320), TEST))
    train = pipeline.mirrored(base, "cylinder")
    setting = pipeline.learn_setting(train, "cylinder")
    autoencoder = pipeline.build_autoencoder(train, seed)
    domains = pipeline.domains_of(autoencoder, setting, train)
    scaled = [setting.scaling.apply(v) for v in pipeline.tensors_of(train)]
    train_autoencoder(autoencoder, scaled, domains, lasting(effort * AUTOENCODER, 0.98), ReconstructionLoss(), seed)
    ties = pipeline.domains_of(autoencoder, setting, test)
    result = {"seed": seed, "autoencoder": autoencoder_scores(autoencoder, setting, test, ties)}
    print(result, flush=True)
    text, tokenizer, texts = train_words(base, seed)
    images = captions_of(np.random.default_rng(seed + 3), train.some(range(len(base), len(train))), 20)
    torch.manual_seed(seed)
    design = Design(
        mean_backbone=BackboneConfig(widths=(96, 128)),
        residual_backbone=BackboneConfig(widths=(96, 128)),
        opening_backbone=BackboneConfig(widths=(64, 96)),
    )
    model = Generator(setting, design, autoencoder, text, tokenizer)
    latents = pipeline.cache_latents(model, train, domains, measure=True)
    budget = pipeline.Budget(*(lasting(effort * s, 0.99) for s in (MEAN, RESIDUAL, OPENING)))
    steps = {}
    prompts = pipeline.Prompts(model.embed, texts + [[c.text for c in row] for row in images])
    pipeline.train_generator(
        model, train, domains, latents, budget, seed, prompts, monitor=lambda name, t: steps.update({name: t.step})
    )
    result["steps"] = steps
    result["spread_before"] = set_spread(model, held, 8, seed)
    result["inflation"] = float(model.continuation.inflation)
    draw, scale = Draw(seed), setting.scaling.scale

    def scored(name, drawer, places):
        result[name] = asdict(evaluation.score(test, scale, places, drawer))
        print(name, {k: v if isinstance(v, dict) else round(v, 4) for k, v in result[name].items()}, flush=True)

    none = [None] * len(test)
    scored("mean", evaluation.from_frames(model, 1, replace(draw, members_share_mean=True)), ties)
    scored("ours, 2 steps", evaluation.from_frames(model, 8, draw), ties)
    result["by_steps"] = evaluation.by_steps(model, test.some(range(10)), ties[:10], draw) if seed == 0 else None
    rng = np.random.default_rng(seed + 1)
    asked = [c[0].text for c in captions_of(rng, test, 1, held_out=True)]
    readings = [fidelity.numbers_in(model, prompt) for prompt in asked]
    scored("prompt alone", evaluation.from_prompts(model, asked, readings, 8, draw), ties)
    numbers = [s.numbers_in(setting.numbers.names) for s in test.samples]
    scored("numbers alone", evaluation.from_prompts(model, [""] * len(test), numbers, 8, draw), ties)
    result["read_back"] = read_back(model, test, ties, numbers, draw)
    result["finer"] = finer(model, folder, range(390, 394))
    result["cost"] = cost(model, test, ties)
    result["read_exactly"] = read_exactly(model, test, seed)
    result["throughput"] = throughput(model, train, domains, latents)
    seconds = 0.0 if checkpoint else effort * (AUTOENCODER + MEAN + RESIDUAL)
    for name, f in others(train, setting, seconds, seed).items():
        scored(name, lambda s, _, f=f: f.forecast(s)[None], none)
    with open(out, "w") as file:
        json.dump(result, file, indent=1)
    if checkpoint is not None:
        recipe = {"script": "plugins/text2pde/benchmarks/cylinder.py", "seed": seed, "effort": effort}
        save(model.to_dataset(), Path(checkpoint), {"recipe": recipe, "scores": result})


def read_back(model, test, ties, numbers, draw):
    """Reynolds number and place in the mean of 8 members drawn from numbers alone, shedding frequency in one."""
    rows = []
    for sample, domain, given in zip(test.samples, ties, numbers, strict=True):
        members = model.imagined(domain, given, 8, draw)
        found = fidelity.wake_in(members.mean(axis=0), sample.points, domain.geometry.segments, VISCOSITY)
        behind = np.argmin(np.linalg.norm(sample.points - [given["centre_x"] + 0.3, given["centre_y"]], axis=1))
        swing = [v[:, behind, 1] for v in (members[0], sample.values)]
        rate = [metrics.dominant_frequency(s, 0.04) for s in swing]
        rows.append(
            [
                abs(found.get("reynolds", 0) / given["reynolds"] - 1),
                max(abs(found.get(k, 9) - given[k]) for k in ("centre_x", "centre_y")),
                abs(rate[0] / rate[1] - 1) if np.ptp(swing[1]) > 0.2 * given["mean_velocity"] else np.nan,
            ]
        )
    reynolds, place, rate = np.array(rows).T
    return {
        "reynolds_within_5_percent": float((reynolds <= 0.05).mean()),
        "place_within_2_cm": float((place <= 0.02).mean()),
        "frequency_within_10_percent": float((rate[np.isfinite(rate)] <= 0.1).mean()),
        "shedding": int(np.isfinite(rate).sum()),
    }


if __name__ == "__main__":
    seed, effort, checkpoint = [*sys.argv[3:], *["0", "1", None][len(sys.argv) - 3 :]]
    main(sys.argv[1], sys.argv[2], int(seed), float(effort), checkpoint)
