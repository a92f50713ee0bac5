"""What several stages do first and last: take splits apart, report progress, keep checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from fieldloom import Context

if TYPE_CHECKING:
    import xarray as xr
    from torch import Tensor, nn

    from ..training import Training
    from ..trajectories import Trajectories

SPLITS = ("train", "validation", "test")
SAVE_EVERY = 50  # optimiser steps between checkpoints


def splits(
    fields: Mapping[str, xr.Dataset], captions: xr.Dataset, names: Sequence[str] | None
) -> dict[str, Trajectories]:
    """Trajectories of each split, with the numbers that their captions know.

    Raises
    ------
    ValueError
        If captions and fields belong to different trajectories.
    """
    from ..trajectories import Sample, Trajectories, collect

    data = collect(fields, names)
    if len(data) != captions.sizes["sample"]:
        raise ValueError(
            f"there are {len(data)} trajectories and captions of {captions.sizes['sample']}: of other fields?"
        )
    columns = {str(n): v for n, v in captions.data_vars.items() if v.dims == ("sample",) and v.dtype.kind == "f"}
    values = {n: v.to_numpy() for n, v in columns.items()}
    units = {n: str(v.attrs.get("units", "1")) for n, v in columns.items()}
    samples = tuple(
        Sample(s.values, s.points, s.triangles, {n: float(v[i]) for n, v in values.items()})
        for i, s in enumerate(data.samples)
    )
    whole = Trajectories(samples, data.channels, data.times, units, data.grid, data.box)
    split = captions["split"].to_numpy()
    return {name: whole.some([i for i in range(len(whole)) if split[i] == name]) for name in SPLITS}


def members_of(captions: xr.Dataset, split: str) -> list[int]:
    """Sample numbers of a split."""
    return [i for i, name in enumerate(captions["split"].to_numpy().tolist()) if name == split]


def compiled(*networks: nn.Module | None) -> None:
    """Let torch compile networks when they first run, in place: the names of their weights stay."""
    for network in networks:
        if network is not None:
            network.compile()


def use_threads(context: Context) -> None:
    """Let torch use the threads that the stage was given."""
    import torch

    torch.set_num_threads(context.threads)


def reporter(context: Context, label: str, part: float) -> Callable[[Training], None]:
    """Show progress of a training that is the first ``part`` of the stage; save checkpoints."""
    from ..weights import to_dataset

    def after(training: Training) -> None:
        if training.step % SAVE_EVERY == 0 and training.share < 1:
            context.checkpoints.save(training.step, to_dataset(training.state(), {"part": label}))
        message = f"{label}: step {training.step}, loss {training.losses[-1]:.4g}"
        context.progress(part * min(training.share, 1.0), 1.0, message)

    return after


def checkpoint(context: Context, label: str) -> dict[str, Tensor] | None:
    """State of the part's training, if the stage was interrupted in it."""
    from ..weights import attribute, from_dataset

    saved = context.checkpoints.latest()
    if saved is None or attribute(saved[1], "part") != label:  # type: ignore[arg-type]  # what reporter saved
        return None
    context.log.info("%s goes on after step %d", label, saved[0])
    return from_dataset(saved[1])  # type: ignore[arg-type]
