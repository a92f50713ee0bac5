"""The stages: parameters and data contracts here, numerics in their own module, imported inside ``run``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

from fieldloom import Context, Port, Stage, StageParams, Variable, param
from pydantic import model_validator

if TYPE_CHECKING:
    import xarray as xr

SIGNAL = Port(
    description="A signal over time.",
    variables={
        "time": Variable(("time",), "float64", "s", "instants"),
        "signal": Variable(("time",), "float64", "V", "the signal"),
    },
)


class Signal(Stage):
    """A sine with noise, sampled at equal steps."""

    class Params(StageParams):
        """Frequency, length and noise."""

        frequency: float = param(5.0, "Frequency of the sine.", unit="Hz", gt=0.0)
        duration: float = param(1.0, "Length of the signal.", unit="s", gt=0.0)
        samples: int = param(500, "Number of samples.", ge=2, le=10_000_000)
        noise: float = param(0.3, "Standard deviation of the noise.", unit="V", ge=0.0)

    outputs: Mapping[str, Port] = {"signal": SIGNAL}
    random = True  # the seed enters the key

    def run(self, context: Context, params: Params, **inputs: Any) -> Mapping[str, xr.Dataset]:
        """Draw the noise from the stage's own generator."""
        import numpy as np
        import xarray as xr

        time = np.linspace(0.0, params.duration, params.samples)
        sine = np.sin(2 * np.pi * params.frequency * time)
        noisy = sine + params.noise * context.rng().standard_normal(params.samples)
        data = xr.Dataset(
            {"signal": ("time", noisy, {"units": "V", "long_name": "signal"})},
            {"time": ("time", time, {"units": "s"})},
        )
        return {"signal": data}


class Smooth(Stage):
    """A moving average of a signal."""

    class Params(StageParams):
        """Width of the window."""

        width: int = param(5, "Odd number of samples to average.", ge=1)

        @model_validator(mode="after")
        def _odd(self) -> Self:
            if self.width % 2 == 0:
                raise ValueError(f"width should be odd, so that the window has a middle; got {self.width}")
            return self

    inputs: Mapping[str, Port] = {"signal": SIGNAL}
    outputs: Mapping[str, Port] = {"signal": SIGNAL}

    def run(self, context: Context, params: Params, **inputs: Any) -> Mapping[str, xr.Dataset]:
        """Average; the input stays as it is."""
        from .smoothing import moving_average

        signal = inputs["signal"]
        smooth = signal["signal"].copy(data=moving_average(signal["signal"].to_numpy(), params.width))
        context.log.info("averaged %d samples over %d", signal.sizes["time"], params.width)
        return {"signal": signal.assign(signal=smooth)}
