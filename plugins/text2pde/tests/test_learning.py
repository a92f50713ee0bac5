"""Geometry, autoencoders, networks and training: what they promise, and what they learn on waves that are known."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from fieldloom.contracts.population import part
from fieldloom_text2pde import pipeline, weights
from fieldloom_text2pde.autoencoders.graph import carry, carry_mixed
from fieldloom_text2pde.autoencoders.learning import ReconstructionLoss, reconstructions, train_autoencoder
from fieldloom_text2pde.geometry import box_of, geometry_of, still_sides
from fieldloom_text2pde.metrics import relative_error
from fieldloom_text2pde.networks.blocks import Residual
from fieldloom_text2pde.networks.dit import DiT
from fieldloom_text2pde.networks.fno import FNO
from fieldloom_text2pde.networks.unet import PatchedUNet, UNet
from fieldloom_text2pde.scaling import field_scaling, number_scaling
from fieldloom_text2pde.stages.common import compiled
from fieldloom_text2pde.text.captions.mirror import in_mirror
from fieldloom_text2pde.training import Schedule, Training, train
from fieldloom_text2pde.trajectories import collect, mesh_of
from small import channel, population, smoke

WALLS = (False, False, True, True)


@pytest.fixture(scope="module")
def waves():
    return collect({"": population()})


def learned(waves, **sizes):
    setting = pipeline.learn_setting(waves)
    model = pipeline.build_autoencoder(waves, 0, shape=(8, 32), widths=(24, 32), **sizes)
    domains = pipeline.domains_of(model, setting, waves)
    values = [setting.scaling.apply(v) for v in pipeline.tensors_of(waves)]
    return setting, model, domains, values


# -- geometry


def test_distances_to_a_square_are_exact():
    points, triangles = channel((0.5, 0.2), 0.06)
    geometry = geometry_of(points, triangles, WALLS)
    rng = np.random.default_rng(0)
    asked = rng.uniform((0.3, 0.05), (0.7, 0.35), (400, 2))
    offset = np.abs(asked - (0.5, 0.2)) - 0.06
    expected = np.linalg.norm(np.maximum(offset, 0), axis=1) + np.minimum(offset.max(1), 0)
    distance, direction = geometry.distance(asked)
    np.testing.assert_allclose(distance, expected, atol=1e-12)
    step = 1e-6
    ahead, _ = geometry.distance(asked + step * direction)
    np.testing.assert_allclose((ahead - distance) / step, 1.0, atol=1e-3)


def test_a_channel_without_obstacle_has_none():
    points, triangles = channel(None)
    geometry = geometry_of(points, triangles, WALLS)
    distance, direction = geometry.distance(points)
    assert np.isinf(distance).all()
    assert not direction.any()
    assert np.isfinite(geometry.features(points)).all()


def test_sides_that_hold_the_flow_are_found(waves):
    sample = waves.samples[0]
    assert still_sides(sample.points, sample.values[..., :2], waves.box) == WALLS
    assert pipeline.sticking_channels(waves) == (0, 1)


# -- autoencoder


def test_autoencoder_learns_waves_on_meshes_that_all_differ(waves):
    _, model, domains, values = learned(waves)

    def error():
        found = reconstructions(model, values, domains)
        return np.mean([relative_error(f.numpy(), v.numpy()) for f, v in zip(found, values, strict=True)])

    before = error()
    train_autoencoder(model, values, domains, Schedule(60), ReconstructionLoss(), 0)
    assert error() < 0.35 < before


def test_velocity_vanishes_on_walls_whatever_the_weights(waves):
    setting, model, domains, _ = learned(waves)
    sample = waves.samples[0]
    latents = torch.randn(1, 6, 8, *model.config.latent_shape)
    with torch.no_grad():
        found = setting.scaling.undo(model.decode(latents, domains[:1])[0]).numpy()
    on_wall = domains[0].geometry.wall_distance(sample.points) < 1e-9
    assert on_wall.sum() > 20
    assert np.abs(found[:, on_wall, :2]).max() == 0
    assert np.abs(found[:, on_wall, 2]).max() > 0


def test_samples_of_a_batch_do_not_see_each_other(waves):
    _, model, domains, values = learned(waves)
    with torch.no_grad():
        together = model.encode(values[:3], domains[:3])[0]
        alone = torch.cat([model.encode([v], [d])[0] for v, d in zip(values[:3], domains[:3], strict=True)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


def test_order_of_nodes_is_of_no_consequence(waves):
    _, model, domains, values = learned(waves)
    sample = waves.samples[0]
    rng = np.random.default_rng(0)
    points = sample.points + rng.uniform(0, 1e-4, sample.points.shape)  # no two neighbours are equally far
    order = rng.permutation(len(points))
    one, other = (model.domain(p, domains[0].geometry) for p in (points, points[order]))
    with torch.no_grad():
        here, there = model.encode(values[:1], [one])[0], model.encode([values[0][:, order]], [other])[0]
    torch.testing.assert_close(here, there, atol=1e-5, rtol=1e-4)


def test_points_anywhere_can_be_decoded(waves):
    _, model, domains, values = learned(waves)
    points = np.random.default_rng(0).uniform((0.0, 0.0), (1.6, 0.4), (77, 2))
    anywhere = model.domain(points, domains[0].geometry)
    with torch.no_grad():
        found = model.decode(model.encode(values[:1], domains[:1])[0], [anywhere])[0]
    assert found.shape == (6, 77, 3)


@pytest.mark.parametrize("block", [1, 3])
def test_grid_autoencoder_keeps_shape_and_learns(block):
    data = collect({"": smoke()})
    setting = pipeline.learn_setting(data)
    model = pipeline.build_autoencoder(data, 0, widths=(16, 24), latents=4, block=block)
    domains, values = (
        pipeline.domains_of(model, setting, data),
        [setting.scaling.apply(v) for v in pipeline.tensors_of(data)],
    )
    mean, _ = model.encode(values[:2], domains[:2])
    assert mean.shape == (2, 6 // block, 4, 4, 4)
    loss = ReconstructionLoss(4, 3, gradient=0.1, spectral=0.1, absolute=0.1)
    training = train_autoencoder(model, values, domains, Schedule(80), loss, 0)
    assert np.mean(training.losses[-5:]) < 0.6 * np.mean(training.losses[:5])


def test_a_grid_that_does_not_divide_is_refused():
    with pytest.raises(ValueError, match=r"16 x 16 cells does not divide by 32; resample it"):
        pipeline.build_autoencoder(collect({"": smoke()}), 0, widths=(8, 8, 8, 8, 8))


def test_mirror_images_mirror_fields_and_turn_velocities():
    data = collect({"": smoke(8)})
    both = pipeline.mirrored(data, "smoke")
    assert len(both) == 16
    there, here = (s.values.reshape(6, 16, 16, 3) for s in (both.samples[8], data.samples[0]))
    np.testing.assert_array_equal(there[..., 0], here[:, :, ::-1, 0])
    np.testing.assert_array_equal(there[..., 1], -here[:, :, ::-1, 1])
    np.testing.assert_array_equal(there[..., 2], here[:, :, ::-1, 2])


def test_mirror_images_of_channels_lie_across_the_flow():
    data = collect({"": population(2)})
    one = replace(data.samples[0], numbers={"centre_y": 0.15, "radius": 0.05})
    image = pipeline.mirrored(replace(data, samples=(one,)), "cylinder").samples[1]
    low, high = data.box.low[1], data.box.high[1]
    np.testing.assert_allclose(image.points, np.stack([one.points[:, 0], low + high - one.points[:, 1]], axis=1))
    np.testing.assert_array_equal(image.values, one.values * [1, -1, 1])
    assert image.numbers == {"centre_y": pytest.approx(low + high - 0.15), "radius": 0.05}
    areas = [np.linalg.det(s.points[s.triangles[:, 1:]] - s.points[s.triangles[:, :1]]) for s in (one, image)]
    np.testing.assert_allclose(*areas)  # the triangles keep their sense
    with pytest.raises(ValueError, match="what becomes of other numbers in it is unknown"):
        pipeline.mirrored(data, "table")


def test_captions_of_mirror_images_say_what_they_show():
    numbers = {"centre_x": 0.3, "centre_y": 0.16, "radius": 0.05, "mean_velocity": 0.8, "reynolds": 80.0}
    found = in_mirror("cylinder", ["any"] * 40, numbers, np.random.default_rng(0))
    assert len(found) == 40
    assert any("0.16" in text or "16" in text for text in found)
    assert in_mirror("smoke", ["A plume on the left."], {}, np.random.default_rng(0)) == ["A plume on the right."]


def test_what_neighbours_have_is_added_up():
    """Against gathering it, and with a matrix after it; derivatives of all three, too."""
    rng = torch.Generator().manual_seed(0)
    values, weights, matrix = (
        torch.randn(shape, generator=rng, dtype=torch.float64, requires_grad=True)
        for shape in ((7, 3, 4), (5, 2, 6), (9, 8))
    )
    index = torch.randint(7, (5, 6), generator=rng)
    gathered = torch.einsum("nhk,nktc->nthc", weights, values[index]).flatten(2)
    torch.testing.assert_close(carry(values, weights, index), gathered)
    torch.testing.assert_close(carry_mixed(values, weights, index, matrix), gathered @ matrix.T)
    wanted = torch.autograd.grad((gathered @ matrix.T).square().sum(), (values, weights, matrix))
    found = torch.autograd.grad(carry_mixed(values, weights, index, matrix).square().sum(), (values, weights, matrix))
    torch.testing.assert_close(found, wanted)


# -- networks


@pytest.mark.parametrize(
    "network",
    [UNet(3, 5, (8, 16), 1, condition=2), UNet(3, 5, (8,), 2, condition=2, attention=True),
     PatchedUNet(3, 5, 2, (8, 16), 1, 2), FNO(3, 5, 8, 4, 2, condition=2)],
)  # fmt: skip
def test_networks_keep_the_grid(network):
    out = network(torch.randn(2, 3, 10, 14), torch.randn(2, 2))
    assert out.shape == (2, 5, 10, 14)


def test_transformer_takes_its_patches_apart_and_together_again():
    dit = DiT(4, 4, (5, 6, 23), condition=8)
    x = torch.randn(2, 5, 4, 6, 23)
    torch.testing.assert_close(dit._series(dit._patches(x)), x)


def test_transformer_starts_at_zero_and_does_not_see_filling():
    torch.manual_seed(0)
    dit = DiT(4, 4, (4, 4, 8), width=32, depth=2, condition=8, text=16)
    x, condition, text = torch.randn(2, 4, 4, 4, 8), torch.randn(2, 8), torch.randn(2, 7, 16)
    mask = torch.arange(7) < torch.tensor([[7], [3]])
    assert not dit(x, condition, text, mask).any()
    for parameter in dit.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    filled = text.clone()
    filled[1, 3:] = 100.0
    torch.testing.assert_close(dit(x, condition, text, mask), dit(x, condition, filled, mask))
    assert not torch.allclose(dit(x, condition, text, mask), dit(x, condition, filled, None))


# -- training


def small_training(steps=20, **options):
    torch.manual_seed(0)
    network = UNet(3, 3, (8, 16), 1)
    return network, Training(network, Schedule(steps, **options))


def loss_of(network):
    def loss(generator):
        x = torch.randn(2, 3, 8, 8, generator=generator)
        return (network(x) - x.flip(1)).square().mean()

    return loss


def test_training_learns_and_is_reproducible():
    losses = []
    for _ in range(2):
        network, training = small_training(60)
        training.run(loss_of(network))
        losses.append(training.losses)
    assert losses[0] == losses[1]
    assert losses[0][-1] < 0.5 * losses[0][0]


def test_a_training_that_was_stopped_ends_as_if_it_had_not_been():
    whole, training = small_training()
    training.run(loss_of(whole))

    class Stop(Exception):
        pass

    kept = {}

    def stop(now):
        if now.step == 7:
            kept.update(weights.from_dataset(weights.to_dataset(now.state())))
            raise Stop

    network, training = small_training()
    with pytest.raises(Stop):
        training.run(loss_of(network), stop)
    network, training = small_training()
    training.resume(kept)
    training.run(loss_of(network))
    for a, b in zip(whole.parameters(), network.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_loss_that_is_not_finite_stops_the_training():
    network, training = small_training()
    with pytest.raises(FloatingPointError, match="the loss is nan in step 1: lower the learning rate"):
        training.run(lambda generator: loss_of(network)(generator) * float("nan"))


def test_weights_of_another_network_are_refused():
    data = weights.to_dataset(UNet(3, 3, (8,)).state_dict())
    with pytest.raises(ValueError, match="belong to another network"):
        weights.load(UNet(3, 4, (8,)), weights.from_dataset(data))


# -- scaling and collecting


def test_vectors_share_one_scale_and_keep_their_zero(waves):
    scaling = field_scaling([s.values for s in waves.samples], waves.vectors)
    assert scaling.shift[:2] == (0.0, 0.0)
    assert scaling.scale[0] == scaling.scale[1] != scaling.scale[2]
    values = torch.from_numpy(waves.samples[0].values)
    torch.testing.assert_close(scaling.undo(scaling.apply(values)), values)


def test_numbers_out_of_range_and_unknown_ones_are_named():
    scaling = number_scaling({"inflow": np.array([0.5, 1.0]), "nu": np.array([1.0, 1.0])}, {"inflow": "m s-1"})
    assert scaling.names == ("inflow",)
    with pytest.raises(
        ValueError, match=r"inflow = 2 m s-1 is outside of what the model has seen, 0.5 to 1; .*extrapolate"
    ):
        scaling.check({"inflow": 2.0})
    with pytest.raises(ValueError, match="knows no number 'outflow'; it knows inflow"):
        scaling.standardise({"outflow": 1.0})


def test_values_that_are_not_finite_are_located():
    data = population(3)
    start = int(data["sample_node_offsets"][1])
    data["pressure"][2, start + 4] = np.nan
    with pytest.raises(ValueError, match=r"w, trajectory 1, frame 2 \(t = 0.2 s\): 'pressure' is nan at point 4"):
        collect({"w": data})


def test_fields_and_instants_must_agree():
    data = population(2)
    with pytest.raises(ValueError, match="no field 'speed' over time; there are velocity, pressure"):
        collect({"w": data}, ["speed"])
    late = data.assign_coords(time=data["time"] * 2)
    with pytest.raises(ValueError, match="b has other instants than a"):
        collect({"a": data, "b": late})


def test_one_mesh_is_one_trajectory_with_its_coordinates_as_numbers(waves):
    from fieldloom import Collection

    first, second = (part(population(2), i).drop_vars(["inflow", "viscosity"]) for i in range(2))
    found = collect(Collection.of(first, second, reynolds=[60, 80]))
    assert [s.numbers for s in found.samples] == [{"reynolds": 60.0}, {"reynolds": 80.0}]
    points, triangles = mesh_of(first)
    np.testing.assert_array_equal(found.samples[0].triangles, triangles)
    assert box_of(points) == found.box


def test_parts_of_a_population_are_no_numbers_of_its_trajectories():
    from fieldloom import Collection

    found = collect(Collection.of(population(2), population(2, first=5), part=[0, 1]))
    assert set(found.samples[3].numbers) == {"inflow", "viscosity"}


TOGETHER = """
import sys, torch
from torch import distributed, nn
from fieldloom_text2pde.training import Schedule, train
if sys.argv[1] != "alone":
    distributed.init_process_group("gloo", init_method=f"file://{sys.argv[2]}", rank=int(sys.argv[1]), world_size=2)
torch.manual_seed(0)
network, x = nn.Linear(8, 8), torch.ones(3, 8)
drawn = []
def loss(generator):
    drawn.append(torch.rand((), generator=generator).item())
    mine = [float(sys.argv[1])] if distributed.is_initialized() else [0.0, 1.0]
    return sum((network(x) - target).square().mean() for target in mine) / len(mine)
train(network, loss, Schedule(5), 0)
print(*network.weight.flatten().tolist(), drawn[-1])
"""


def test_ranks_train_one_network_on_batches_of_their_own(tmp_path):
    """Two ranks with a target each end where one process with the mean of both losses does."""
    command = [sys.executable, "-c", TOGETHER]
    ranks = [
        subprocess.Popen([*command, str(r), str(tmp_path / "meet")], stdout=subprocess.PIPE, text=True) for r in (0, 1)
    ]
    alone = subprocess.run([*command, "alone"], capture_output=True, text=True, check=True).stdout
    first, second, whole = (np.array(out.split(), float) for out in (*(p.communicate()[0] for p in ranks), alone))
    np.testing.assert_array_equal(first[:-1], second[:-1])
    np.testing.assert_allclose(first[:-1], whole[:-1], atol=1e-6)
    assert first[-1] != second[-1]  # what they draw at random


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # many, of torch's compiler
def test_compiled_networks_learn_the_same_under_the_same_names():
    x, losses, names = torch.randn(2, 3, 8, 8), [], []
    for on in (False, True):
        torch.manual_seed(0)
        network = Residual(3, 8)
        if on:
            compiled(network, None)
        training = train(network, lambda _, n=network: (n(x) - 1).square().mean(), Schedule(4), 0)
        losses.append(training.losses)
        names.append(list(network.state_dict()))
    np.testing.assert_allclose(*losses, rtol=1e-3)
    assert names[0] == names[1]
