"""Smoke at 48 frames of 64 x 64, compressed at least 90 times: our autoencoder against PCA of the same latent size.

Usage: python compression.py DATA OUT.json [seed] [seconds]

Blocks of four frames share one latent frame. PCA twice: of whole trajectories, with as many components as there are
latents (or trajectories for training, which are fewer), and of blocks, with as many as a block has latents.
"""

import json
import sys

import numpy as np
import torch
from data import smoke
from fieldloom_text2pde import metrics, pipeline
from fieldloom_text2pde.autoencoders.learning import ReconstructionLoss, reconstructions, train_autoencoder
from fieldloom_text2pde.networks.blocks import parameter_count
from fieldloom_text2pde.training import Schedule

SECONDS, BLOCK, LATENTS, WIDTHS = 300.0, 4, 8, (48, 64, 96)
COUNT, TEST = 340, 24


def principal_components(train, count):
    """Mean and components of rows (samples, values), by the smaller Gram matrix."""
    mean = train.mean(axis=0)
    centred = train - mean
    _, vectors = np.linalg.eigh(centred @ centred.T)
    modes = vectors[:, ::-1][:, :count].T @ centred
    return mean, modes / np.linalg.norm(modes, axis=1, keepdims=True)


def main(folder, out, seed, seconds=SECONDS):
    torch.set_num_threads(1)
    whole = smoke(folder, COUNT, cells=64, steps=55, skip=8, every=1)
    train, test = whole.some(range(COUNT - TEST)), whole.some(range(COUNT - TEST, COUNT))
    mirrored = pipeline.mirrored(train, "smoke")
    setting = pipeline.learn_setting(mirrored)
    model = pipeline.build_autoencoder(train, seed, patch=2, widths=WIDTHS, latents=LATENTS, block=BLOCK)
    domains = pipeline.domains_of(model, setting, mirrored)
    values = [setting.scaling.apply(v) for v in pipeline.tensors_of(mirrored)]
    schedule = Schedule(10**9, seconds=seconds, average=0.98)
    training = train_autoencoder(model, values, domains, schedule, ReconstructionLoss(4, 4, divergence=1e-7), seed)
    ny, nx = model.config.latent_shape
    frames = len(test.times)
    latents = frames // BLOCK * LATENTS * ny * nx
    scaled = [setting.scaling.apply(v) for v in pipeline.tensors_of(test)]
    found = [setting.scaling.undo(r).numpy() for r in reconstructions(model, scaled, domains[: len(test)])]
    errors = [metrics.relative_error(f, s.values) for f, s in zip(found, test.samples, strict=True)]

    def pca(rows_each, count):
        """Error of PCA with ``count`` components on each trajectory cut into ``rows_each`` rows."""
        flat = [
            np.stack([setting.scaling.apply(torch.from_numpy(s.values)).numpy() for s in data.samples]).reshape(
                len(data) * rows_each, -1
            )
            for data in (train, test)
        ]
        mean, modes = principal_components(flat[0], min(count, len(flat[0]) - 1))
        restored = ((flat[1] - mean) @ modes.T @ modes + mean).reshape(len(test), frames, -1, 3)
        restored = setting.scaling.undo(torch.from_numpy(restored.astype(np.float32))).numpy()
        pairs = zip(restored, test.samples, strict=True)
        return float(np.mean([metrics.relative_error(r, s.values) for r, s in pairs]))

    result = {
        "seed": seed,
        "parameters": parameter_count(model),
        "steps": training.step,
        "compression": test.samples[0].values.size / latents,
        "error": float(np.mean(errors)),
        "pca_of_trajectories": pca(1, latents),
        "pca_of_blocks": pca(frames // BLOCK, LATENTS * ny * nx),
    }
    print(result)
    with open(out, "w") as file:
        json.dump(result, file, indent=1)


if __name__ == "__main__":
    seed, seconds = [*sys.argv[3:], *["0", SECONDS][len(sys.argv) - 3 :]]
    main(sys.argv[1], sys.argv[2], int(seed), float(seconds))
