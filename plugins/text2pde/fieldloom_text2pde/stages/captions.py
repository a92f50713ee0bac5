"""Captions of trajectories, made from data by rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from fieldloom import Context, Port, Stage, StageParams, param, path_param

from .ports import CAPTIONS, TRAJECTORIES

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr

    from ..text.captions import Caption
    from ..trajectories import Trajectories

Rules = Literal["auto", "cylinder", "smoke", "table"]
_CYLINDER = {"centre_x", "centre_y", "radius", "mean_velocity", "reynolds"}
FEWEST = 8
"""Trajectories that a training set must have."""


class Captions(Stage):
    """Describe every trajectory in many ways, and divide the trajectories into training, validation and test sets.

    Wakes of cylinders are described by place, size, inflow, Reynolds number and regime; smoke by the plumes of its
    first frame and the buoyancy; anything else by its table of numbers. Numbers come in several units, clauses in
    any order; some captions leave out most of them. Phrasings that are kept for testing differ in wording and order.
    """

    class Params(StageParams):
        """Rules, how many, and the split."""

        rules: Rules = param("auto", "How to describe; auto looks at the numbers and fields.")
        variants: int = param(16, "Captions of each trajectory.", ge=1, le=1000)
        held_out: int = param(2, "Captions of each in phrasings kept for testing.", ge=1, le=1000)
        validation: float = param(0.05, "Part of the trajectories on which uncertainty is set.", gt=0.0, lt=0.5)
        test: float = param(0.1, "Part of the trajectories that no model sees.", gt=0.0, lt=0.9)
        table: str | None = path_param(
            None, "CSV of further numbers, one row a trajectory in order; headings such as `inflow [m s-1]`."
        )

    inputs: Mapping[str, Port] = {"fields": TRAJECTORIES}
    outputs: Mapping[str, Port] = {"captions": CAPTIONS}
    affects = ("numpy",)
    random = True

    def run(self, context: Context, params: Params, **inputs: Any) -> Mapping[str, xr.Dataset]:
        """Describe."""
        import numpy as np
        import xarray as xr

        from ..text.captions.model import spans_to_json
        from ..trajectories import collect, read_table

        data = collect(inputs["fields"])
        columns, units = data.columns(), dict(data.units)
        if params.table:
            more, more_units = read_table(params.table, len(data))
            columns, units = columns | more, units | more_units
        rules = _rules(params.rules, data, columns)
        rng = context.rng()
        columns = columns | _derived(rules, data)
        usual = [_captions(rules, data, columns, units, i, rng, params.variants, False) for i in range(len(data))]
        held = [_captions(rules, data, columns, units, i, rng, params.held_out, True) for i in range(len(data))]
        variables: dict[str, Any] = {
            "caption": (("sample", "variant"), np.array([[c.text for c in row] for row in usual])),
            "spans": (("sample", "variant"), np.array([[spans_to_json(c.spans) for c in row] for row in usual])),
            "held_out_caption": (("sample", "held_out"), np.array([[c.text for c in row] for row in held])),
            "held_out_spans": (
                ("sample", "held_out"),
                np.array([[spans_to_json(c.spans) for c in row] for row in held]),
            ),
            "split": ("sample", _split(len(data), params, rng)),
        }
        variables |= {n: ("sample", v, {"units": units.get(n, "1")}) for n, v in columns.items()}
        context.log.info("for example: %s", usual[0][0].text)
        return {"captions": xr.Dataset(variables, attrs={"rules": rules, "title": "Captions"})}


def _rules(wanted: Rules, data: Trajectories, columns: Mapping[str, Any]) -> str:
    from fieldloom.errors import did_you_mean

    names = {c.name for c in data.channels}
    smoky = {"smoke"} <= names and "buoyancy" in columns and data.grid is not None
    if wanted == "auto":
        return "cylinder" if set(columns) >= _CYLINDER else "smoke" if smoky else "table"
    if wanted == "cylinder" and (missing := sorted(_CYLINDER - set(columns))):
        raise ValueError(f"rules: cylinder need the number {missing[0]!r}; {did_you_mean(missing[0], columns)}")
    if wanted == "smoke" and not smoky:
        raise ValueError("rules: smoke need a field `smoke` on a grid and the number `buoyancy`")
    return wanted


def _derived(rules: str, data: Trajectories) -> dict[str, np.ndarray[Any, Any]]:
    """Numbers that the rules see in the fields."""
    import numpy as np

    if rules != "smoke":
        return {}
    from ..text.captions.plumes import describe

    return {"plumes": np.array([float(describe(_first_smoke(data, i)).count) for i in range(len(data))])}


def _first_smoke(data: Trajectories, i: int) -> np.ndarray[Any, Any]:
    channel = next(c for c in data.channels if c.name == "smoke")
    return data.samples[i].values[0, :, channel.first].reshape(data.grid)


def _captions(
    rules: str,
    data: Trajectories,
    columns: Mapping[str, Any],
    units: Mapping[str, str],
    i: int,
    rng: np.random.Generator,
    count: int,
    held_out: bool,
) -> list[Caption]:
    from ..text.captions import cylinder, smoke, table

    numbers = {name: float(values[i]) for name, values in columns.items()}
    if rules == "cylinder":
        return cylinder.captions(rng, {n: numbers[n] for n in _CYLINDER}, count, held_out)
    if rules == "smoke":
        return smoke.captions(rng, _first_smoke(data, i), numbers["buoyancy"], count, held_out)
    if not numbers:
        raise ValueError("the trajectories have no numbers to describe them by; give a `table`")
    parameters = [table.Parameter(n, v, units.get(n, "1")) for n, v in numbers.items()]
    return table.captions(rng, parameters, count)  # these have one wording


def _split(count: int, params: Captions.Params, rng: np.random.Generator) -> np.ndarray[Any, Any]:
    import numpy as np

    validation, test = (max(1, round(part * count)) for part in (params.validation, params.test))
    if count - validation - test < FEWEST:
        raise ValueError(
            f"{count} trajectories are too few: {validation} are for validation, {test} for testing, and at least "
            f"{FEWEST} for training; simulate more"
        )
    names = np.array(["train"] * (count - validation - test) + ["validation"] * validation + ["test"] * test)
    return names[rng.permutation(count)]
