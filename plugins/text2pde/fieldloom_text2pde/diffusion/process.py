"""How data turns into noise: ``x_t = alpha(t) x + sigma(t) noise``, t = 0 data, t = 1 noise.

A network predicts ``a(t) x + b(t) noise`` for weights (a, b) that name the prediction: noise itself (0, 1), data
(1, 0), velocity (-1, 1), "v" (-sigma, alpha). Together with x_t that makes two linear equations for x and noise,
which is all that conversion between predictions takes.

References
----------
J. Ho, A. Jain, P. Abbeel, "Denoising diffusion probabilistic models", NeurIPS 2020.
T. Salimans, J. Ho, "Progressive distillation for fast sampling of diffusion models", ICLR 2022.
Y. Lipman et al., "Flow matching for generative modeling", ICLR 2023.
X. Liu, C. Gong, Q. Liu, "Flow straight and fast", ICLR 2023.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal, final, get_args

import torch
from torch import Generator, Tensor

from .schedules import Schedule, interpolated, log_alpha_bar, place_of
from .words import one_of

Prediction = Literal["epsilon", "v", "x"]


class Process(ABC):
    """A corruption process and what its network predicts.

    Law: for every x, noise and t in (0, 1), with ``x_t = corrupt(x, noise, t)`` and ``output = target(x, noise, t)``,
    ``denoised(x_t, output, t)`` is x and ``noise_in(x_t, output, t)`` is noise. ``alpha(0) = 1``, ``sigma(0) = 0``,
    and the signal-to-noise ratio falls strictly with t.

    Times are tensors of shape () or (batch,); coefficients are computed in float64, results keep the dtype of the data.
    Train with the plain mean square of ``output - target``: no weight.
    """

    @abstractmethod
    def alpha(self, t: Tensor) -> Tensor:
        """Factor of the data, float64, the shape of ``t``."""

    @abstractmethod
    def sigma(self, t: Tensor) -> Tensor:
        """Factor of the noise, float64, the shape of ``t``."""

    @abstractmethod
    def target_weights(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """Weights (a, b) of the prediction ``a x + b noise``."""

    @abstractmethod
    def time_of_log_snr(self, log_snr: Tensor) -> Tensor:
        """Inverse of `log_snr`, float64."""

    @abstractmethod
    def times(self, steps: int) -> Tensor:
        """Times at which sampling visits by default, from 1 down to 0, float64, shape (steps + 1,)."""

    @abstractmethod
    def draw_times(self, n: int, generator: Generator) -> Tensor:
        """Draw times for training, float32, shape (n,), on the generator's device."""

    def log_snr(self, t: Tensor) -> Tensor:
        """``log(alpha^2 / sigma^2)``, float64: infinite where there is no noise, or no data."""
        return 2 * (self.alpha(t).log() - self.sigma(t).log())

    def corrupt(self, x: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """Data with noise at time ``t``.

        Parameters
        ----------
        x, noise : Tensor, shape (batch, ...)
        t : Tensor, shape () or (batch,)
            In [0, 1].
        """
        return combined(self.alpha(t), x, self.sigma(t), noise)

    def target(self, x: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """What the network should return for ``corrupt(x, noise, t)``."""
        a, b = self.target_weights(t)
        return combined(a, x, b, noise)

    def denoised(self, x_t: Tensor, output: Tensor, t: Tensor) -> Tensor:
        """Estimate of the data from the network's output."""
        return self._recovered(x_t, output, t, 1, 0)

    def noise_in(self, x_t: Tensor, output: Tensor, t: Tensor) -> Tensor:
        """Estimate of the noise from the network's output. For ``t > 0``: a prediction of x says nothing at 0."""
        return self._recovered(x_t, output, t, 0, 1)

    def velocity(self, x_t: Tensor, output: Tensor, t: Tensor) -> Tensor:
        """Estimate of ``noise - x``, the slope of the straight path from data to noise, for ``t > 0``."""
        return self._recovered(x_t, output, t, -1, 1)

    def _recovered(self, x_t: Tensor, output: Tensor, t: Tensor, p: int, q: int) -> Tensor:
        """``p x + q noise`` from ``x_t = alpha x + sigma noise`` and ``output = a x + b noise`` (Cramer's rule)."""
        alpha, sigma, (a, b) = self.alpha(t), self.sigma(t), self.target_weights(t)
        det = alpha * b - sigma * a
        return combined((p * b - q * a) / det, x_t, (q * alpha - p * sigma) / det, output)


@final
@dataclass(frozen=True, slots=True)
class FlowMatching(Process):
    """Straight paths: ``x_t = (1 - t) x + t noise``; the network predicts the velocity ``noise - x``.

    Attributes
    ----------
    shift : float
        Above 1 moves times towards the noise, in training and in sampling: ``t -> shift t / (1 + (shift - 1) t)``
        (Esser et al. 2024, eq. 23). For data of many values, whose coarse structure survives more noise.
    logit_normal : bool
        Draw training times as the logistic function of a normal number, dense in the middle (Esser et al. 2024,
        eq. 19 with m = 0, s = 1), otherwise uniformly. Before the shift.

    References
    ----------
    P. Esser et al., "Scaling rectified flow transformers for high-resolution image synthesis", ICML 2024.
    """

    shift: float = 1.0
    logit_normal: bool = True

    def __post_init__(self) -> None:
        if not 0 < self.shift < float("inf"):
            raise ValueError(f"the shift of times must be a positive number, got {self.shift}; 1 means no shift")

    def alpha(self, t: Tensor) -> Tensor:
        return 1 - t.double()

    def sigma(self, t: Tensor) -> Tensor:
        return t.double()

    def target_weights(self, t: Tensor) -> tuple[Tensor, Tensor]:
        one = torch.ones_like(t, dtype=torch.float64)
        return -one, one

    def time_of_log_snr(self, log_snr: Tensor) -> Tensor:
        return torch.sigmoid(-log_snr.double() / 2)

    def times(self, steps: int) -> Tensor:
        return self._shifted(torch.linspace(1, 0, steps + 1, dtype=torch.float64))

    def draw_times(self, n: int, generator: Generator) -> Tensor:
        draw = torch.randn if self.logit_normal else torch.rand
        t = draw(n, generator=generator, device=generator.device)
        return self._shifted(t.sigmoid() if self.logit_normal else 1 - t)  # rand leaves out 1, we leave out 0

    def _shifted(self, t: Tensor) -> Tensor:
        return self.shift * t / (1 + (self.shift - 1) * t)


@final
@dataclass(frozen=True, slots=True)
class VariancePreserving(Process):
    """The diffusion of Ho et al. 2020: ``alpha^2 + sigma^2 = 1``, in continuous time.

    Attributes
    ----------
    prediction : {"epsilon", "v", "x"}
        What the network predicts: the noise; ``alpha noise - sigma x`` (Salimans & Ho 2022); the data.
    schedule : {"scaled-linear", "cosine"}
        See `schedules`.
    zero_terminal_snr : bool
        Stretch alpha so that nothing of the data is left at t = 1 (Lin et al. 2024). Not with "epsilon": where there
        is only noise, knowing the noise says nothing about the data.

    Notes
    -----
    The schedule's k-th of 1000 steps is at t = k / 1000; a network trained elsewhere counts it as k - 1.
    Lin et al. keep alpha after the first step, here it is kept at t = 0, where it must be 1.
    "cosine" leaves alpha(1) = 5e-5: with "epsilon", the estimate of the data multiplies the network's error by 20 000
    there. Prefer "v".

    References
    ----------
    S. Lin et al., "Common diffusion noise schedules and sample steps are flawed", WACV 2024.
    """

    prediction: Prediction = "v"
    schedule: Schedule = "scaled-linear"
    zero_terminal_snr: bool = False

    def __post_init__(self) -> None:
        one_of("prediction", self.prediction, get_args(Prediction))
        one_of("schedule", self.schedule, get_args(Schedule))
        if self.zero_terminal_snr and self.prediction == "epsilon":
            raise ValueError(
                "prediction 'epsilon' cannot start from pure noise (zero_terminal_snr): the noise says nothing about "
                "the data there; predict 'v' or 'x', or switch zero_terminal_snr off"
            )

    def alpha(self, t: Tensor) -> Tensor:
        log = self._log_alpha(t)
        if not self.zero_terminal_snr:
            return log.exp()
        # exp(log) - exp(end), without cancellation, exactly 0 at t = 1
        return -log.exp() * torch.expm1(self._log_end() - log) / self._span()

    def sigma(self, t: Tensor) -> Tensor:
        missing = -torch.expm1(self._log_alpha(t)) / self._span()  # 1 - alpha, without cancellation
        return (missing * (2 - missing)).sqrt()

    def target_weights(self, t: Tensor) -> tuple[Tensor, Tensor]:
        if self.prediction == "v":
            return -self.sigma(t), self.alpha(t)
        one = torch.ones_like(t, dtype=torch.float64)
        return (1 - one, one) if self.prediction == "epsilon" else (one, 1 - one)

    def denoised(self, x_t: Tensor, output: Tensor, t: Tensor) -> Tensor:
        # the general formula is 0 / 0 at t = 0 for a prediction of x
        return output if self.prediction == "x" else Process.denoised(self, x_t, output, t)

    def time_of_log_snr(self, log_snr: Tensor) -> Tensor:
        log = 0.5 * torch.nn.functional.logsigmoid(log_snr.double())
        return place_of(log_alpha_bar(self.schedule), 2 * torch.log1p(torch.expm1(log) * self._span()))

    def times(self, steps: int) -> Tensor:
        # quadratic (Song et al. 2021, appendix D.2): sigma grows like the root of t, and even times from 20 steps
        # leave 10 times the error of these
        return torch.linspace(1, 0, steps + 1, dtype=torch.float64) ** 2

    def draw_times(self, n: int, generator: Generator) -> Tensor:
        return 1 - torch.rand(n, generator=generator, device=generator.device)  # (0, 1]

    def _log_alpha(self, t: Tensor) -> Tensor:
        """Of the schedule, before the terminal ratio is set to zero."""
        return 0.5 * interpolated(log_alpha_bar(self.schedule), t.double())

    def _log_end(self) -> float:
        return 0.5 * log_alpha_bar(self.schedule)[-1].item()

    def _span(self) -> float:
        """Range of the schedule's alpha that is stretched to [0, 1]."""
        return (
            -torch.expm1(torch.tensor(self._log_end(), dtype=torch.float64)).item() if self.zero_terminal_snr else 1.0
        )


def combined(a: Tensor, x: Tensor, b: Tensor, y: Tensor) -> Tensor:
    """``a x + b y`` in the dtype of x, coefficients given once or by sample.

    Raises
    ------
    ValueError
        If there are neither one coefficient nor as many as samples.
    """
    return by_sample(a, x) * x + by_sample(b, x) * y


def by_sample(coefficient: Tensor, x: Tensor) -> Tensor:
    """Shape a coefficient so that it multiplies samples along the first axis."""
    if coefficient.ndim == 0:
        return coefficient  # stays in float64: a scalar does not change the dtype of what it multiplies
    if coefficient.shape != x.shape[:1]:
        raise ValueError(
            f"times have shape {tuple(coefficient.shape)} and data {tuple(x.shape)}; give one time, or one by sample"
        )
    return coefficient.to(x).reshape(-1, *[1] * (x.ndim - 1))
