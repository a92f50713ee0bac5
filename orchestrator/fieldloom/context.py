"""What a stage sees besides its data: seed, progress, logger, device, scratch folder, checkpoints."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from .errors import Cancelled

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr


class Checkpoints(Protocol):
    """Unfinished work of one instance, kept across crashes and interruptions."""

    def save(self, step: int, data: xr.Dataset | xr.DataTree) -> None:
        """Keep ``data`` as the state after ``step``; older states are dropped."""

    def latest(self) -> tuple[int, xr.Dataset | xr.DataTree] | None:
        """Return the newest state and its step, or None at the first start."""


class NoCheckpoints:
    """Checkpoints that keep nothing, for stages run outside a flow."""

    def save(self, step: int, data: Any) -> None:
        """Drop the state."""

    def latest(self) -> None:
        """There is none."""


@dataclass(slots=False)
class Context:
    """The surroundings of one running stage.

    Parameters
    ----------
    name : str
        The instance, such as ``wake[reynolds=60]``.
    seed : int
        Seed of every random number that the stage draws; see :meth:`rng`.
    threads : int
        How many threads the stage may use.
    scratch : Path
        An empty folder on the store's file system, removed afterwards.
    checkpoints : Checkpoints
        Where a long stage keeps its state, and finds it after a crash; only rank 0 saves.
    rank, ranks : int
        Number of this process among those that run the stage together, and how many there are.
    rendezvous : str
        File at which they meet.
    """

    name: str
    seed: int
    scratch: Path
    threads: int = 1
    gpu: bool = False
    checkpoints: Checkpoints = field(default_factory=NoCheckpoints)
    log: logging.Logger = field(default_factory=lambda: logging.getLogger("fieldloom.stage"))
    report: Callable[[float, float | None, str], None] = lambda done, total, message: None
    stopped: Callable[[], bool] = lambda: False
    rank: int = 0
    ranks: int = 1
    rendezvous: str = ""

    def rng(self) -> np.random.Generator:
        """Return a fresh generator, seeded with the stage's seed."""
        import numpy as np

        return np.random.default_rng(self.seed)

    def progress(self, done: float, total: float | None = None, message: str = "") -> None:
        """Show how far the stage is, and stop here if the run is being stopped.

        Raises
        ------
        Cancelled
            If the run was interrupted or the stage's time is up. Save a checkpoint before, not after.
        """
        if self.stopped():
            raise Cancelled(f"{self.name} was stopped")
        self.report(done, total, message)

    @contextmanager
    def team(self) -> Iterator[None]:
        """Join the other ranks: inside, `torch.distributed` is initialised, where there is more than one.

        With gloo on CPUs and NCCL on GPUs. All ranks must take part in every collective operation; if one fails, the
        others are ended.
        """
        if self.ranks == 1:
            yield
            return
        import torch.distributed

        torch.distributed.init_process_group(
            "nccl" if self.device.startswith("cuda") else "gloo",
            init_method=f"file://{self.rendezvous}",
            rank=self.rank,
            world_size=self.ranks,
        )
        yield
        torch.distributed.destroy_process_group()  # not after an error: the others would fail before it is reported

    @cached_property
    def device(self) -> str:
        """``"cuda"`` if the stage was given a GPU and torch finds one, else ``"cpu"``; with ranks, each has its own."""
        if not self.gpu:
            return "cpu"
        try:
            import torch
        except ImportError:
            return "cpu"
        if not torch.cuda.is_available():
            return "cpu"
        return "cuda" if self.ranks == 1 else f"cuda:{self.rank % torch.cuda.device_count()}"


def labels_of(items: Sequence[Mapping[str, Any]]) -> list[str]:
    """Name instances by their coordinates; those of several steps may share them, and are told apart by a number."""
    names = [",".join(f"{axis}={value}" for axis, value in coords.items()) or str(i) for i, coords in enumerate(items)]
    total, seen = Counter(names), Counter[str]()
    labels = []
    for name in names:
        seen[name] += 1
        labels.append(name if total[name] == 1 else f"{name} ({seen[name]})")
    return labels


class Collection(Mapping[str, "xr.Dataset"]):
    """Several instances of one step, in the spec's order: name to Dataset, opened when it is asked for."""

    def __init__(self, items: Mapping[str, tuple[Mapping[str, Any], Callable[[], xr.Dataset]]]) -> None:
        self._items = dict(items)

    @classmethod
    def of(cls, *datasets: xr.Dataset, **axes: list[Any]) -> Collection:
        """Collect datasets, for tests: ``Collection.of(a, b, reynolds=[60, 80])``."""
        items: dict[str, tuple[Mapping[str, Any], Callable[[], xr.Dataset]]] = {}
        points = [{axis: values[i] for axis, values in axes.items()} for i in range(len(datasets))]
        for name, coords, dataset in zip(labels_of(points), points, datasets, strict=True):
            items[name] = (coords, lambda dataset=dataset: dataset)  # type: ignore[misc]  # a default binds the loop's value
        return cls(items)

    def __getitem__(self, name: str) -> xr.Dataset:
        return self._items[name][1]()

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def coords(self, name: str) -> Mapping[str, Any]:
        """Coordinates of one instance, such as ``{"reynolds": 60}``."""
        return self._items[name][0]
