"""A pretrained encoder from the transformers library in place of our own; needs weights that are already here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from .tokenizer import MAX_TOKENS


@dataclass(frozen=True, slots=True)
class Embedded:
    """Embeddings of a batch of prompts: the part of `Encoded` that every encoder has.

    Attributes
    ----------
    tokens : Tensor, shape (batch, length, width)
        Zero on filling.
    mask : Tensor of bool, shape (batch, length)
    pooled : Tensor, shape (batch, width)
        Mean over the tokens.
    """

    tokens: Tensor
    mask: Tensor
    pooled: Tensor


class PretrainedText(nn.Module):
    """A frozen encoder and its tokenizer, loaded by transformers.

    It embeds but tags no numbers: `reading.read` needs a `TextEncoder`.

    Parameters
    ----------
    name_or_path : str or Path
        A folder with weights and tokenizer, or a name that transformers knows; a name may be downloaded.
    max_tokens : int
        Longest prompt that is accepted.

    Raises
    ------
    ImportError
        If transformers is not installed.
    """

    def __init__(self, name_or_path: str | Path, max_tokens: int = MAX_TOKENS) -> None:
        super().__init__()
        try:
            from transformers import AutoModel, AutoTokenizer
        except ImportError as problem:
            raise ImportError(
                f"the text encoder {str(name_or_path)!r} needs transformers: `pip install transformers`, or use the "
                "encoder that is trained here"
            ) from problem
        self.tokenizer = AutoTokenizer.from_pretrained(str(name_or_path))
        self.model = AutoModel.from_pretrained(str(name_or_path)).eval().requires_grad_(False)
        self.max_tokens = max_tokens
        self.width = int(self.model.config.hidden_size)

    @torch.no_grad()
    def forward(self, prompts: Sequence[str]) -> Embedded:
        """Embed prompts.

        Raises
        ------
        ValueError
            If a prompt is empty or too long.
        """
        if not prompts or not all(prompt.strip() for prompt in prompts):
            raise ValueError("a prompt is empty: say in words what to show")
        device = next(self.model.parameters()).device
        batch = self.tokenizer(list(prompts), padding=True, return_tensors="pt").to(device)
        mask = batch["attention_mask"].bool()
        if mask.shape[1] > self.max_tokens:
            raise ValueError(f"a prompt has {mask.shape[1]} tokens and may have {self.max_tokens}: shorten it")
        x = self.model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state
        x = x * mask[..., None]  # (batch, length, width)
        return Embedded(x, mask, x.sum(1) / mask.sum(1, keepdim=True))
