"""Fieldloom's room of generators: from a sentence, a first frame or numbers to a simulation on any mesh."""

from __future__ import annotations

from fieldloom import hookimpl


@hookimpl
def register_stages() -> dict[str, str]:
    """Name the stages; their modules are imported on first use."""
    return {
        "text2pde.baseline": "fieldloom_text2pde.stages.baseline:Baseline",
        "text2pde.caption": "fieldloom_text2pde.stages.captions:Captions",
        "text2pde.encode": "fieldloom_text2pde.stages.autoencoder:Encode",
        "text2pde.evaluate": "fieldloom_text2pde.stages.evaluate:Evaluate",
        "text2pde.generate": "fieldloom_text2pde.stages.generate:Generate",
        "text2pde.pretrained": "fieldloom_text2pde.stages.pretrained:Pretrained",
        "text2pde.read-prompt": "fieldloom_text2pde.stages.generate:ReadPrompt",
        "text2pde.train-autoencoder": "fieldloom_text2pde.stages.autoencoder:TrainAutoencoder",
        "text2pde.train-diffusion": "fieldloom_text2pde.stages.diffusion:TrainDiffusion",
    }
