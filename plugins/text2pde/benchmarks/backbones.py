"""What the generator is made of, at equal CPU time on one autoencoder: two parts or one, U-Net or transformer.

Usage: python backbones.py DATA CHECKPOINT OUT.json [seed] [seconds]

CHECKPOINT is a model's path without suffix, of which the autoencoder is taken. The paper's design is one part, a
transformer that predicts the noise.
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import torch
from data import wakes
from fieldloom_text2pde import evaluation, pipeline
from fieldloom_text2pde.checkpoint import load
from fieldloom_text2pde.generator.backbones import BackboneConfig
from fieldloom_text2pde.generator.model import Draw, Generator
from fieldloom_text2pde.generator.setting import Design
from fieldloom_text2pde.networks.blocks import parameter_count
from fieldloom_text2pde.training import Schedule

UNET = BackboneConfig(widths=(96, 128))
DIT = BackboneConfig("dit", width=128, depth=4, heads=4, patch=(4, 2, 2))
DESIGNS = {
    "mean and residual, U-Net": Design("latent", UNET, UNET),
    "mean and residual, transformer": Design("latent", DIT, DIT),
    "one part, U-Net, flow matching": Design("none", residual_backbone=UNET),
    "one part, transformer, flow matching": Design("none", residual_backbone=DIT),
    "one part, transformer, noise predicted (the paper's)": Design("none", residual_backbone=DIT, process="epsilon"),
}
SAMPLERS = {"flow": ("flow-euler", 4), "epsilon": ("ddim", 20)}


def main(folder, checkpoint, out, seed, seconds):
    torch.set_num_threads(1)
    base = Generator.from_dataset(load(Path(checkpoint)))
    train, test = wakes(folder, range(300)), wakes(folder, range(340, 360))
    domains, ties = (pipeline.domains_of(base.autoencoder, base.setting, d) for d in (train, test))
    latents = pipeline.cache_latents(base, train, domains)
    found = {}
    for name, design in DESIGNS.items():
        torch.manual_seed(seed)
        model = Generator(base.setting, design, base.autoencoder)
        model.latent_shift.copy_(base.latent_shift)
        model.latent_scale.copy_(base.latent_scale)
        share = 0.6 if design.mean != "none" else 0.0
        parts = [Schedule(10**9, seconds=s * seconds, average=0.99) for s in (max(share, 1e-9), 1 - share)]
        pipeline.train_generator(model, train, domains, latents, pipeline.Budget(*parts, None), seed)
        sampler, steps = SAMPLERS[design.process]
        draw = Draw(seed, sampler, steps)
        scores = evaluation.score(test, base.setting.scaling.scale, ties, evaluation.from_frames(model, 4, draw))
        found[name] = asdict(scores) | {"parameters": parameter_count(model.continuation)}
        print(name, {k: round(found[name][k], 4) for k in ("error", "error_of_one", "crps", "parameters")}, flush=True)
    with open(out, "w") as file:
        json.dump(found, file, indent=1)


if __name__ == "__main__":
    seed, seconds = [*sys.argv[4:], *["0", "80"][len(sys.argv) - 4 :]]
    main(*sys.argv[1:4], int(seed), float(seconds))
