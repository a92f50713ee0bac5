"""Trains the text encoder on captions."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from .captions import Caption
from .encoder import NO_TAG, Encoded, Tag, TextEncoder
from .tokenizer import CLS, NUM, PAD, UNK, Batch, Tokenizer

IGNORED = -100
"""Class of tokens that are no numbers: not trained."""
SCRAMBLED = 0.5
"""Share of captions whose numbers are multiplied by random factors: tags must come from words, not from sizes."""
DECADES = 2.0
"""Those factors reach up to so many powers of ten either way."""
FORGOTTEN = 0.08
"""Share of words that training replaces by [UNK]."""
INSERTED, MOST_INSERTED = 0.08, 3
"""Share of tokens before which training puts [UNK], and how many at most."""
LEFT_OUT = 0.04
"""Share of words that training leaves out."""
SORTED_TOGETHER = 8
"""Batches that are drawn at once and divided by length."""
WARM_UP = 0.05
"""Share of the training in which the learning rate rises."""

Progress = Callable[[int, float], None]
"""Called after each step with the number of steps done and the loss."""


def train_text(
    captions: Sequence[Caption],
    quantities: Mapping[str, NDArray[Any]],
    tokenizer: Tokenizer,
    *,
    seed: int,
    steps: int = 1200,
    seconds: float = math.inf,
    batch_size: int = 16,
    learning_rate: float = 3e-3,
    progress: Progress | None = None,
    **architecture: int,
) -> TextEncoder:
    """Train an encoder: cross-entropy on what numbers denote, Gaussian likelihood of the quantities.

    Parameters
    ----------
    captions : sequence of Caption
        With spans.
    quantities : mapping of str to ndarray, shape (captions,)
        What is true of the scene of each caption, named in it or not, SI units; NaN where it is not known.
    tokenizer : Tokenizer
    seed : int
        Of weights, order and augmentation.
    steps, seconds : int, float
        Training ends with the first that is reached; the same steps give the same weights.
    batch_size : int
    learning_rate : float
        Of AdamW, largest; it falls as a cosine.
    progress : callable, optional
        An exception that it raises ends the training.
    **architecture : int
        ``width``, ``layers`` and ``heads`` of `TextEncoder`.

    Raises
    ------
    ValueError
        If captions and quantities do not fit each other, or numbers in captions and tokens do not.
    """
    truth = _table(captions, quantities)
    tags = collect_tags(captions)
    batch = tokenizer.batch([caption.text for caption in captions])
    classes = tag_classes(captions, tokenizer, tags)
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = TextEncoder(len(tokenizer), tags, _moments(quantities), **architecture)
    normal = (truth - encoder.mean) / encoder.scale
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=learning_rate, weight_decay=0.01)
    draws = batches(batch.mask.sum(1), batch_size, generator)
    start = time.perf_counter()
    for step in range(steps):
        done = max(step / steps, (time.perf_counter() - start) / seconds)
        if done >= 1:
            break
        optimizer.param_groups[0]["lr"] = learning_rate * schedule(done)
        rows = next(draws)
        drawn = batch.rows(rows)
        changed, kinds, scrambled = augment(drawn, classes[rows, : drawn.ids.shape[1]], generator)
        loss = objective(encoder(changed), kinds, normal[rows], scrambled)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        torch.nn.utils.clip_grad_norm_(encoder.parameters(), 1.0)
        optimizer.step()
        if progress:
            progress(step + 1, float(loss.detach()))
    return encoder.eval()


def batches(lengths: Tensor, size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Draw rows for ever, in batches of similar lengths: less filling to compute."""
    while True:
        rows = torch.randint(len(lengths), (size * SORTED_TOGETHER,), generator=generator)
        ordered = rows[lengths[rows].argsort()].view(SORTED_TOGETHER, size)
        yield from ordered[torch.randperm(SORTED_TOGETHER, generator=generator)]


def schedule(done: float) -> float:
    """Share of the learning rate after a share of the training: up in a line, down as a cosine."""
    return min(done / WARM_UP + 0.01, 0.5 * (1 + math.cos(math.pi * done)))


def collect_tags(captions: Sequence[Caption]) -> tuple[Tag, ...]:
    """All that numbers denote in captions, in order."""
    return tuple(sorted({(span.quantity, span.factor) for caption in captions for span in caption.spans}))


def tag_classes(captions: Sequence[Caption], tokenizer: Tokenizer, tags: Sequence[Tag]) -> Tensor:
    """Class of each token, shape (captions, longest): of a tag, "none" for other numbers, ignored for words.

    Raises
    ------
    ValueError
        If a span is not exactly one number.
    """
    index = {tag: i for i, tag in enumerate(tags, start=NO_TAG + 1)}
    rows = [_classes(caption, tokenizer, index) for caption in captions]
    classes = torch.full((len(rows), max(map(len, rows))), IGNORED)
    for i, row in enumerate(rows):
        classes[i, : len(row)] = torch.tensor(row)
    return classes


def _classes(caption: Caption, tokenizer: Tokenizer, index: Mapping[Tag, int]) -> list[int]:
    tokens = tokenizer.encode(caption.text)
    denoted = {(span.start, span.stop): index[span.quantity, span.factor] for span in caption.spans}
    numbers = {at for at, i in zip(tokens.offsets, tokens.ids, strict=True) if i == NUM}
    if not denoted.keys() <= numbers:
        raise ValueError(f"a span of {caption.text!r} is not exactly one number: check {caption.spans}")
    return [denoted.get(at, NO_TAG) if at in numbers else IGNORED for at in tokens.offsets]


def augment(batch: Batch, classes: Tensor, generator: torch.Generator) -> tuple[Batch, Tensor, Tensor]:
    """Disturb words, and scramble the numbers of some captions.

    Returns
    -------
    Batch
    Tensor of int, shape (batch, length)
        The classes, moved along with their tokens.
    Tensor of bool, shape (batch,)
        True where the numbers were scrambled, so that they no longer say anything about the scene.
    """
    scrambled = torch.rand(len(batch.ids), generator=generator) < SCRAMBLED
    exponents = DECADES * (2 * torch.rand(batch.values.shape, generator=generator, dtype=torch.float64) - 1)
    values = torch.where(scrambled[:, None], batch.values * 10**exponents, batch.values)
    return *disturb(Batch(batch.ids, values, batch.mask), classes, generator), scrambled


def disturb(batch: Batch, classes: Tensor, generator: torch.Generator) -> tuple[Batch, Tensor]:
    """Forget some words, leave some out, and put unknown ones in: prompts have words that captions never use."""
    ids, values, kinds = (column[batch.mask] for column in (batch.ids, batch.values, classes))  # (tokens,) each
    row = torch.arange(len(batch.ids))[:, None].expand_as(batch.ids)[batch.mask]
    chance = torch.rand(3, len(ids), generator=generator)
    word = ids > NUM
    ids = ids.masked_fill(word & (chance[0] < FORGOTTEN), UNK)
    more = (chance[1] < INSERTED) * torch.randint(1, MOST_INSERTED + 1, (len(ids),), generator=generator)
    copies = 1 + more * (ids != CLS) - (word & (chance[2] < LEFT_OUT)).long()
    source = torch.arange(len(ids)).repeat_interleave(copies)
    inserted = source == torch.cat([source[1:], source.new_tensor([-1])])  # all but the last copy of a token
    counts = torch.bincount(row[source], minlength=len(batch.ids))
    mask = torch.arange(int(counts.max())) < counts[:, None]
    columns = (ids[source].masked_fill(inserted, UNK), values[source].masked_fill(inserted, 0.0),
               kinds[source].masked_fill(inserted, IGNORED))  # fmt: skip
    fillings = (PAD, 0.0, IGNORED)
    ids, values, kinds = (
        torch.full(mask.shape, filling, dtype=column.dtype).masked_scatter(mask, column)
        for filling, column in zip(fillings, columns, strict=True)
    )
    return Batch(ids, values, mask), kinds


def objective(encoded: Encoded, classes: Tensor, truth: Tensor, scrambled: Tensor) -> Tensor:
    """Loss of a batch: mean over its numbers, and over the quantities that are known and not named.

    Parameters
    ----------
    classes : Tensor of int, shape (batch, length)
    truth : Tensor, shape (batch, quantities)
        (value - mean) / scale; NaN where not known.
    scrambled : Tensor of bool, shape (batch,)
        Captions that say nothing about the quantities.
    """
    tagging = functional.cross_entropy(encoded.tag_logits.flatten(0, 1), classes.flatten(), ignore_index=IGNORED,
                                       reduction="sum")  # fmt: skip
    tagging = tagging / (classes != IGNORED).sum().clamp(1)
    known = truth.isfinite() & ~encoded.named & ~scrambled[:, None]
    miss = encoded.estimate - truth.nan_to_num()
    likelihood = 0.5 * (miss**2 * torch.exp(-encoded.log_variance) + encoded.log_variance)
    return tagging + (likelihood * known).sum() / known.sum().clamp(1)


def _table(captions: Sequence[Caption], quantities: Mapping[str, NDArray[Any]]) -> Tensor:
    if not captions or not quantities:
        raise ValueError("training needs captions and at least one quantity")
    for name, column in quantities.items():
        if np.shape(column) != (len(captions),):
            raise ValueError(
                f"{name} has shape {np.shape(column)} and there are {len(captions)} captions: give one value for each"
            )
    return torch.tensor(np.stack(list(quantities.values()), axis=1), dtype=torch.float32)


def _moments(quantities: Mapping[str, NDArray[Any]]) -> dict[str, tuple[float, float]]:
    """Mean and standard deviation of each quantity; 1 instead of a deviation of zero."""
    return {name: (float(np.nanmean(c)), float(np.nanstd(c)) or 1.0) for name, c in quantities.items()}
