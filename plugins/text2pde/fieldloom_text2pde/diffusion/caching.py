"""Reuse of slowly changing features between sampling steps.

References
----------
X. Ma, G. Fang, X. Wang, "DeepCache: accelerating diffusion models for free", CVPR 2024.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable

from torch import Tensor


class Reuse:
    """Computes features in every n-th step and hands them out again in the steps between.

    The network's expensive part asks ``features = reuse("deep", lambda: deep(x))``; the sampler gets
    ``on_step=reuse.advance``. Without a sampler to advance it, everything is computed. One object serves one
    sampling at a time.

    Parameters
    ----------
    every : int
        1 computes always, 2 in every other step.
    """

    def __init__(self, every: int = 2) -> None:
        if every < 1:
            raise ValueError(f"features can be computed in every 1st, 2nd, ... step, got every={every}")
        self.every = every
        self.reset()

    def __call__(self, key: Hashable, compute: Callable[[], Tensor]) -> Tensor:
        """The features of that name: computed now, or in an earlier step."""
        if self._due or key not in self._kept:
            self._kept[key] = compute()
        return self._kept[key]

    def advance(self, done: int, steps: int) -> None:
        """After a step; the last one forgets everything, so that the next sampling starts afresh."""
        self._due = done % self.every == 0
        if done == steps:
            self.reset()

    def reset(self) -> None:
        """Forget everything, as after a sampling that was interrupted."""
        self._due, self._kept = True, dict[Hashable, Tensor]()
