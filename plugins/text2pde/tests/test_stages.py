"""The stages keep the contract of all stages, and say clearly what is wrong."""

import json
from pathlib import Path

import numpy as np
import pytest
import tiny
import xarray as xr
from fieldloom.contracts.population import part
from fieldloom.testing import StageContract
from small import population


class TestCaption(StageContract):
    stage_id = "text2pde.caption"
    params = {"variants": 2, "test": 0.15}
    bad_params = [{"test": 1.0}, {"rules": "poems"}]

    def inputs(self):
        return {"fields": [population()]}


class TestTrainAutoencoder(StageContract):
    stage_id = "text2pde.train-autoencoder"
    params = tiny.AUTOENCODER
    bad_params = [{"frames": 2, "block": 4}, {"widths": []}]

    def inputs(self):
        return {"fields": [tiny.fields("mesh")], "captions": tiny.captions("mesh")}


class TestEncode(StageContract):
    stage_id = "text2pde.encode"

    def inputs(self):
        return {"fields": [tiny.fields("mesh")], "captions": tiny.captions("mesh"), "model": tiny.autoencoder("mesh")}


class TestTrainDiffusion(StageContract):
    stage_id = "text2pde.train-diffusion"
    params = tiny.SMALL
    bad_params = [{"heads": 3}, {"mean": "median"}]

    def inputs(self):
        return {
            "fields": [tiny.fields("mesh")],
            "captions": tiny.captions("mesh"),
            "autoencoder": tiny.autoencoder("mesh"),
            "latents": tiny.latents("mesh"),
        }


class TestGenerate(StageContract):
    stage_id = "text2pde.generate"
    params = {"numbers": {"inflow": 1.0}, "members": 2}
    bad_params = [{}, {"prompt": " "}, {"numbers": {"inflow": 1.0}, "start": "frame", "on": "grid"}]

    def inputs(self):
        return {"model": tiny.generator("mesh"), "domain": population(2, first=50)}


class TestReadPrompt(StageContract):
    stage_id = "text2pde.read-prompt"
    params = {"prompts": "the inflow is 0.9 m s-1", "extrapolate": True}

    def inputs(self):
        return {"model": tiny.generator("mesh")}


class TestEvaluate(StageContract):
    stage_id = "text2pde.evaluate"
    params = {"members": 2, "most": 2}

    def inputs(self):
        return {"fields": [tiny.fields("mesh")], "captions": tiny.captions("mesh"), "model": tiny.generator("mesh")}


class TestBaseline(StageContract):
    stage_id = "text2pde.baseline"
    params = {"method": "mesh-operator", "steps": 2, "batch": 2}
    bad_params = [{}, {"method": "guess"}]

    def inputs(self):
        return {"fields": [tiny.fields("mesh")], "captions": tiny.captions("mesh")}


# -- what comes out


def test_captions_divide_trajectories_and_name_their_numbers():
    data = tiny.captions("mesh")
    split = data["split"].to_numpy().tolist()
    assert {name: split.count(name) for name in set(split)} == {"train": 11, "validation": 1, "test": 2}
    np.testing.assert_allclose(data["inflow"], tiny.fields("mesh")["inflow"])
    for texts, spans, inflow in zip(data["caption"].values, data["spans"].values, data["inflow"].values, strict=True):
        for text, written in zip(texts, spans, strict=True):
            for start, stop, quantity, factor in (tuple(s) for s in json.loads(str(written))):
                if quantity == "inflow":
                    assert float(str(text)[start:stop]) * factor == pytest.approx(inflow, rel=0.02)


def test_a_table_beside_the_fields_gives_numbers(tmp_path):
    table = tmp_path / "table.csv"
    table.write_text("angle [degree],load\n" + "\n".join(f"{i},{10 - i}" for i in range(14)) + "\n")
    fields = tiny.collected("mesh")
    data = tiny.run("text2pde.caption", {"table": str(table), "test": 0.15}, fields=fields)["captions"]
    np.testing.assert_array_equal(data["angle"], np.arange(14.0))
    assert data["angle"].attrs["units"] == "degree"
    table.write_text("angle\n" + "\n".join(["1"] * 13 + ["x"]) + "\n")
    with pytest.raises(ValueError, match=r"table.csv:15: column 'angle' has 'x', which is no finite number"):
        tiny.run("text2pde.caption", {"table": str(table)}, fields=fields)
    table.write_text("angle\n1\n")
    with pytest.raises(ValueError, match="has 1 rows below its heading; there are 14 trajectories"):
        tiny.run("text2pde.caption", {"table": str(table)}, fields=fields)


def test_too_few_trajectories_are_refused():
    from fieldloom import Collection

    with pytest.raises(ValueError, match=r"8 trajectories are too few: .* at least 8 for training"):
        tiny.run("text2pde.caption", {}, fields=Collection.of(population(8)))


def test_captions_of_other_trajectories_are_refused():
    from fieldloom import Collection

    with pytest.raises(ValueError, match="12 trajectories and captions of 14"):
        tiny.run("text2pde.encode", {}, fields=Collection.of(population(12)), captions=tiny.captions("mesh"),
                 model=tiny.autoencoder("mesh"))  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("mesh", {}),
        ("mesh", {"mean": "none", "backbone": "dit", "process": "epsilon"}),
        ("mesh", {"backbone": "dit", "process": "v"}),
        ("grid", {"mean": "patched-unet", "mirror": True}),
        ("grid", {"mean": "fno"}),
    ],
)
def test_every_design_generates_from_frames_and_from_words(kind, options):
    model, fields = tiny.generator(kind, **options), tiny.fields(kind)
    name = "inflow" if kind == "mesh" else "buoyancy"
    value = float(fields[name][1])
    made = tiny.run("text2pde.generate", {"start": "frame", "members": 3, "sample": 1}, model=model, domain=fields)
    first = part(fields, 1) if kind == "mesh" else fields.isel(sample=1)
    np.testing.assert_array_equal(made["first"]["velocity"][0], first["velocity"][0])
    assert made["members"]["velocity"].sizes["member"] == 3
    assert float(made["mean"]["velocity_std"][-1].max()) > 0
    asked = {"prompt": f"simulate this case. the {name} is {value:.3f}", "numbers": {name: value}, "members": 2}
    drawn = tiny.run("text2pde.generate", asked, model=model, domain=fields)["first"]
    assert np.isfinite(drawn["velocity"]).all()
    assert drawn.attrs[f"asked_{name}"] == value


def test_a_grid_model_needs_no_domain():
    made = tiny.run("text2pde.generate", {"on": "grid", "numbers": {"plumes": 2.0}, "members": 2},
                    model=tiny.generator("grid", mean="patched-unet"))  # fmt: skip
    assert made["mean"]["smoke"].dims == ("time", "y", "x")
    assert set(made["pictures"].data_vars) == {"generated"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda d: d.drop_vars("pressure"),
            r"no field 'pressure'; the model was trained on velocity \[m s-1\], pressure",
        ),
        (lambda d: d.assign(pressure=d["pressure"].assign_attrs(units="Pa")), "'pressure' is in 'Pa'.*convert it"),
        (lambda d: d.assign_coords(node_x=d["node_x"] + 1.0), r"1 m beyond the box of the model, \[0.0, 0.0\] to"),
        (lambda d: d.assign(velocity=d["velocity"] * np.nan), "first instant has values that are not finite"),
    ],
)
def test_domains_that_do_not_fit_are_refused(change, words):
    domain = change(part(population(1, first=50), 0))
    with pytest.raises(ValueError, match=words):
        tiny.run("text2pde.generate", {"start": "frame"}, model=tiny.generator("mesh"), domain=domain)


def test_numbers_out_of_range_are_refused_unless_asked_for():
    inputs = {"model": tiny.generator("mesh"), "domain": population(1)}
    with pytest.raises(ValueError, match=r"inflow = 9 m s-1 is outside of what the model has seen"):
        tiny.run("text2pde.generate", {"numbers": {"inflow": 9.0}}, **inputs)
    tiny.run("text2pde.generate", {"numbers": {"inflow": 9.0}, "extrapolate": True, "members": 1}, **inputs)


def test_kinds_that_do_not_fit_are_refused():
    asked, data = {"numbers": {"inflow": 1.0}}, {"fields": tiny.collected("mesh"), "captions": tiny.captions("mesh")}
    with pytest.raises(ValueError, match="trained on meshes and the domain is a grid"):
        tiny.run("text2pde.generate", asked, model=tiny.generator("mesh"), domain=tiny.fields("grid"))
    with pytest.raises(ValueError, match="an autoencoder alone"):
        tiny.run("text2pde.generate", asked, model=tiny.autoencoder("mesh"), domain=population(1))
    with pytest.raises(ValueError, match="was it written by a stage of text2pde"):
        tiny.run("text2pde.encode", {}, **data, model=xr.Dataset())
    with pytest.raises(ValueError, match="mean: unet works on grids"):
        tiny.generator("mesh", mean="unet")
    with pytest.raises(ValueError, match="take mesh-operator"):
        tiny.run("text2pde.baseline", {"method": "fno", "steps": 1}, **data)


@pytest.mark.parametrize("method", ["persistence", "pod", "fno", "unet"])
def test_baselines_score_on_the_same_split(method):
    inputs = {"fields": tiny.collected("grid"), "captions": tiny.captions("grid")}
    scores = tiny.run("text2pde.baseline", {"method": method, "steps": 3, "mirror": True}, **inputs)["scores"]
    assert scores["task"].values.tolist() == [method]
    assert np.isfinite(scores["error"]).all()


def test_an_interrupted_training_ends_as_if_it_had_not_been():
    from fieldloom import Context
    from fieldloom.registry import Registry
    from fieldloom.spec.load import validate_model

    class Kept:
        state = None

        def save(self, step, data):
            self.state = (step, data.copy(deep=True))

        def latest(self):
            return self.state

    class Stop(Exception):
        pass

    stage = Registry().stage("text2pde.train-diffusion")
    params = validate_model(stage.Params, tiny.SMALL | {"mean_steps": 70, "residual_steps": 70})
    inputs = {
        "fields": tiny.collected("mesh"),
        "captions": tiny.captions("mesh"),
        "autoencoder": tiny.autoencoder("mesh"),
        "latents": tiny.latents("mesh"),
    }
    whole = stage().run(Context("whole", 0, Path()), params, **inputs)
    for where in ("mean: step 60", "residual: step 60"):
        kept = Kept()

        def report(done, total, message, where=where):
            if message.startswith(where):
                raise Stop

        with pytest.raises(Stop):
            stage().run(Context("stopped", 0, Path(), checkpoints=kept, report=report), params, **inputs)
        assert kept.state is not None
        again = stage().run(Context("again", 0, Path(), checkpoints=kept), params, **inputs)
        xr.testing.assert_identical(again["model"], whole["model"])
        np.testing.assert_array_equal(again["history"]["steps"], whole["history"]["steps"])


# -- the checkpoint that ships


class TestPretrained(StageContract):
    stage_id = "text2pde.pretrained"
    bad_params = [{"name": "weather"}]


@pytest.mark.parametrize("name", ["cylinder", "smoke"])
def test_checkpoints_are_small_and_say_how_they_were_made(name):
    from fieldloom_text2pde.stages.pretrained import FOLDER

    assert (FOLDER / f"{name}.safetensors").stat().st_size < 25e6
    about = json.loads((FOLDER / f"{name}.json").read_text())["about"]
    assert {"script", "seed", "effort"} <= set(about["recipe"])
    assert about["scores"]["ours, 2 steps"]["error"] < 0.65 * about["scores"]["persistence"]["error"]


def test_the_checkpoint_of_smoke_draws_as_many_plumes_as_are_asked_for():
    from fieldloom_text2pde.text.captions.plumes import describe

    model = tiny.run("text2pde.pretrained", {"name": "smoke"})["model"]
    asked = {"numbers": {"plumes": 2.0, "buoyancy": 0.3}, "members": 2, "on": "grid"}
    drawn = tiny.run("text2pde.generate", asked, model=model)["members"]["smoke"]
    assert [describe(np.maximum(one[0], 0.0)).count for one in drawn.to_numpy()] == [2, 2]


@pytest.mark.parametrize(
    ("prompt", "name", "value"),
    [
        ("Show me the wake of a cylinder with a diameter of 10 cm at Re = 90", "radius", 0.05),
        ("flow past a cylinder, radius 0.045 m, inflow 80 cm/s", "mean_velocity", 0.8),
        ("a cylinder of radius 5 cm, 0.3 m behind the inlet, in a stream of 0.7 m/s", "reynolds", 70.0),
    ],
)
def test_the_checkpoint_reads_prompts(prompt, name, value):
    model = tiny.run("text2pde.pretrained", {})["model"]
    table = tiny.run("text2pde.read-prompt", {"prompts": prompt}, model=model)["table"]
    assert float(table[name][0]) == pytest.approx(value, rel=1e-6)
    assert {"centre_x", "centre_y", "radius", "mean_velocity", "viscosity"} <= set(table.data_vars)


def test_the_checkpoint_refuses_what_it_has_not_seen():
    model = tiny.run("text2pde.pretrained", {})["model"]
    with pytest.raises(
        ValueError, match=r"reynolds = 5000 1 is outside of what the model has seen, .* to .*extrapolate"
    ):
        tiny.run("text2pde.read-prompt", {"prompts": "a wake at a Reynolds number of 5000"}, model=model)
