"""Every stage's output on a few waves (or smoke), with trainings of a few steps, made once a test session."""

import tempfile
from functools import cache
from pathlib import Path

from fieldloom import Collection, Context
from fieldloom.registry import Registry
from fieldloom.spec.load import validate_model
from small import population, smoke

SMALL = {"mean_steps": 6, "residual_steps": 6, "opening_steps": 6, "text_steps": 40, "widths": [16, 24], "blocks": 1,
         "field_widths": [16, 24], "batch": 4, "members": 2}  # fmt: skip


def run(stage_id, params, seed=0, **inputs):
    """Run a stage as the engine would, without a store."""
    stage = Registry().stage(stage_id)
    context = Context("test", seed, Path(tempfile.mkdtemp()))
    return stage().run(context, validate_model(stage.Params, params), **inputs)


@cache
def fields(kind):
    return population() if kind == "mesh" else smoke()


def collected(kind):
    return Collection.of(fields(kind))


@cache
def captions(kind):
    params = {"variants": 4, "test": 0.15, "validation": 0.1}
    return run("text2pde.caption", params, fields=collected(kind))["captions"]


AUTOENCODER = {"cells": [8, 24], "widths": [16, 24], "steps": 8}


@cache
def autoencoder(kind):
    return run("text2pde.train-autoencoder", AUTOENCODER, fields=collected(kind), captions=captions(kind))["model"]


@cache
def latents(kind, mirror=False):
    inputs = {"fields": collected(kind), "captions": captions(kind), "model": autoencoder(kind)}
    return run("text2pde.encode", {"mirror": mirror}, **inputs)["latents"]


@cache
def generator(kind, mean="latent", backbone="unet", process="flow", mirror=False):
    params = SMALL | {"mean": mean, "backbone": backbone, "process": process, "width": 32, "depth": 1}
    inputs = {"fields": collected(kind), "captions": captions(kind), "autoencoder": autoencoder(kind)}
    return run("text2pde.train-diffusion", params, **inputs, latents=latents(kind, mirror))["model"]
