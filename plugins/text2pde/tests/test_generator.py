"""Generators, scores and the rules between numbers, against what is known exactly."""

import numpy as np
import pytest
import tiny
import torch
from fieldloom_text2pde import metrics, rules, weights
from fieldloom_text2pde.baselines.pod import fit_pod_ridge
from fieldloom_text2pde.checkpoint import load, save
from fieldloom_text2pde.fidelity import wake_in
from fieldloom_text2pde.fields import sample_of
from fieldloom_text2pde.generator.model import Draw, Generator
from fieldloom_text2pde.generator.spread import set_spread, spread_over_error
from fieldloom_text2pde.geometry import box_of
from fieldloom_text2pde.interpolation import interpolation_floor
from fieldloom_text2pde.scaling import NumberScaling
from fieldloom_text2pde.trajectories import Sample, collect
from scipy import stats
from small import channel, population

# -- drawing


@pytest.fixture(scope="module")
def model():
    return Generator.from_dataset(tiny.generator("mesh"))


@pytest.fixture(scope="module")
def wave():
    return collect({"": population(1, first=70)}).samples[0]


def drawn(model, sample, members=4, frame=True, **options):
    domain, draw = model.mesh_domain(sample.points, sample.triangles), Draw(**options)
    if frame:
        return torch.from_numpy(model.continued(domain, sample.values[0], {"inflow": 1.0}, members, draw))
    return torch.from_numpy(model.imagined(domain, {"inflow": 1.0}, members, draw))


def test_draws_are_reproducible_and_differ_by_seed_and_member(model, wave):
    a, b, c = (drawn(model, wave, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(a, b)
    assert not torch.allclose(a, c)
    assert not torch.allclose(a[0], a[1])
    assert drawn(model, wave, frame=False).shape == a.shape


def test_first_frames_and_walls_are_kept(model, wave):
    found = drawn(model, wave)
    assert torch.equal(found[:, 0], torch.from_numpy(wave.values[0]).expand(4, -1, -1))
    domain = model.mesh_domain(wave.points, wave.triangles)
    on_wall = domain.geometry.wall_distance(wave.points) < 1e-9
    assert not drawn(model, wave, frame=False)[:, :, on_wall, :2].any()


def test_first_frames_are_drawn_until_enough_show_what_is_wanted(model, wave):
    """One in ten is accepted: far more are drawn than are kept, and rejected ones fill up where that is not enough."""
    domain, seen = model.mesh_domain(wave.points, wave.triangles), []

    def every_tenth(frame):
        seen.append(frame.copy())
        return len(seen) % 10 == 0

    given = model.conditions(domain, {"inflow": 1.0}, None, None)
    kept = model.draw_frame(domain, given, 2, Draw(3), every_tenth)
    assert len(seen) == 24  # three rounds of eight
    shown = [f[0].detach().numpy() for f in model.decode(kept[:, None], [domain] * 2)]
    np.testing.assert_allclose(shown, [seen[9], seen[19]], atol=1e-5)
    assert len(np.unique([f[0, 2] for f in seen])) > 12  # every round draws others
    assert len(model.draw_frame(domain, given, 2, Draw(3), lambda frame: False)) == 2


def test_pairs_of_noise_cancel_in_the_mean(model, wave):
    """For a network that is linear in its noise they would cancel exactly; for any, they leave less."""
    mean = drawn(model, wave, 2, members_share_mean=True)[0]
    off = [(drawn(model, wave, 8, antithetic=pairs, seed=3).mean(0) - mean).norm() for pairs in (True, False)]
    assert off[0] < 0.7 * off[1]


def test_ensembles_on_one_mesh_are_what_single_draws_are(model, wave):
    """Decoding several members on one mesh takes a shorter way."""
    domain = model.mesh_domain(wave.points, wave.triangles)
    other = model.mesh_domain(wave.points, wave.triangles)
    latents = torch.randn(2, *model.continuation.sizes.series[:1], 8, *model.autoencoder.config.latent_shape)
    with torch.no_grad():
        together, apart = model.decode(latents, [domain] * 2), model.decode(latents, [domain, other])
    for a, b in zip(together, apart, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


def test_guidance_of_one_changes_nothing_and_more_does(model, wave):
    plain, same, more = (drawn(model, wave, guidance=g) for g in (1.0, 1.0, 3.0))
    assert torch.equal(plain, same)
    assert not torch.allclose(plain, more)


def test_spread_is_set_on_held_out_trajectories():
    model = Generator.from_dataset(tiny.generator("mesh"))
    held = collect({"": population(3, first=90)})
    before = set_spread(model, held, 4, 0)
    after = spread_over_error(model, held, 4, 0, 4)
    assert abs(np.log(after)) < abs(np.log(before))


def test_a_model_is_the_same_after_writing_and_reading(model, wave, tmp_path):
    again = Generator.from_dataset(model.to_dataset())
    assert torch.equal(drawn(model, wave), drawn(again, wave))
    save(model.to_dataset(), tmp_path / "small", {"seed": 0})
    half = Generator.from_dataset(load(tmp_path / "small"))
    torch.testing.assert_close(drawn(model, wave), drawn(half, wave), atol=0.05, rtol=0.05)
    data = tiny.generator("mesh").copy()
    del data.attrs["setting"]
    with pytest.raises(ValueError, match="no 'setting'"):
        Generator.from_dataset(data)


def test_a_broken_model_is_refused(model):
    data = model.to_dataset()
    with pytest.raises(ValueError, match="belong to another network"):
        Generator.from_dataset(data.drop_vars("latent_scale"))
    assert weights.attribute(data, "kind") == "mesh"


def test_a_mesh_model_has_no_grid_of_its_own(model):
    with pytest.raises(ValueError, match="give it a `domain`"):
        sample_of(model, None, 0, with_fields=False)
    with pytest.raises(ValueError, match="has 1 samples; there is no number 3"):
        sample_of(model, population(1), 3, with_fields=False)


# -- rules

CYLINDER = NumberScaling(
    ("centre_x", "centre_y", "radius", "mean_velocity", "reynolds"),
    ("m", "m", "m", "m s-1", "1"),
    (0.3, 0.2, 0.05, 0.65, 68.0),
    (0.05, 0.03, 0.007, 0.2, 25.0),
    (0.2, 0.15, 0.04, 0.3, 24.0),
    (0.4, 0.26, 0.065, 1.0, 130.0),
)


@pytest.mark.parametrize(
    ("given", "name", "value"),
    [
        ({"radius": 0.05, "mean_velocity": 1.0}, "reynolds", 100.0),
        ({"radius": 0.05, "reynolds": 80.0}, "mean_velocity", 0.8),
        ({"reynolds": 120.0, "mean_velocity": 1.0}, "radius", 0.06),
    ],
)
def test_two_of_three_numbers_give_the_third(given, name, value):
    assert rules.consistent("cylinder", given, {"viscosity": 1e-3})[name] == pytest.approx(value)
    assert rules.consistent("table", given, {"viscosity": 1e-3}) == given


def test_numbers_that_contradict_each_other_are_refused():
    with pytest.raises(ValueError, match=r"make a Reynolds number of 100 .* not 50; leave one of them out"):
        rules.consistent("cylinder", {"radius": 0.05, "mean_velocity": 1.0, "reynolds": 50.0}, {"viscosity": 1e-3})


@pytest.mark.parametrize("reynolds", [25.0, 60.0, 129.0])
def test_a_reynolds_number_alone_is_completed_within_the_ranges(reynolds):
    found = rules.complete("cylinder", {"reynolds": reynolds}, CYLINDER, {"viscosity": 1e-3})
    assert set(found) == {*CYLINDER.names, "viscosity"}
    assert 2 * found["radius"] * found["mean_velocity"] / 1e-3 == pytest.approx(reynolds)
    CYLINDER.check(found)


# -- scores


def test_crps_of_many_normal_members_is_the_formula():
    """Gneiting & Raftery 2007, equation 21."""
    rng = np.random.default_rng(0)
    truth = np.array([0.0, 1.0, -2.5])
    members = 0.3 + 0.8 * rng.standard_normal((20000, 3))
    z = (truth - 0.3) / 0.8
    formula = 0.8 * (z * (2 * stats.norm.cdf(z) - 1) + 2 * stats.norm.pdf(z) - 1 / np.sqrt(np.pi))
    np.testing.assert_allclose(metrics.crps(members, truth), formula, rtol=0.02)
    np.testing.assert_allclose(metrics.crps(members[:1], truth), np.abs(members[0] - truth))


@pytest.mark.parametrize("width", [0.5, 1.0, 2.0])
def test_spread_over_error_is_one_where_truth_is_another_member(width):
    rng = np.random.default_rng(0)
    spread, error = metrics.spread_and_skill(width * rng.standard_normal((8, 20000)), rng.standard_normal(20000))
    assert spread / error == pytest.approx(width * np.sqrt(9 / 8) / np.sqrt(1 + width**2 / 8), rel=0.02)


def test_spectrum_of_a_wave_is_at_its_wave_number():
    n = 32
    x = np.arange(n)[None].repeat(n, 0)
    wave = np.stack([np.sin(2 * np.pi * 5 * x / n), np.zeros((n, n))], -1)
    assert metrics.energy_spectrum(wave).argmax() == 4
    assert metrics.spectrum_error(wave[None] * 10, wave[None]) > 0
    noise = np.random.default_rng(0).standard_normal((1, n, n, 2))
    assert metrics.spectrum_error(10 * noise, noise) == pytest.approx(2.0)


@pytest.mark.parametrize("frequency", [1.3, 2.6, 4.1])
def test_frequency_of_a_short_signal_with_trend(frequency):
    t = 0.04 * np.arange(32)
    signal = 0.3 + 0.5 * t + np.sin(2 * np.pi * frequency * t + 0.7)
    assert metrics.dominant_frequency(signal, 0.04) == pytest.approx(frequency, rel=0.02)


def test_fluctuations_and_errors():
    t = np.linspace(0, 20 * np.pi, 500)[:, None, None]
    assert metrics.fluctuation_error(1 + 0.8 * np.sin(t), np.sin(t)) == pytest.approx(0.2, abs=1e-6)
    assert metrics.relative_error(np.array([3.0, 0.0]), np.array([0.0, 4.0])) == pytest.approx(1.25)
    assert metrics.relative_error(np.zeros(3, np.float32), np.zeros(3, np.float32)) == 0.0


def test_interpolation_floor_is_nothing_for_linear_fields_and_second_order_else():
    points, none = channel(None, spacing=0.02)[0], np.zeros((0, 3), np.int64)
    box = box_of(points)
    linear = (points @ [1.0, -2.0])[None, :, None]
    np.testing.assert_allclose(interpolation_floor(Sample(linear, points, none, {}), box, (6, 7)), linear, atol=1e-12)
    curved = Sample(np.sin(3 * points[:, 0])[None, :, None], points, none, {})
    errors = [np.abs(interpolation_floor(curved, box, (n, n)) - curved.values).max() for n in (6, 11)]
    assert 3 < errors[0] / errors[1] < 5


def test_pod_with_ridge_finds_linear_laws():
    rng = np.random.default_rng(0)
    features = rng.standard_normal((60, 4))
    values = features @ rng.standard_normal((4, 300)) + 5.0
    fitted = fit_pod_ridge(features[:50], values[:50], modes=10)
    np.testing.assert_allclose(fitted(features[50:]), values[50:], rtol=1e-2, atol=1e-2)
    np.testing.assert_allclose(fitted.modes @ fitted.modes.T, np.eye(len(fitted.modes)), atol=1e-9)


def test_a_wake_is_measured_in_its_field():
    rng = np.random.default_rng(0)
    points = rng.uniform((0, 0), (1.6, 0.41), (4000, 2))
    inlet = np.stack([np.zeros(42), np.linspace(0, 0.41, 42)], 1)
    angle = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    ring = (0.3, 0.2) + 0.05 * np.stack([np.cos(angle), np.sin(angle)], 1)
    points = np.concatenate([points[np.linalg.norm(points - (0.3, 0.2), axis=1) > 0.051], inlet, ring])
    y = points[:, 1]
    u = 1.5 * 0.8 * 4 * y * (0.41 - y) / 0.41**2
    u[-60:] = 0.0
    values = np.stack([u, 0 * u, 0 * u], -1)[None].repeat(3, 0)
    found = wake_in(values, points, np.stack([ring, np.roll(ring, 1, 0)], 1), 1e-3)
    assert found["reynolds"] == pytest.approx(80, rel=0.01)
    assert (found["centre_x"], found["centre_y"]) == pytest.approx((0.3, 0.2), abs=0.003)
