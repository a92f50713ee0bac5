"""A small transformer that reads words and numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .tokenizer import NUM, PAD, Batch

Tag = tuple[str, float]
"""What a number denotes: a quantity, and the factor that makes the number one in SI units."""

NO_TAG = 0
"""Class of tokens that denote no quantity; tag i of the encoder is class i + 1."""
OCTAVES = tuple(2.0**k for k in range(-3, 5))
"""Periods in a decade at which a number's logarithm is seen."""
REACH = 24
"""Distance in tokens beyond which all tokens are equally far."""
BOUND = 5.0
"""Of the logarithm of the variance of what words imply."""
READ_LOG_VARIANCE = -8.0
"""Of what is read from a number."""
FARTHEST = 10.0
"""Values are seen as at most so many scales from the mean."""
TINY = 1e-12
"""Numbers below are seen as zero."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """What the encoder makes of a batch of prompts.

    Attributes
    ----------
    tokens : Tensor, shape (batch, length, width)
        Embeddings; zero on filling.
    mask : Tensor of bool, shape (batch, length)
        True on tokens.
    pooled : Tensor, shape (batch, width)
        Mean over the tokens.
    tag_logits : Tensor, shape (batch, length, tags + 1)
        What each number denotes; the first class is "none".
    named : Tensor of bool, shape (batch, quantities)
        True where a number gives the quantity.
    estimate : Tensor, shape (batch, quantities)
        Each quantity as numbers give it or, failing these, words imply it; (value - mean) / scale.
    log_variance : Tensor, shape (batch, quantities)
        Of the estimate.
    """

    tokens: Tensor
    mask: Tensor
    pooled: Tensor
    tag_logits: Tensor
    named: Tensor
    estimate: Tensor
    log_variance: Tensor


class TextEncoder(nn.Module):
    """Embeds prompts, tags their numbers and estimates quantities.

    Parameters
    ----------
    vocabulary : int
        Number of token ids.
    tags : sequence of (str, float)
        Quantities and factors that numbers may have.
    quantities : mapping of str to (float, float)
        Mean and scale of each quantity that is estimated, SI units.
    width, layers, heads : int
        Of the transformer; ``heads`` divides ``width``.
    """

    mean: Tensor
    scale: Tensor
    belongs: Tensor
    factors: Tensor

    def __init__(
        self,
        vocabulary: int,
        tags: Sequence[Tag],
        quantities: Mapping[str, tuple[float, float]],
        width: int = 64,
        layers: int = 2,
        heads: int = 4,
    ) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"the width {width} is not a multiple of {heads} heads: choose one that is")
        self.vocabulary, self.width, self.layers, self.heads = vocabulary, width, layers, heads
        self.tags = tuple((str(name), float(factor)) for name, factor in tags)
        self.quantities = tuple(quantities)
        self.embedding = nn.Embedding(vocabulary, width, padding_idx=PAD)
        self.number = nn.Sequential(nn.Linear(2 * len(OCTAVES) + 3, width), nn.GELU(), nn.Linear(width, width))
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.tagger = nn.Linear(width, len(self.tags) + 1)
        many = len(self.quantities)
        self.estimator = nn.Sequential(nn.Linear(width + 2 * many, width), nn.GELU(), nn.Linear(width, 2 * many))
        moments = torch.tensor(list(quantities.values()), dtype=torch.float32).reshape(-1, 2)
        self.register_buffer("mean", moments[:, 0])
        self.register_buffer("scale", moments[:, 1])
        belongs = [[float(name == quantity) for quantity in self.quantities] for name, _ in ((None, 0), *self.tags)]
        factors = [0.0, *(factor for _, factor in self.tags)]
        self.register_buffer("belongs", torch.tensor(belongs).reshape(-1, many), persistent=False)
        self.register_buffer("factors", torch.tensor(factors), persistent=False)

    def config(self) -> dict[str, Any]:
        """Arguments that make this encoder but for its weights, ready for JSON."""
        moments = torch.stack([self.mean, self.scale], dim=1).tolist()
        return {
            "vocabulary": self.vocabulary,
            "tags": [list(tag) for tag in self.tags],
            "quantities": dict(zip(self.quantities, moments, strict=True)),
            "width": self.width,
            "layers": self.layers,
            "heads": self.heads,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> TextEncoder:
        """Inverse of `config`; the weights are random."""
        return cls(**config)

    def forward(self, batch: Batch) -> Encoded:
        """Encode tokenized prompts."""
        x = self.embedding(batch.ids)  # (batch, length, width)
        x = x + self.number(number_features(batch.values)) * (batch.ids == NUM)[..., None]
        for block in self.blocks:
            x = block(x, batch.mask)  # (batch, length, width)
        x = self.norm(x) * batch.mask[..., None]
        pooled = x.sum(1) / batch.mask.sum(1, keepdim=True)  # (batch, width)
        tag_logits = self.tagger(x)  # (batch, length, tags + 1)
        return Encoded(x, batch.mask, pooled, tag_logits, *self.estimates(pooled, tag_logits, batch))

    def estimates(self, pooled: Tensor, tag_logits: Tensor, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Which quantities are named, then mean and log variance: what is named as read, the rest by a network."""
        named, value = self.named(tag_logits, batch)  # (batch, quantities) each
        seen = torch.cat([pooled, named.float(), value], dim=-1)
        implied, log_variance = self.estimator(seen).chunk(2, dim=-1)  # (batch, quantities) each
        bounded = BOUND * torch.tanh(log_variance / BOUND)
        return named, torch.where(named, value, implied), torch.where(named, READ_LOG_VARIANCE, bounded)

    def named(self, tag_logits: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Which quantities are named, and the mean of the numbers that name them as (value - mean) / scale, else 0."""
        classes = tag_logits.argmax(-1).masked_fill(batch.ids != NUM, NO_TAG)  # (batch, length)
        names = self.belongs[classes]  # (batch, length, quantities)
        count = names.sum(1)  # (batch, quantities)
        total = (names * (self.factors[classes] * batch.values)[..., None]).sum(1)  # (batch, quantities)
        normal = (total / count.clamp(1) - self.mean) / self.scale  # (batch, quantities)
        return count > 0, torch.where(count > 0, normal.clamp(-FARTHEST, FARTHEST), 0).to(self.scale.dtype)


class Block(nn.Module):
    """Attention with a bias by distance, then a perceptron, each on normalised input and added to it.

    Distances instead of positions: a clause reads the same wherever it stands.
    """

    distances: Tensor

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before_attention, self.before_perceptron = nn.LayerNorm(width), nn.LayerNorm(width)
        self.projections, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.perceptron = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        slopes = 2.0 ** -torch.arange(heads) * (torch.arange(heads) < heads - 1)
        self.bias = nn.Parameter(-slopes[:, None] * (torch.arange(2 * REACH + 1) - REACH).abs())

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Update embeddings of shape (batch, length, width); filling is not looked at."""
        x = x + self.attention(self.before_attention(x), mask)
        updated: Tensor = x + self.perceptron(self.before_perceptron(x))
        return updated

    def attention(self, x: Tensor, mask: Tensor) -> Tensor:
        batch, length, width = x.shape
        split = self.projections(x).view(batch, length, 3, self.heads, width // self.heads)
        q, k, v = split.permute(2, 0, 3, 1, 4)  # (batch, heads, length, width / heads) each
        places = torch.arange(length, device=x.device)
        distance = (places[None, :] - places[:, None]).clamp(-REACH, REACH) + REACH
        filling = torch.zeros(mask.shape, device=x.device).masked_fill(~mask, -torch.inf)[:, None, None, :]
        scores = q @ k.mT * q.shape[-1] ** -0.5 + self.bias[:, distance] + filling  # (batch, heads, length, length)
        mixed = scores.softmax(-1) @ v  # (batch, heads, length, width / heads)
        result: Tensor = self.out(mixed.transpose(1, 2).reshape(batch, length, width))
        return result


def number_features(values: Tensor) -> Tensor:
    """Numbers as waves of their logarithm, with sign: shape (..., 2 octaves + 3), float32."""
    size = values.abs()
    logarithm = torch.log10(size.clamp(TINY)).to(torch.float32)
    angle = 2 * torch.pi * logarithm[..., None] * torch.tensor(OCTAVES, device=values.device)  # (..., octaves)
    plain = torch.stack([logarithm / 3, values.sign().float(), (size < TINY).float()], dim=-1)  # (..., 3)
    return torch.cat([angle.sin(), angle.cos(), plain], dim=-1)
