"""The DFG benchmark as a stage: a table and a picture of convergence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from fieldloom import Context, Port, Resources, Stage, StageParams, Variable, param

from .wakes import FLOW

if TYPE_CHECKING:
    import xarray as xr

_FLOWS = Port(
    description="Cylinder wakes at the benchmark's Reynolds number, on meshes of different fineness.",
    variables={
        name: FLOW.variables[name]
        for name in ("node_x", "node_y", "obstacle_nodes", "pressure", "force_time", "drag", "lift")
    },
    attrs=("reynolds", "diameter", "mean_velocity", "element"),
    many=True,
)


class DfgTable(Stage):
    """Our drag, lift, pressure drop and Strouhal number beside the DFG benchmark's, and how they converge.

    Schäfer & Turek 1996: 2D-1 is steady at Re 20, 2D-2 sheds vortices at Re 100. One row a quantity, element and
    mesh. The observed order is the slope of a quantity's error over the mesh size, all meshes of an element
    together; of drag at Re 20, where a value to ten digits is known, it says most.
    """

    class Params(StageParams):
        """Which part of the periodic history counts."""

        window: float = param(0.4, "Part of the history of 2D-2 that is analysed, from its end.", gt=0.0, le=1.0)

    inputs: Mapping[str, Port] = {"steady": _FLOWS, "periodic": _FLOWS}
    outputs: Mapping[str, Port] = {
        "table": Port(
            description="One row a case, quantity, element and mesh.",
            variables={
                "case": Variable(("row",), "string", description="benchmark"),
                "quantity": Variable(("row",), "string", description="quantity"),
                "element": Variable(("row",), "string", description="finite element"),
                "nodes": Variable(("row",), "int64", description="nodes of the velocity"),
                "ours": Variable(("row",), "float64", description="our value"),
                "low": Variable(("row",), "float64", description="lower end of the benchmark's range"),
                "high": Variable(("row",), "float64", description="upper end"),
                "error": Variable(("row",), "float64", "percent", "deviation from the benchmark's value"),
                "order": Variable(("row",), "float64", description="observed order, over all meshes of the element"),
            },
            extra=False,
        ),
        "pictures": Port(description="Errors over the mesh size.", files=True),
    }
    affects = ("matplotlib",)
    resources = Resources(isolate=True)

    def run(self, context: Context, params: Params, **inputs: Any) -> Mapping[str, xr.Dataset]:
        """Compare."""
        import xarray as xr
        from fieldloom.contracts.table import table
        from fieldloom.files import file_variable

        from ..plots import plot_convergence

        rows = [*_steady(context, inputs["steady"]), *_periodic(context, inputs["periodic"], params.window)]
        _add_orders(rows)
        rows.sort(key=lambda row: (row["case"], row["quantity"], row["element"], row["nodes"]))
        picture = plot_convergence(rows)
        caption = "deviation from the benchmark's values over the mesh size, with the observed order"
        drawn = file_variable(picture, "dfg.png", "image/png", caption)
        found = table(rows, self.outputs["table"], "DFG benchmark, Schäfer & Turek 1996")
        return {"table": found, "pictures": xr.Dataset({"convergence": drawn})}


def _compared(case: str, data: xr.Dataset, values: Mapping[str, float], references: Mapping[str, Any]) -> Iterator[Any]:
    for name, reference in references.items():
        yield {
            "case": case,
            "quantity": name,
            "element": str(data.attrs["element"]),
            "nodes": data.sizes["node"],
            "ours": values[name],
            "low": reference.low,
            "high": reference.high,
            "error": 100 * (values[name] / reference.value - 1),
        }


def _steady(context: Context, flows: Mapping[str, xr.Dataset]) -> Iterator[dict[str, Any]]:
    import numpy as np

    from ..dfg import STEADY, pressure_drop

    for name, data in flows.items():
        drag, lift = (data[v].to_numpy().ravel() for v in ("drag", "lift"))
        late = slice(9 * len(drag) // 10, None)
        if (unsteady := float(np.ptp(drag[late]))) > 1e-3 * drag[-1]:
            context.log.warning("%s is not steady yet: its drag still moves by %.2g", name, unsteady)
        nodes = np.stack([data["node_x"], data["node_y"]], axis=1)
        last = data["pressure"][-1].to_numpy().astype(np.float64)
        drop = pressure_drop(nodes, data["obstacle_nodes"].to_numpy(), last, data.attrs["mean_velocity"])
        yield from _compared("2D-1", data, {"drag": drag[-1], "lift": lift[-1], "pressure_drop": drop}, STEADY)


def _periodic(context: Context, flows: Mapping[str, xr.Dataset], window: float) -> Iterator[dict[str, Any]]:
    from ..dfg import PERIODIC
    from .wakes import row

    for name, data in flows.items():
        found = row(context, name, data, window)
        values = {"strouhal": found["strouhal"], "drag": found["drag_max"], "lift": found["lift_max"]}
        yield from _compared("2D-2", data, values, PERIODIC)


def _add_orders(rows: list[dict[str, Any]]) -> None:
    import numpy as np

    from ..dfg import observed_order

    for row in rows:
        same = [r for r in rows if all(r[key] == row[key] for key in ("case", "quantity", "element"))]
        h = np.array([r["nodes"] for r in same], float) ** -0.5
        row["order"] = observed_order(h, np.abs([r["error"] for r in same]))
