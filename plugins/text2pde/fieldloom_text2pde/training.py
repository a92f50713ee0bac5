"""The training loop: Muon for matrices, AdamW for the rest, averaged weights, exact resumption, several processes.

A loop ends after a number of steps, so that a stage is a function of its inputs; comparisons at equal cost end it after
a number of CPU seconds instead.

References
----------
K. Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024. The autoencoder of wakes reached in
60 CPU seconds what took AdamW alone 130.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, distributed, nn

Loss = Callable[[torch.Generator], Tensor]
MOST_RANKS = 64
"""Processes that may train together."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long and how fast.

    Attributes
    ----------
    steps : int
        Optimiser steps; with ``seconds``, an upper bound.
    matrix_rate, rate : float
        Peak learning rates, of matrices (Muon) and of the rest (AdamW).
    seconds : float, optional
        End after so many CPU seconds of this process, whatever the steps.
    warm_up : int
        Steps until the peak.
    weight_decay : float
    clip : float
        Largest norm of the gradient.
    average : float
        Decay of the averaged weights (EMA); 0 keeps the last ones.
    """

    steps: int
    matrix_rate: float = 0.02
    rate: float = 3e-3
    seconds: float | None = None
    warm_up: int = 30
    weight_decay: float = 0.01
    clip: float = 1.0
    average: float = 0.995

    def factor(self, step: int, share: float) -> float:
        """Part of the peak rates at a step, ``share`` of the way through: up, level, and down to zero from 0.4 on."""
        return min(1.0, (step + 1) / self.warm_up) * min(1.0, (1 - share) / 0.6 + 1e-3)


class Optimizers:
    """Muon on the matrices of a module, convolutions taken as matrices (outputs, rest), AdamW on everything else.

    Muon of torch takes matrices only: it is given views that share the weights' memory.
    """

    def __init__(self, module: nn.Module, schedule: Schedule) -> None:
        trained = [p for p in module.parameters() if p.requires_grad]
        self.matrices = [p for p in trained if p.ndim > 1 and min(len(p), p[0].numel()) >= 8]
        chosen = {id(p) for p in self.matrices}
        others = [p for p in trained if id(p) not in chosen]
        self.views = [nn.Parameter(p.detach().view(len(p), -1)) for p in self.matrices]
        self.schedule = schedule
        self.parts: list[torch.optim.Optimizer] = []
        if self.views:
            self.parts.append(torch.optim.Muon(self.views, schedule.matrix_rate, weight_decay=schedule.weight_decay))
        if others:
            self.parts.append(torch.optim.AdamW(others, schedule.rate, weight_decay=0.0))

    def step(self, factor: float) -> None:
        """Change the weights by their gradients, and forget these."""
        for view, weight in zip(self.views, self.matrices, strict=True):
            view.grad = None if weight.grad is None else weight.grad.view(len(weight), -1)
            weight.grad = None
        for part in self.parts:
            peak = self.schedule.matrix_rate if isinstance(part, torch.optim.Muon) else self.schedule.rate
            for group in part.param_groups:
                group["lr"] = peak * factor
            part.step()
            part.zero_grad(set_to_none=True)

    def state(self) -> dict[str, Tensor]:
        """Moments, by the number of the optimiser, of the weight, and name."""
        return {
            f"{n}/{i}/{key}": value
            for n, part in enumerate(self.parts)
            for i, values in part.state_dict()["state"].items()
            for key, value in values.items()
        }

    def load(self, state: dict[str, Tensor]) -> None:
        """Undo :meth:`state`."""
        for n, part in enumerate(self.parts):
            whole = part.state_dict()
            whole["state"] = {}
            for name, value in state.items():
                of, i, key = name.split("/")
                if int(of) == n:
                    whole["state"].setdefault(int(i), {})[key] = value
            part.load_state_dict(whole)


def rank() -> int:
    """Number of this process among those that train together."""
    return distributed.get_rank() if _together() else 0


def share_gradients(module: nn.Module) -> None:
    """Replace gradients by their mean over all ranks, in one message."""
    if not _together():
        return
    gradients = [p.grad for p in module.parameters() if p.grad is not None]
    flat = torch.cat([g.flatten() for g in gradients])
    distributed.all_reduce(flat)
    flat /= distributed.get_world_size()
    for gradient, mean in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(mean.view_as(gradient))


def _together() -> bool:
    return distributed.is_available() and distributed.is_initialized()


@dataclass
class Training:
    """A network being trained.

    Parameters
    ----------
    module : nn.Module
        Changed in place; :meth:`finish` leaves the averaged weights in it.
    schedule : Schedule
    seed : int
        Of the generator handed to the loss, with the step and the rank.

    Notes
    -----
    Where `torch.distributed` is initialised, ranks draw batches of their own and share the mean of their gradients:
    weights, which start equal, stay equal.
    """

    module: nn.Module
    schedule: Schedule
    seed: int = 0
    step: int = 0
    spent: float = 0.0
    losses: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        s = self.schedule
        self.generator = torch.Generator()
        self.averaged = copy.deepcopy(self.module).requires_grad_(False) if s.average else None
        self.optimizers = Optimizers(self.module, s)

    @property
    def share(self) -> float:
        """How much is done, 0 to 1."""
        by_steps = self.step / self.schedule.steps
        return by_steps if self.schedule.seconds is None else max(by_steps, self.spent / self.schedule.seconds)

    def run(self, loss: Loss, after_step: Callable[[Training], None] | None = None) -> None:
        """Train to the end of the schedule.

        Parameters
        ----------
        loss : callable
            Draws a batch by the generator and returns the scalar to minimise.
        after_step : callable, optional
            For progress and checkpoints; may raise to stop.

        Raises
        ------
        FloatingPointError
            If the loss ceases to be finite.
        """
        self.module.train()
        while self.share < 1:
            start = time.process_time()
            self.advance(loss)
            self.spent += time.process_time() - start
            if after_step is not None:
                after_step(self)
        self.finish()

    def advance(self, loss: Loss) -> None:
        """Take one step."""
        factor = self.schedule.factor(self.step, self.share)
        self.generator.manual_seed(self.seed * 1_000_003 + self.step * MOST_RANKS + rank())  # each rank its own batch
        device = next(self.module.parameters()).device.type
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            value = loss(self.generator)
        if not torch.isfinite(value):
            raise FloatingPointError(f"the loss is {value.item()} in step {self.step + 1}: lower the learning rate")
        value.backward()  # type: ignore[no-untyped-call]  # torch's own annotation is missing
        share_gradients(self.module)
        nn.utils.clip_grad_norm_(self.module.parameters(), self.schedule.clip)
        self.optimizers.step(factor)
        self.step += 1
        self.losses.append(value.item())
        self._average()

    def _average(self) -> None:
        if self.averaged is not None:
            keep = min(self.schedule.average, (1 + self.step) / (10 + self.step))
            with torch.no_grad():
                for mean, now in zip(self.averaged.parameters(), self.module.parameters(), strict=True):
                    mean.lerp_(now, 1 - keep)

    def finish(self) -> None:
        """Leave the averaged weights in the module, ready for use."""
        if self.averaged is not None:
            self.module.load_state_dict(self.averaged.state_dict())
        self.module.eval()

    def state(self) -> dict[str, Tensor]:
        """Everything that resuming needs, as tensors."""
        found = {f"module/{k}": v for k, v in self.module.state_dict().items()}
        if self.averaged is not None:
            found |= {f"averaged/{k}": v for k, v in self.averaged.state_dict().items()}
        found |= {f"optimizers/{k}": v for k, v in self.optimizers.state().items()}
        found["losses"] = torch.tensor(self.losses, dtype=torch.float64)
        found["spent"] = torch.tensor(self.spent, dtype=torch.float64)
        return found

    def resume(self, state: dict[str, Tensor]) -> None:
        """Go on where :meth:`state` was taken."""

        def part(prefix: str) -> dict[str, Tensor]:
            return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}

        self.module.load_state_dict(part("module/"))
        if self.averaged is not None:
            self.averaged.load_state_dict(part("averaged/"))
        self.optimizers.load(part("optimizers/"))
        self.losses = state["losses"].tolist()
        self.spent, self.step = float(state["spent"]), len(self.losses)


def train(
    module: nn.Module,
    loss: Loss,
    schedule: Schedule,
    seed: int,
    after_step: Callable[[Training], None] | None = None,
    resume: dict[str, Tensor] | None = None,
) -> Training:
    """Train a network in place, from the start or from where an earlier training's state was taken."""
    training = Training(module, schedule, seed)
    if resume is not None:
        training.resume(resume)
    training.run(loss, after_step)
    return training
