"""Corruption processes: round trips, targets, schedules and times."""

import pytest
import torch
from fieldloom_text2pde.diffusion import FlowMatching, VariancePreserving
from oracles import EXACT, PROCESSES, normal, seeded, worst


@pytest.mark.parametrize("process", PROCESSES, ids=repr)
@pytest.mark.parametrize("dims", [1, 2, 3, 4, 5])
def test_data_and_noise_are_recovered_from_the_target(process, dims):
    shape = (7, 2, 3, 2, 2)[:dims]
    x, noise, t = normal(*shape), normal(*shape, seed=1), torch.linspace(0.01, 0.98, 7, dtype=torch.float64)
    x_t, target = process.corrupt(x, noise, t), process.target(x, noise, t)
    assert worst(process.denoised(x_t, target, t), x) < 1e-8  # cosine divides by alpha = 0.03
    assert worst(process.noise_in(x_t, target, t), noise) < 1e-8
    assert worst(process.velocity(x_t, target, t), noise - x) < 1e-8


@pytest.mark.parametrize("process", PROCESSES, ids=repr)
def test_one_time_for_all_is_that_time_for_each(process):
    x, noise, t = normal(4, 3, 5), normal(4, 3, 5, seed=1), torch.tensor(0.3, dtype=torch.float64)
    for method in (process.corrupt, process.target, process.denoised, process.noise_in, process.velocity):
        torch.testing.assert_close(method(x, noise, t), method(x, noise, t.expand(4)), rtol=EXACT, atol=EXACT)


def test_samples_get_their_own_times():
    x, noise = normal(2, 3), normal(2, 3, seed=1)
    mixed = FlowMatching().corrupt(x, noise, torch.tensor([0.25, 0.5]))
    torch.testing.assert_close(mixed, torch.stack([0.75 * x[0] + 0.25 * noise[0], 0.5 * x[1] + 0.5 * noise[1]]))


@pytest.mark.parametrize("process", PROCESSES, ids=repr)
def test_data_at_zero_and_ever_less_of_it(process):
    t = torch.linspace(0, 1, 257, dtype=torch.float64)
    assert (process.alpha(t[0]), process.sigma(t[0])) == (1, 0)
    assert (process.log_snr(t).diff() < 0).all()
    inside = t[1:-1]
    torch.testing.assert_close(process.time_of_log_snr(process.log_snr(inside)), inside, rtol=1e-9, atol=1e-12)
    assert process.time_of_log_snr(torch.tensor(torch.inf)) == 0
    if isinstance(process, VariancePreserving):
        torch.testing.assert_close(process.alpha(t) ** 2 + process.sigma(t) ** 2, torch.ones_like(t))


@pytest.mark.parametrize("schedule", ["scaled-linear", "cosine"])
def test_zero_terminal_ratio_is_exact_and_stretches_the_rest(schedule):
    t = torch.linspace(0, 1, 11, dtype=torch.float64)
    plain, stretched = VariancePreserving("v", schedule), VariancePreserving("v", schedule, zero_terminal_snr=True)
    end = plain.alpha(t[-1])
    assert stretched.alpha(t[-1]) == 0 < end
    assert stretched.alpha(t)[-1] == 0
    torch.testing.assert_close(stretched.alpha(t), (plain.alpha(t) - end) / (1 - end), rtol=1e-9, atol=1e-15)
    assert stretched.time_of_log_snr(torch.tensor(-torch.inf)) == 1


def test_targets_are_those_of_the_papers():
    x, noise, t = normal(3, 4), normal(3, 4, seed=1), torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)
    process = VariancePreserving("v")
    alpha, sigma = process.alpha(t)[:, None], process.sigma(t)[:, None]
    torch.testing.assert_close(process.target(x, noise, t), alpha * noise - sigma * x)  # Salimans & Ho, appendix D
    torch.testing.assert_close(process.corrupt(x, noise, t), alpha * x + sigma * noise)
    torch.testing.assert_close(VariancePreserving("epsilon").target(x, noise, t), noise)
    torch.testing.assert_close(VariancePreserving("x").target(x, noise, t), x)
    torch.testing.assert_close(FlowMatching().target(x, noise, t), noise - x)


def test_prediction_of_data_is_the_data_at_time_zero():
    x = normal(2, 3)
    assert torch.equal(VariancePreserving("x").denoised(x, x, torch.zeros(2)), x)


@pytest.mark.parametrize(("shift", "logit_normal"), [(1.0, True), (3.0, True), (1.0, False), (3.0, False)])
def test_training_times_follow_their_law(shift, logit_normal):
    """After undoing shift and logistic, the moments are those of a normal or uniform number (4 standard errors)."""
    n = 40_000
    t = FlowMatching(shift, logit_normal).draw_times(n, seeded(3)).double()
    assert t.shape == (n,)
    t = t / (shift - (shift - 1) * t)
    z = torch.logit(t) if logit_normal else (t - 0.5) * 12**0.5
    assert abs(z.mean().item()) < 4 / n**0.5
    assert z.std().item() == pytest.approx(1, abs=0.02)


def test_training_times_are_reproducible_and_leave_out_the_data():
    for process in PROCESSES:
        t = process.draw_times(1000, seeded())
        assert torch.equal(t, process.draw_times(1000, seeded()))
        assert 0 < t.min() < 0.1 < 0.9 < t.max() <= 1


@pytest.mark.parametrize("process", [FlowMatching(logit_normal=False), VariancePreserving("v")])
def test_the_least_random_number_is_no_time_without_noise(process, monkeypatch):
    monkeypatch.setattr(torch, "rand", lambda n, **_: torch.zeros(n))
    assert torch.equal(process.draw_times(2, seeded()), torch.ones(2))


def test_default_times():
    """Shifted times stay longer with the noise; those of the variance-preserving process with the data."""
    for process, middle in ((FlowMatching(), 0.5), (FlowMatching(3.0), 0.75), (VariancePreserving("v"), 0.25)):
        torch.testing.assert_close(process.times(2), torch.tensor([1, middle, 0], dtype=torch.float64))


@pytest.mark.parametrize("process", PROCESSES, ids=repr)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_dtype_of_the_data_is_kept(process, dtype):
    x, noise = normal(3, 2, 2, dtype=torch.float32).to(dtype), normal(3, 2, 2, dtype=torch.float32, seed=1).to(dtype)
    for t in (torch.tensor([0.2, 0.5, 0.7]), torch.tensor(0.4, dtype=torch.float64)):
        for method in (process.corrupt, process.target, process.denoised, process.noise_in, process.velocity):
            assert method(x, noise, t).dtype == dtype
        assert process.alpha(t).dtype == process.sigma(t).dtype == process.log_snr(t).dtype == torch.float64
