"""One training loop, which can be stopped and resumed without a trace."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

State = dict[str, Tensor]
Loss = Callable[[np.random.Generator], Tensor]


class Loop:
    """Adam with a cosine schedule, and the average of the weights over the last part.

    Each step draws from a generator seeded by (seed, step), so that a resumed training repeats what it would have
    done.

    Parameters
    ----------
    module : nn.Module
        Changed in place.
    steps : int
    learning_rate : float
        At the start; it falls to a tenth.
    seed : int
    average : float
        Part of the steps at the end whose weights are averaged; 0 keeps the last ones.
    seconds : float
        End after so many CPU seconds, whatever ``steps`` says.
    """

    def __init__(
        self,
        module: nn.Module,
        steps: int,
        learning_rate: float,
        seed: int,
        average: float = 0.0,
        seconds: float = float("inf"),
    ) -> None:
        self.module, self.steps, self.seed, self.seconds = module, steps, seed, seconds
        self.losses: list[float] = []
        self._rate, self._average, self._spent, self._averaged = learning_rate, average, 0.0, 0
        self._adam = torch.optim.Adam(module.parameters(), learning_rate)
        self._sums = [torch.zeros_like(p) for p in module.parameters()]

    @property
    def step(self) -> int:
        return len(self.losses)

    @property
    def share(self) -> float:
        """How much is done, 0 to 1."""
        return max(self.step / self.steps, self._spent / self.seconds)

    def run(self, loss: Loss, after_step: Callable[[Loop], None] | None = None) -> None:
        """Train to the end.

        Parameters
        ----------
        loss : callable
            Makes the scalar to minimise, with a generator for what it draws.
        after_step : callable, optional
            For progress and checkpoints; may raise to stop.

        Raises
        ------
        FloatingPointError
            If the loss ceases to be finite.
        """
        while self.share < 1.0:
            started = time.process_time()
            self._advance(loss(np.random.default_rng([self.seed, self.step])))
            self._spent += time.process_time() - started
            if after_step is not None:
                after_step(self)
        self._finish()

    def _advance(self, value: Tensor) -> None:
        if not torch.isfinite(value):
            raise FloatingPointError(f"the loss is {value.item()} in step {self.step + 1}: lower the learning rate")
        for group in self._adam.param_groups:
            group["lr"] = self._rate * (0.55 + 0.45 * np.cos(np.pi * self.share))
        self._adam.zero_grad()
        value.backward()  # type: ignore[no-untyped-call]  # torch's own annotation is missing
        self._adam.step()
        self.losses.append(value.item())
        if self.share > 1.0 - self._average:
            self._averaged += 1
            for total, p in zip(self._sums, self.module.parameters(), strict=True):
                total += p.detach()

    def _finish(self) -> None:
        if self._averaged:
            with torch.no_grad():
                for total, p in zip(self._sums, self.module.parameters(), strict=True):
                    p.copy_(total / self._averaged)

    def state(self) -> State:
        """Everything that :meth:`resume` needs, as tensors."""
        found = {f"module/{name}": value.clone() for name, value in self.module.state_dict().items()}
        for i, values in self._adam.state_dict()["state"].items():
            found |= {f"adam/{i}/{name}": torch.as_tensor(value).clone() for name, value in values.items()}
        found |= {f"sum/{i}": total.clone() for i, total in enumerate(self._sums)}
        counters = [self._spent, float(self._averaged)]
        return found | {"losses": torch.tensor(self.losses), "counters": torch.tensor(counters, dtype=torch.float64)}

    def resume(self, state: State) -> None:
        """Go on where :meth:`state` was taken."""
        prefix = "module/"
        self.module.load_state_dict({k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)})
        adam: dict[str, Any] = self._adam.state_dict()
        for key, value in state.items():
            if key.startswith("adam/"):
                _, i, name = key.split("/")
                adam["state"].setdefault(int(i), {})[name] = value
        self._adam.load_state_dict(adam)
        self._sums = [state[f"sum/{i}"].clone() for i in range(len(self._sums))]
        self.losses = state["losses"].tolist()
        self._spent, self._averaged = float(state["counters"][0]), int(state["counters"][1])
