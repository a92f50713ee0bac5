"""Stages for tests. They are as small as their purpose allows."""

import os
import time
from pathlib import Path
from typing import Literal

from fieldloom import Port, Resources, Stage, StageParams, Stream, Variable, param, path_param

X = Port({"x": Variable((), "float64", "1")}, "A number.")


def number(value):
    import xarray as xr

    return xr.Dataset({"x": ((), float(value), {"units": "1"})})


class Number(Stage):
    """A number."""

    class Params(StageParams):
        value: float = param(1.0, "The number.")
        length: float = param(1.0, "A length.", unit="m", gt=0)
        mode: Literal["plain", "fancy"] = param("plain", "How.")
        label: str = param("", "A text that changes nothing.")

    outputs = {"x": X}

    def run(self, context, params, **inputs):
        return {"x": number(params.value)}


class Add(Stage):
    """The sum of two numbers."""

    class Params(StageParams):
        plus: float = param(0.0, "Added, too.")

    inputs = {"a": X, "b": X}
    outputs = {"x": X}

    def run(self, context, params, *, a, b):
        return {"x": number(float(a.x) + float(b.x) + params.plus)}


class Increment(Stage):
    """One more."""

    class Params(StageParams):
        by: float = param(1.0, "How much more.")

    inputs = {"x": X}
    outputs = {"x": X}

    def run(self, context, params, *, x):
        return {"x": number(float(x.x) + params.by)}


class Total(Stage):
    """The sum of any number of numbers."""

    inputs = {"x": Port(X.variables, X.description, many=True)}
    outputs = {"x": X}

    def run(self, context, params, *, x):
        return {"x": number(sum(float(item.x) for item in x.values()))}


class Fail(Stage):
    """Fails the first few times, counted in a file."""

    class Params(StageParams):
        counter: str = param(..., "File that counts the tries.")
        times: int = param(10**6, "How often to fail.")
        isolate: bool = param(False, "Unused.")

    outputs = {"x": X}

    def run(self, context, params, **inputs):
        path = Path(params.counter)
        tries = int(path.read_text()) + 1 if path.exists() else 1
        path.write_text(str(tries))
        if tries <= params.times:
            raise ZeroDivisionError(f"try {tries}")
        return {"x": number(tries)}


class Sleep(Stage):
    """Sleeps in one call of C code, which no thread can interrupt."""

    class Params(StageParams):
        seconds: float = param(1.0, "How long.", unit="s")
        value: float = param(0.0, "The result.")

    outputs = {"x": X}

    def run(self, context, params, **inputs):
        time.sleep(params.seconds)
        return {"x": number(params.value)}


class Work(Stage):
    """Works in small steps, says how far it is, and appends a line to a file when it is done."""

    class Params(StageParams):
        seconds: float = param(0.2, "How long.", unit="s")
        value: float = param(0.0, "The result, with the inputs added.")
        diary: str = param("", "File that gets a line for each completion.")

    inputs = {}
    outputs = {"x": X}

    def run(self, context, params, **inputs):
        steps = max(int(params.seconds / 0.02), 1)
        for i in range(steps):
            time.sleep(params.seconds / steps)
            context.progress(i + 1, steps)
        if params.diary:
            with open(params.diary, "a") as file:
                file.write(f"{context.name} {os.getpid()}\n")
        return {"x": number(params.value)}


class Noise(Stage):
    """Random numbers."""

    outputs = {"x": Port({"x": Variable(("sample",), "float64")}, "Noise.")}
    random = True

    def run(self, context, params, **inputs):
        import xarray as xr

        return {"x": xr.Dataset({"x": ("sample", context.rng().standard_normal(5))})}


class Checkpointed(Stage):
    """Counts in steps that it saves; dies once, half-way, if told to."""

    class Params(StageParams):
        steps: int = param(10, "Steps.")
        die_at: int = param(-1, "Step at which to be killed, the first time.")
        marker: str = param("", "File that remembers that it died, and the steps done since.")

    outputs = {"x": X}
    resources = Resources(isolate=True)

    def run(self, context, params, **inputs):
        step, total = 0, 0.0
        if (saved := context.checkpoints.latest()) is not None:
            step, total = saved[0], float(saved[1].x)
        while step < params.steps:
            if step == params.die_at and not Path(params.marker).exists():
                Path(params.marker).write_text("died\n")
                os.kill(os.getpid(), 9)
            step, total = step + 1, total + step + 1
            context.checkpoints.save(step, number(total))
            if Path(params.marker).exists():
                with open(params.marker, "a") as file:
                    file.write(f"{step}\n")
        return {"x": number(total)}


class Produce(Stage):
    """A large array, block by block."""

    class Params(StageParams):
        blocks: int = param(4, "Blocks.")
        rows: int = param(16, "Rows a block.")
        columns: int = param(1000, "Columns.")

    outputs = {"data": Port({"u": Variable(("time", "x"), "float32")}, "Numbers.", sizes={"x": "columns"})}

    def run(self, context, params, **inputs):
        import numpy as np
        import xarray as xr

        def blocks():
            for i in range(params.blocks):
                values = np.arange(params.rows * params.columns, dtype=np.float32).reshape(params.rows, params.columns)
                yield xr.Dataset({"u": (("time", "x"), values + i)})

        return {"data": Stream("time", blocks())}


class Grid(Stage):
    """A field with metres and two components."""

    outputs = {
        "field": Port(
            {"u": Variable(("node", "component"), "float32", "m s-1"), "p": Variable(("node",), "float64", "Pa")},
            "A field.",
            sizes={"component": 2, "node": 7},
            extra=False,
        ),
        "other": X,
    }

    def run(self, context, params, **inputs):
        import numpy as np
        import xarray as xr

        return {
            "field": xr.Dataset(
                {
                    "u": (("node", "component"), np.zeros((7, 2), np.float32), {"units": "m/s"}),
                    "p": ("node", np.zeros(7), {"units": "Pa"}),
                }
            ),
            "other": number(0),
        }


class Wants(Stage):
    """Asks for what Grid has, or not, as its parameters say."""

    class Params(StageParams):
        variable: str = param("u", "Which.")
        units: str = param("m/s", "In what.")
        dims: tuple[str, ...] = param(("node", "component"), "Along what.")
        dtype: str = param("float", "Of what.")
        components: int = param(2, "How many.")

    inputs = {"field": Port(description="A field.")}
    outputs = {"x": X}

    @classmethod
    def input_ports(cls, params):
        wanted = {params.variable: Variable(params.dims, params.dtype, params.units)}
        return {"field": Port(wanted, "A field.", sizes={"component": params.components})}

    def run(self, context, params, *, field):
        return {"x": number(field.sizes["node"])}


class Hungry(Stage):
    """Takes memory."""

    class Params(StageParams):
        megabytes: int = param(10, "How much.")

    outputs = {"x": X}

    def run(self, context, params, **inputs):
        import numpy as np

        return {"x": number(np.ones(params.megabytes * 2**17).sum())}


class Wrong(Stage):
    """Breaks its output's contract."""

    outputs = {"x": X}

    def run(self, context, params, **inputs):
        import xarray as xr

        return {"x": xr.Dataset({"y": 1})}


class ReadNumbers(Stage):
    """The sum of the numbers in a file."""

    class Params(StageParams):
        path: str = path_param(..., "A text file.")
        meddle: bool = param(False, "Change the file after reading it.")

    outputs = {"x": X}

    def run(self, context, params, **inputs):
        file = Path(params.path)
        total = sum(map(float, file.read_text().split()))
        if params.meddle:
            file.write_text("1 2 3 4\n")
        return {"x": number(total)}


class Team(Stage):
    """The sum of what several processes have, unless one of them fails, dies or is stuck."""

    class Params(StageParams):
        processes: int = param(2, "How many.")
        failing: int = param(-1, "Which one fails.")
        dying: int = param(-1, "Which one dies.")
        stuck: int = param(-1, "Which one never comes.")

    outputs = {"x": X}

    @classmethod
    def ranks(cls, params):
        return params.processes

    def run(self, context, params, **inputs):
        import torch

        with context.team():
            if context.rank == params.failing:
                raise ArithmeticError(f"rank {context.rank} of {context.ranks} failed")
            if context.rank == params.dying:
                os.abort()
            while context.rank == params.stuck:
                time.sleep(0.05)
                context.progress(0, 1)
            mine = torch.tensor(2.0**context.rank)
            if context.ranks > 1:
                torch.distributed.all_reduce(mine)
        context.checkpoints.save(context.rank, number(context.rank))
        return {"x": number(mine)}
