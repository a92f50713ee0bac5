"""The stages keep the contract of all stages, and do what they say."""

import json

import numpy as np
import pytest
import xarray as xr
from dcdm_cases import relative
from fieldloom import Collection, Context
from fieldloom.contracts.mesh import triangle_variables
from fieldloom.registry import Registry
from fieldloom.spec.load import validate_model
from fieldloom.testing import StageContract
from fieldloom_dcdm import poisson, solve
from fieldloom_dcdm.errors import InvalidProblem, NotConverged, WrongDimension
from fieldloom_dcdm.parameters import shipped
from fieldloom_dcdm.stages.weights import model_of, of_parameters, parameters_of
from fieldloom_dcdm.voxels import solid_cells
from fieldloom_storage import Stream

SMALL = {"cells": 16, "samples": 3}


def run(stage_id, params, seed=0, tmp_path=None, **inputs):
    stage = Registry().stage(stage_id)
    model = validate_model(stage.Params, dict(params))
    outputs = stage().run(Context("test", seed, tmp_path), model, **inputs)
    return {
        port: xr.concat(list(data.blocks), "sample", data_vars="minimal") if isinstance(data, Stream) else data
        for port, data in outputs.items()
    }


def systems(**params):
    data = run("dcdm.make-systems", {**SMALL, **params})["systems"]
    return data


def mesh(points, triangles):
    data = xr.Dataset(triangle_variables(np.asarray(points, np.float64), np.asarray(triangles)))
    return data.set_coords(["node_x", "node_y", "node_z"])


def square(low=0.25, high=0.75):
    return mesh([[low, low], [high, low], [high, high], [low, high]], [[0, 1, 2], [0, 2, 3]])


def cube(low, high):
    corners = np.array([[x, y, z] for x in (low, high) for y in (low, high) for z in (low, high)])
    faces = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]
    return corners, np.array([[a, b, c] for a, b, c, _ in faces] + [[a, c, d] for a, _, c, d in faces])


class TestMakeSystems(StageContract):
    stage_id = "dcdm.make-systems"
    params = {**SMALL, "obstacles": ["blobs", "mesh"], "boundary": "open", "coefficient": "patches"}
    bad_params = [{"cells": 2}, {"obstacles": []}, {"obstacles": ["cubes"]}, {"dimension": 3, "cells": 2048}]

    def inputs(self):
        return {"body": square()}


class TestTrainMultigrid(StageContract):
    stage_id = "dcdm.train"
    params = {"cells": 16, "steps": 3, "batch": 2, "iterations": 2}
    bad_params = [{"model": "gnn"}, {"steps": 0}, {"gamma": 3}]


class TestTrainCnn(StageContract):
    stage_id = "dcdm.train"
    params = {"model": "cnn", "cells": 8, "steps": 3, "ritz_vectors": 10, "channels": 4, "learning_rate": 0.002}


class TestSolve(StageContract):
    stage_id = "dcdm.solve"
    params = {"method": "model"}
    bad_params = [{"rtol": 1e-20}, {"method": "gauss"}]

    def inputs(self):
        return {"systems": systems(), "model": of_parameters(shipped(2))}


class TestBenchmark(StageContract):
    stage_id = "dcdm.benchmark"
    params = {"timings": False, "methods": ["learned-multigrid", "identity", "ruge-stuben", "models"], "rtols": [1e-3]}
    bad_params = [{"methods": []}, {"methods": ["magic"]}]

    def inputs(self):
        return {"systems": systems(), "models": [of_parameters(shipped(2))]}


class TestProject(StageContract):
    stage_id = "dcdm.project"
    bad_params = [{"rtol": 0.0}, {"boundary": "periodic"}]

    def inputs(self):
        return {"fields": velocity()}


class TestPlume(StageContract):
    stage_id = "dcdm.plume"
    params = {"cells": 16, "steps": 3, "every": 2, "timings": False}
    bad_params = [{"cells": 4}, {"methods": []}, {"radius": 1.0}]


def velocity(frames=2):
    rng = np.random.default_rng(0)
    u, v = rng.standard_normal((1, frames, 12, 11)), rng.standard_normal((1, frames, 13, 10))
    mask = np.ones((12, 10), bool)
    mask[4:7, 3:6] = False
    u[..., [0, -1]] = 0.0
    v[:, :, [0, -1]] = 0.0
    u[..., 1:-1] *= mask[:, 1:] == mask[:, :-1]  # nothing moves on the walls
    v[:, :, 1:-1] *= mask[1:] == mask[:-1]
    axes = {"y": ("y", np.arange(12) + 0.5), "x": ("x", np.arange(10) + 0.5)}
    lead = ("sample", "time")
    return xr.Dataset(
        {"u": ((*lead, "y", "x_face"), u), "v": ((*lead, "y_face", "x"), v), "mask": (("y", "x"), mask)}, axes
    )


# -- what comes out


def test_systems_are_compatible_and_do_not_depend_on_how_many_there_are():
    one, three = systems(samples=1, boundary="neumann"), systems(boundary="neumann")
    np.testing.assert_array_equal(one["b"][0], three["b"][0])
    assert np.abs(three["b"].sum(("y", "x"))).max() < 1e-9 * np.abs(three["b"]).max()
    assert three["kind"].values.tolist() == ["blobs", "discs", "boxes"]
    assert json.loads(three.attrs["boundary"]) == [["neumann", "neumann"]] * 2


def test_a_moving_obstacle_moves_from_sample_to_sample():
    data = systems(obstacles=["moving"], samples=4)
    assert all((data["mask"][i] != data["mask"][i + 1]).any() for i in range(3))


def test_bodies_become_solid_cells():
    masks = run("dcdm.make-systems", {**SMALL, "obstacles": ["mesh"]}, body=square())["systems"]["mask"]
    expected = np.ones((16, 16), bool)
    expected[4:12, 4:12] = False
    np.testing.assert_array_equal(masks[0], expected)
    corners, triangles = cube(0.25, 0.5)
    params = {**SMALL, "dimension": 3, "obstacles": ["mesh"], "samples": 1}
    mask = run("dcdm.make-systems", params, body=mesh(corners, triangles))["systems"]["mask"][0].to_numpy()
    solid = np.zeros((16, 16, 16), bool)
    solid[4:8, 4:8, 4:8] = True
    np.testing.assert_array_equal(mask, ~solid)
    with pytest.raises(InvalidProblem, match="the surface is open: 3 edges"):
        run("dcdm.make-systems", params, body=mesh(corners, triangles[1:]))


def test_cells_in_a_body_are_those_whose_centre_is_inside():
    """Against the definition, for a random triangle and for an ellipsoid turned in space."""
    rng = np.random.default_rng(0)
    axes = [np.linspace(0, 1, 23), np.linspace(0, 1, 31)]
    a, b, c = points = rng.uniform(0, 1, (3, 2))
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
    weights = np.linalg.solve(np.array([b - a, c - a]).T, (grid - a).reshape(-1, 2).T)
    inside = (weights[0] > 0) & (weights[1] > 0) & (weights.sum(0) < 1)
    np.testing.assert_array_equal(solid_cells(points, np.array([[0, 1, 2]]), axes).ravel(), inside)
    from scipy.spatial import ConvexHull, Delaunay

    cloud = 0.5 + (rng.standard_normal((60, 3)) @ rng.standard_normal((3, 3))) * 0.12
    space = [np.linspace(0, 1, n) for n in (14, 17, 15)]
    grid = np.stack(np.meshgrid(*space, indexing="ij"), -1)
    expected = Delaunay(cloud).find_simplex(grid.reshape(-1, 3)) >= 0
    np.testing.assert_array_equal(solid_cells(cloud, ConvexHull(cloud).simplices, space).ravel(), expected)
    with pytest.raises(InvalidProblem, match="made of triangles"):
        solid_cells(points, np.array([[0, 1]]), axes)


def test_solutions_are_those_of_solve():
    data = systems(boundary="open", coefficient="layers")
    found = run("dcdm.solve", {"rtol": 1e-10}, systems=data)
    problem = poisson(data["mask"][1].values, 1 / 16, json.loads(data.attrs["boundary"]), data["coefficient"][1].values)
    assert relative(found["solutions"]["solution"][1], solve(problem, data["b"][1].values, rtol=1e-10).x) < 1e-8
    assert set(found["solves"]["status"].values) == {"converged"}


def test_a_solve_that_misses_its_tolerance_stops_the_run_unless_told_otherwise():
    data = systems()
    with pytest.raises(NotConverged, match="raise maxiter"):
        run("dcdm.solve", {"method": "identity", "maxiter": 2}, systems=data)
    found = run("dcdm.solve", {"method": "identity", "maxiter": 2, "partial": True}, systems=data)
    assert set(found["solves"]["status"].values) == {"maxiter"}


def test_trained_models_solve_and_those_of_another_dimension_are_refused():
    data = systems()
    for params in (TestTrainMultigrid.params, TestTrainCnn.params):
        model = run("dcdm.train", params)["model"]
        found = run("dcdm.solve", {"method": "model", "rtol": 1e-2, "partial": True}, systems=data, model=model)
        assert found["solutions"]["solution"].notnull().all()
        with pytest.raises(WrongDimension):
            run("dcdm.solve", {"method": "model"}, systems=systems(dimension=3, cells=8), model=model)
    with pytest.raises(InvalidProblem, match="no direction model"):
        model_of(xr.Dataset(), poisson(np.ones((4, 4), bool)), 1)


def test_parameters_come_back_from_their_dataset():
    parameters = shipped(3, "coefficient")
    back = parameters_of(of_parameters(parameters))
    assert (back.levels, back.gamma, back.dimension) == (parameters.levels, parameters.gamma, parameters.dimension)


def test_an_interrupted_training_goes_on(tmp_path):
    class Kept:
        def __init__(self, state=None):
            self.state = state

        def save(self, step, data):
            self.state = (step, data)

        def latest(self):
            return self.state

    stage = Registry().stage("dcdm.train")
    params = stage.Params(cells=16, steps=24, batch=1, iterations=1)
    kept = Kept()
    whole = stage().run(Context("test", 0, tmp_path, checkpoints=kept), params)["model"]
    assert kept.state[0] == 20
    again = stage().run(Context("test", 0, tmp_path, checkpoints=Kept(kept.state)), params)
    xr.testing.assert_identical(again["model"], whole)
    assert again["history"]["steps"].item() == 24


def test_the_benchmark_counts_iterations_and_seconds():
    data = systems(cells=32)
    models = Collection.of(of_parameters(shipped(2)))
    params = {"methods": ["learned-multigrid", "identity", "models"], "rtols": [1e-6]}
    scores = run("dcdm.benchmark", params, systems=data, models=models)["scores"]
    assert scores["iterations"][0] == scores["iterations"][2] < scores["iterations"][1]
    assert scores["method"].values[2].startswith("learned-multigrid (")
    assert (scores["solve"] > 0).all()
    assert scores["against_first"][0] == 1.0
    assert not scores["missed"].any()


def test_projected_fields_have_no_divergence_and_solids_keep_their_walls():
    data = velocity()
    found = run("dcdm.project", {"rtol": 1e-8}, fields=data)
    table = found["projections"]
    assert (table["after"] < 1e-7 * table["before"]).all()
    assert found["fields"]["u"].dims == data["u"].dims
    np.testing.assert_array_equal(found["fields"]["u"][0, 0, 5, 4], data["u"][0, 0, 5, 4])  # between solid cells


def test_smoke_of_the_room_cfd_is_projected_already(tmp_path):
    smoke = run("cfd.smoke-plume", {"cells": 16, "steps": 2}, tmp_path=tmp_path)["fields"]
    found = run("dcdm.project", {}, fields=smoke)["fields"]
    assert float(np.abs(found["u"] - smoke["u"]).max()) < 1e-6


def test_the_plume_rises_and_flows_around_the_disc():
    found = run("dcdm.plume", {"cells": 32, "steps": 60, "every": 30, "methods": ["multigrid", "learned-multigrid"]})
    fields, table = found["fields"], found["comparison"]
    weight = fields["smoke"].fillna(0.0)
    height = (weight * fields["y"]).sum(("y", "x")) / weight.sum(("y", "x"))
    assert height[-1] > height[0] > 0.05
    assert fields["smoke"].isnull().equals(~fields["mask"])
    assert table["iterations"][1] < table["iterations"][0]
    assert (table["setup"] >= 0).all()


def test_the_numerics_need_no_fieldloom():
    import subprocess
    import sys

    program = (
        "import sys; sys.modules['fieldloom'] = None\n"
        "import numpy as np, fieldloom_dcdm\n"
        "assert 'numba' not in sys.modules and 'scipy' not in sys.modules\n"
        "assert fieldloom_dcdm.solve(np.ones((8, 8), bool), np.ones((8, 8))).converged\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_public_names_are_found_and_others_are_not():
    import fieldloom_dcdm

    assert all(getattr(fieldloom_dcdm, name) is not None for name in fieldloom_dcdm.__all__)
    with pytest.raises(AttributeError, match="no attribute 'solver'"):
        fieldloom_dcdm.solver  # noqa: B018 - the access is the test
