"""1 GiB, and one more."""

from fieldloom import Port, Stage, Variable

U = Port({"u": Variable(("t", "y", "x"), "float32")}, "1 GiB.")


class Make(Stage):
    """Ones."""

    outputs = {"u": U}

    def run(self, context, params, **inputs):
        import numpy as np
        import xarray as xr

        return {"u": xr.Dataset({"u": (("t", "y", "x"), np.full((64, 2048, 2048), 1.0, np.float32))})}


class Add(Stage):
    """One more."""

    inputs = {"u": U}
    outputs = {"u": U}

    def run(self, context, params, *, u):
        return {"u": u + 1}
