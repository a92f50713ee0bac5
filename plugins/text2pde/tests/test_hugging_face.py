"""Encoders of the transformers library in place of ours."""

import pytest
import tiny
import torch
from fieldloom_text2pde.generator.model import Generator
from fieldloom_text2pde.text.hugging_face import PretrainedText


def test_pretrained_text_without_transformers_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(ImportError, match="pip install transformers"):
        PretrainedText("anything")


def tiny_bert(folder):
    transformers = pytest.importorskip("transformers")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "radius", "wake", "5", "cm"]
    (folder / "vocab.txt").write_text("\n".join(words))
    transformers.BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    transformers.BertModel(transformers.BertConfig(vocab_size=len(words), **shape)).save_pretrained(folder)


def test_pretrained_text_has_the_same_output(tmp_path):
    tiny_bert(tmp_path)
    text = PretrainedText(tmp_path)
    alone, both = text(["radius 5 cm"]), text(["radius 5 cm", "wake radius 5 cm wake"])
    assert both.tokens.shape == (2, 7, 16)
    torch.testing.assert_close(both.pooled[:1], alone.pooled)
    with pytest.raises(ValueError, match="empty"):
        text([" "])


def test_a_generator_may_embed_prompts_by_a_pretrained_encoder(tmp_path):
    tiny_bert(tmp_path)
    inputs = {
        "fields": tiny.collected("mesh"),
        "captions": tiny.captions("mesh"),
        "autoencoder": tiny.autoencoder("mesh"),
    }
    params = tiny.SMALL | {"text_model": str(tmp_path), "backbone": "dit", "width": 32, "depth": 1}
    made = tiny.run("text2pde.train-diffusion", params, **inputs, latents=tiny.latents("mesh"))["model"]
    model = Generator.from_dataset(made)
    assert model.text_width == 16
    assert not [name for name in model.state_dict() if "pretrained" in name]
    asked = {"prompt": "a wake whose inflow is 0.9 m/s", "extrapolate": True, "members": 1}
    found = tiny.run("text2pde.generate", asked, model=made, domain=tiny.fields("mesh"))["first"]
    assert bool(found["velocity"].notnull().all())
