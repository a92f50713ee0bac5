"""The contract that every stage keeps, as a test class to subclass, and helpers for tests of flows.

>>> class TestSmooth(StageContract):                                       # doctest: +SKIP
...     stage_id = "template.smooth"
...     params = {"width": 3}
...     bad_params = [{"width": 0}, {"widht": 3}]
...
...     def inputs(self):
...         return {"signal": some_dataset}
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
from fieldloom_storage import Store, Stream
from pydantic import ValidationError

from . import ports
from .context import Collection, Context
from .engine.work import Job, perform
from .keys import stage_code
from .registry import Registry
from .spec.load import validate_model

HEAVY = ("torch", "vtk", "pyvista", "prefect", "xarray", "zarr", "scipy")


class StageContract:
    """Subclass in a room's tests, set the class attributes, and every law of a stage is tested.

    Attributes
    ----------
    stage_id : str
    params : dict
        Parameters for a run of a second or so.
    bad_params : list of dict
        Parameters that must be refused; the contract adds an unknown name.
    """

    stage_id: ClassVar[str]
    params: ClassVar[Mapping[str, Any]] = {}
    bad_params: ClassVar[list[Mapping[str, Any]]] = []

    def inputs(self) -> Mapping[str, Any]:
        """Make the input Datasets (a list of them for a port that takes many)."""
        return {}

    def run_stage(self, store: Store, seed: int = 0, **params: Any) -> dict[str, str]:
        """Run the stage through the engine's own path; returns port to digest."""
        registry = Registry(found=None)
        stage = registry.stage(self.stage_id)
        model = validate_model(stage.Params, {**self.params, **params})
        inputs, many = {}, []
        for port, data in self.inputs().items():
            if isinstance(data, list):
                many.append(port)
            items = data if isinstance(data, list) else [data]
            inputs[port] = [
                ({"i": i} if len(items) > 1 else {}, store.put(item).digest) for i, item in enumerate(items)
            ]
        job = Job(
            name="contract",
            stage_id=self.stage_id,
            target=registry.target(self.stage_id),
            params=model.model_dump(mode="json"),
            seed=seed,
            key=f"{seed:040x}",
            inputs=inputs,
            many=many,
            store=str(store.root),
        )
        outputs: dict[str, str] = perform(job, store, lambda kind, data: None, lambda: False)["outputs"]
        store.forget(job.key)
        return outputs

    def test_same_seed_same_content(self, tmp_path: Path) -> None:
        """Two runs with one seed, in two stores, give the same digests."""
        first = self.run_stage(Store(tmp_path / "one", durable=False))
        second = self.run_stage(Store(tmp_path / "two", durable=False))
        assert first == second

    def test_seed_matters_exactly_if_declared(self, tmp_path: Path) -> None:
        """A stage that does not declare ``random`` ignores the seed; one that does may use it."""
        if not Registry().stage(self.stage_id).random:
            store = Store(tmp_path / "store", durable=False)
            assert self.run_stage(store, seed=1) == self.run_stage(store, seed=2)

    def test_inputs_are_not_modified(self, tmp_path: Path) -> None:
        """The stage is pure: its inputs are what they were."""
        stage = Registry().stage(self.stage_id)
        params = validate_model(stage.Params, dict(self.params))
        data = {port: _loaded(item) for port, item in self.inputs().items()}
        before = {port: _copied(item) for port, item in data.items()}
        context = Context("contract", 0, tmp_path)
        passed = {
            port: Collection.of(*item, i=list(range(len(item)))) if isinstance(item, list) else item
            for port, item in data.items()
        }
        for output in stage().run(context, params, **passed).values():
            if isinstance(output, Stream):
                for _ in output.blocks:
                    pass
        for port, item in data.items():
            for now, then in zip(_listed(item), _listed(before[port]), strict=True):
                assert now.identical(then), f"the stage modified its input {port!r}"

    def test_outputs_keep_their_contract(self, tmp_path: Path) -> None:
        """Every output port's data has the variables, dims, dtypes and units that it promises."""
        store = Store(tmp_path / "store", durable=False)
        stage = Registry().stage(self.stage_id)
        promised = stage.output_ports(validate_model(stage.Params, dict(self.params)))
        for port, digest in self.run_stage(store).items():
            ports.check(store.open(digest), promised[port], f"{self.stage_id}.{port}")

    def test_bad_parameters_are_refused(self) -> None:
        """Unknown names and values out of bounds are errors before anything runs."""
        model = Registry().stage(self.stage_id).Params
        for bad in [*self.bad_params, {**self.params, "no_such_parameter": 1}]:
            with pytest.raises(ValidationError):
                validate_model(model, dict(bad))

    def test_every_parameter_is_described(self) -> None:
        """Parameters, ports and the stage itself say what they are."""
        stage = Registry().stage(self.stage_id)
        assert (stage.__doc__ or "").strip()
        for name, field in stage.Params.model_fields.items():
            assert field.description, f"parameter {name} has no description"
        for name, port in {**stage.inputs, **stage.outputs}.items():
            assert port.description, f"port {name} has no description"

    def test_code_closure_is_found(self) -> None:
        """The fingerprint reaches the stage's own code, so that changing it changes the key."""
        registry = Registry()
        code = stage_code(self.stage_id, registry.target(self.stage_id), registry.stage(self.stage_id))
        assert registry.target(self.stage_id) in code.functions

    def test_registration_imports_nothing_heavy(self) -> None:
        """Listing and importing the stage loads no numerics, in a fresh interpreter."""
        program = (
            "import sys, json; from fieldloom.registry import Registry; "
            f"Registry().stage({self.stage_id!r}); print(json.dumps([m for m in {HEAVY!r} if m in sys.modules]))"
        )
        result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        assert json.loads(result.stdout) == []


def _listed(item: Any) -> list[Any]:
    return item if isinstance(item, list) else [item]


def _loaded(item: Any) -> Any:
    return [one.load() for one in item] if isinstance(item, list) else item.load()


def _copied(item: Any) -> Any:
    return [one.copy(deep=True) for one in item] if isinstance(item, list) else item.copy(deep=True)
