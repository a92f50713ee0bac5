"""Samplers: exact solutions and orders, agreement with diffusers, clear errors."""

import ast
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from fieldloom_text2pde import diffusion
from fieldloom_text2pde.diffusion import SAMPLERS, FlowMatching, VariancePreserving, sample
from fieldloom_text2pde.diffusion.samplers.deis import weight
from oracles import CLOSE, EXACT, MEAN, PROCESSES, SPREAD, LogLinear, exact, ideal, normal, seeded, toy, worst

SMOOTH = [FlowMatching(), LogLinear()]


@pytest.mark.parametrize("process", [*PROCESSES, LogLinear()], ids=repr)
@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_approaches_the_exact_solution_of_every_process(name, process):
    """Twice the steps, half the error or less (0.6: other terms still count)."""
    few, many = errors(name, process, (24, 48), process.times)
    assert many < 0.6 * few
    assert few < 0.13
    noise, ends = normal(64, 1, seed=2), process.times(1)
    assert (exact(process, noise, *ends) - noise).abs().max() > 1  # there is something to find


def errors(name, process, counts, grid, **options):
    """Largest error over samples, for each number of steps."""
    noise = normal(64, 1, seed=2)
    for n in counts:
        times = grid(n)
        got = sample(name, ideal(process), process, noise, n, times=times, **options)
        yield (got - exact(process, noise, times[0], times[-1])).abs().max().item()


def observed_order(name, process, grid, n=128, **options):
    coarse, fine = errors(name, process, (n, 2 * n), grid, **options)
    return np.log2(coarse / fine)


def even(n):
    return torch.linspace(0.95, 0.05, n + 1, dtype=torch.float64)


def gentle(n):
    """Times whose first steps shrink like the square of the others, as a start of lower order needs it."""
    return 0.95 - 0.9 * torch.linspace(0, 1, n + 1, dtype=torch.float64) ** 2


@pytest.mark.parametrize("process", SMOOTH, ids=repr)
@pytest.mark.parametrize(
    ("name", "order", "options"),
    [
        ("ddim", 1, {}),
        ("flow-euler", 1, {}),
        ("flow-heun", 2, {}),
        ("dpm-solver", 2, {}),
        ("deis", 1, {"order": 1}),
        ("deis", 2, {"order": 2}),
        ("deis", 3, {"order": 3}),
    ],
)
def test_order(name, order, options, process):
    grid = gentle if order == 3 else even
    assert observed_order(name, process, grid, **options) == pytest.approx(order, abs=0.3)


@pytest.mark.parametrize(
    ("name", "order", "process", "n"),
    [
        ("ddim", 1, FlowMatching(), 64),
        ("flow-euler", 1, FlowMatching(), 64),
        ("flow-heun", 2, FlowMatching(), 64),
        ("dpm-solver", 2, FlowMatching(), 256),  # up to a logarithm, see its notes
        ("deis", 2, FlowMatching(), 64),
        ("flow-heun", 2, VariancePreserving("v"), 64),
        ("deis", 2, VariancePreserving("v"), 64),
    ],
)
def test_order_holds_from_pure_noise_to_pure_data(name, order, process, n):
    """alpha = 0 at the start and sigma = 0 at the end are no singularities of the methods, with the default times."""
    options = {"order": 2} if name == "deis" else {}
    assert observed_order(name, process, process.times, n, **options) == pytest.approx(order, abs=0.3)


def test_first_order_deis_is_ddim():
    noise = normal(5, 6)
    for process in PROCESSES:
        a, b = (sample(n, toy, process, noise, 9, **o) for n, o in (("deis", {"order": 1}), ("ddim", {})))
        torch.testing.assert_close(a, b, rtol=EXACT, atol=EXACT)


def test_deis_weights_are_the_integral_that_the_paper_defines():
    """Against scipy's adaptive quadrature in time, where rho = t / (1 - t) has the derivative (1 - t)^-2."""
    integrate = pytest.importorskip("scipy.integrate")
    nodes, s = torch.tensor([0.6, 0.75, 0.9], dtype=torch.float64), torch.tensor(0.45, dtype=torch.float64)
    for j in (0, 1, 2):
        others = [nodes[k].item() for k in range(3) if k != j]

        def integrand(t, j=j, others=others):
            return np.prod([(t - o) / (nodes[j].item() - o) for o in others]) / (1 - t) ** 2

        want, _ = integrate.quad(integrand, 0.6, 0.45, epsabs=1e-13, epsrel=1e-13)
        assert weight(FlowMatching(), nodes, j, s).item() == pytest.approx(0.55 * want, rel=1e-11)


def test_ancestral_sampling_has_the_data_s_distribution():
    """eta = 1 forgets its start: from noise of zeros the spread comes back (4 standard errors)."""
    process, n = VariancePreserving("v"), 20_000
    start = torch.zeros(n, 1, dtype=torch.float64)
    got = sample("ddim", ideal(process), process, start, 150, eta=1.0, generator=seeded(1))
    assert got.mean().item() == pytest.approx(MEAN, abs=0.01 + 4 * SPREAD / n**0.5)
    assert got.std().item() == pytest.approx(SPREAD, rel=0.05)
    assert sample("ddim", ideal(process), process, start, 10).std() < 1e-12


def test_ancestral_sampling_is_reproducible():
    noise, process = normal(4, 6), FlowMatching()
    a, b, c = (sample("ddim", toy, process, noise, 5, eta=0.5, generator=seeded(s)) for s in (1, 1, 2))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_sampling_continues_from_where_it_was_left():
    noise, process = normal(4, 6), VariancePreserving("v")
    grid = process.times(10)
    half = sample("ddim", toy, process, noise, 4, times=grid[:5])
    rest = sample("ddim", toy, process, half, 6, times=grid[4:])
    torch.testing.assert_close(rest, sample("ddim", toy, process, noise, 10), rtol=EXACT, atol=EXACT)


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("dims", [2, 3, 4, 5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_samplers_keep_shape_and_dtype_and_ask_as_promised(name, dims, dtype):
    asked = []

    def model(x, t):
        asked.append((x.shape, x.dtype, t.shape, t.dtype))
        return x.float()  # what a network under autocast may do: another dtype

    noise = normal(3, 2, 4, 2, 2, dtype=torch.float32)[(slice(None),) * dims + (0,) * (5 - dims)].to(dtype)
    got = sample(name, model, FlowMatching(), noise, 4)
    assert (got.shape, got.dtype) == (noise.shape, dtype)
    time_dtype = torch.float64 if dtype == torch.float64 else torch.float32
    assert set(asked) == {(noise.shape, dtype, (3,), time_dtype)}
    assert len(asked) == (7 if name == "flow-heun" else 4)


@pytest.mark.parametrize("name", SAMPLERS)
def test_samplers_report_steps_and_record_no_gradients(name):
    reports, parameter = [], torch.ones((), requires_grad=True)
    got = sample(
        name, lambda x, t: x * parameter, FlowMatching(), normal(2, 3), 3, on_step=lambda *r: reports.append(r)
    )
    assert reports == [(1, 3), (2, 3), (3, 3)]
    assert not got.requires_grad


@pytest.mark.parametrize("name", SAMPLERS)
def test_noise_is_left_alone(name):
    noise = normal(2, 6)
    sample(name, toy, FlowMatching(), noise, 3)
    assert torch.equal(noise, normal(2, 6))


# samplers against diffusers

PREDICTIONS = {"epsilon": "epsilon", "v": "v_prediction", "x": "sample"}
SCHEDULE = {"num_train_timesteps": 1000, "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


diffusers_warnings = pytest.mark.filterwarnings("ignore:__array_:DeprecationWarning")


def trailing(steps):
    return torch.linspace(1, 0, steps + 1, dtype=torch.float64)


def run_scheduler(scheduler, noise, **options):
    """Sample `toy` with a scheduler of diffusers, whose k-th of 1000 steps counts from 0."""
    x = noise
    for k in scheduler.timesteps:
        t = (k.double() + 1) / 1000
        x = scheduler.step(toy(x, t.expand(len(x))), k, x, return_dict=False, **options)[0]
    return x


def exactly(scheduler, process):
    """Replace a scheduler's float32 coefficients by ours, after a check that they are the same."""
    ours = process.alpha(torch.arange(1, 1001, dtype=torch.float64) / 1000) ** 2
    np.testing.assert_allclose(scheduler.alphas_cumprod.double(), ours, rtol=2e-4)  # their product is in float32
    scheduler.alphas_cumprod = ours
    return scheduler


@pytest.mark.parametrize("theirs", ["scaled_linear", "squaredcos_cap_v2"])
def test_schedules_are_those_of_diffusers(theirs):
    diffusers = pytest.importorskip("diffusers")
    name = {"scaled_linear": "scaled-linear", "squaredcos_cap_v2": "cosine"}[theirs]
    exactly(diffusers.DDIMScheduler(**SCHEDULE | {"beta_schedule": theirs}), VariancePreserving("v", name))


@pytest.mark.parametrize("eta", [0.0, 0.7])
@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_ddim_is_that_of_diffusers(prediction, eta):
    """Same trajectory, float64, fresh noise included."""
    diffusers = pytest.importorskip("diffusers")
    process, noise = VariancePreserving(prediction), normal(4, 6)
    scheduler = diffusers.DDIMScheduler(
        **SCHEDULE, prediction_type=PREDICTIONS[prediction], clip_sample=False, timestep_spacing="trailing"
    )
    scheduler.set_timesteps(20)
    want = run_scheduler(exactly(scheduler, process), noise, eta=eta, generator=seeded(9))
    got = sample("ddim", toy, process, noise, 20, times=trailing(20), eta=eta, generator=seeded(9))
    assert worst(got, want) < EXACT * 100


@diffusers_warnings
@pytest.mark.parametrize("steps", [10, 20])
@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_dpm_solver_is_that_of_diffusers(prediction, steps):
    """DPM-Solver++(2M), midpoint, first order at the end; theirs rounds the state to float32 in each step."""
    diffusers = pytest.importorskip("diffusers")
    process, noise = VariancePreserving(prediction), normal(4, 6)
    scheduler = diffusers.DPMSolverMultistepScheduler(
        **SCHEDULE, prediction_type=PREDICTIONS[prediction], timestep_spacing="trailing", solver_order=2
    )
    exactly(scheduler, process).set_timesteps(steps)
    scheduler.sigmas = rho(process, trailing(steps))
    want = run_scheduler(scheduler, noise)
    assert worst(sample("dpm-solver", toy, process, noise, steps, times=trailing(steps)), want) < CLOSE


@diffusers_warnings
@pytest.mark.parametrize("order", [1, 2, 3])
def test_deis_is_that_of_diffusers_where_both_interpolate_alike(order):
    """Theirs interpolates the noise in log rho, ours in time: the same where log rho is linear in time.

    20 steps: below 15, theirs lowers the order at the end.
    """
    diffusers = pytest.importorskip("diffusers")
    process, noise, steps = LogLinear(), normal(4, 6), 20
    scheduler = diffusers.DEISMultistepScheduler(solver_order=order)
    scheduler.set_timesteps(steps)
    grid = torch.linspace(0.9, 0.1, steps + 1, dtype=torch.float64) ** 1.5
    scheduler.sigmas, scheduler.timesteps = rho(process, grid), 1000 * grid[:-1] - 1
    want = run_scheduler(scheduler, noise)
    assert worst(sample("deis", toy, process, noise, steps, times=grid, order=order), want) < 1e-10


@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_flow_euler_is_that_of_diffusers(shift):
    """Their shift of the times, too; theirs rounds the state to float32 in each step."""
    diffusers = pytest.importorskip("diffusers")
    process, noise, steps = FlowMatching(shift), normal(4, 6), 12
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(shift=shift)
    scheduler.set_timesteps(sigmas=np.linspace(1, 1 / steps, steps))
    np.testing.assert_allclose(scheduler.sigmas, process.times(steps), atol=1e-7)
    x = noise
    for t, k in zip(process.times(steps), scheduler.timesteps, strict=False):
        x = scheduler.step(toy(x, t.expand(4)), k, x, return_dict=False)[0]
    assert worst(sample("flow-euler", toy, process, noise, steps), x) < CLOSE


def rho(process, t):
    return process.sigma(t) / process.alpha(t)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: VariancePreserving("epsilon", zero_terminal_snr=True), "'epsilon' cannot start from pure noise"),
        (lambda: VariancePreserving("epsilom"), "unknown prediction 'epsilom'.*did you mean 'epsilon'"),
        (lambda: VariancePreserving("v", "cosin"), "unknown schedule 'cosin'.*did you mean 'cosine'"),
        (lambda: FlowMatching(shift=0.0), "positive number, got 0.0"),
        (lambda: FlowMatching(shift=float("nan")), "positive number, got nan"),
    ],
)
def test_impossible_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("name", "steps", "options", "message"),
    [
        ("ddimm", 3, {}, "unknown sampler 'ddimm'.*did you mean 'ddim'"),
        ("ddim", 0, {}, "at least 1 step, got 0"),
        ("ddim", 2, {"times": [1.0, 0.0]}, r"2 steps visit 3 times, got times of shape \(2,\)"),
        ("flow-euler", 2, {"times": [1.0, 0.5, 0.5]}, "must fall strictly"),
        ("flow-euler", 1, {"times": [1.1, 0.0]}, r"lie in \[0, 1\]"),
        ("flow-heun", 1, {"times": [float("nan"), 0.0]}, r"lie in \[0, 1\], got \[nan"),
        ("flow-heun", 1, {"times": [1.0, -0.1]}, r"lie in \[0, 1\]"),
        ("ddim", 1, {"eta": 1.5}, r"eta must lie in \[0, 1\], got 1.5"),
        ("ddim", 1, {"eta": 0.5}, "give the generator"),
        ("deis", 1, {"order": 4}, "order of DEIS must be 1, 2 or 3, got 4"),
    ],
)
def test_impossible_requests_are_refused(name, steps, options, message):
    with pytest.raises(ValueError, match=message):
        sample(name, toy, FlowMatching(), normal(2, 6), steps, **options)


def test_a_model_that_changes_the_shape_is_refused():
    with pytest.raises(ValueError, match=r"returned shape \(2, 5\) for \(2, 6\)"):
        sample("ddim", lambda x, t: x[:, :5], FlowMatching(), normal(2, 6), 2)


def test_times_that_fit_no_sample_are_refused():
    with pytest.raises(ValueError, match=r"times have shape \(2,\) and data \(3, 4\)"):
        FlowMatching().corrupt(normal(3, 4), normal(3, 4), torch.tensor([0.1, 0.2]))


def test_imports_are_torch_and_numpy_alone():
    files = sorted(Path(diffusion.__file__).parent.rglob("*.py"))
    nodes = [node for file in files for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))]
    absolute = [n.module for n in nodes if isinstance(n, ast.ImportFrom) and n.level == 0]
    plain = [alias.name for n in nodes if isinstance(n, ast.Import) for alias in n.names]
    tops = {name.split(".")[0] for name in absolute + plain}
    assert tops - sys.stdlib_module_names == {"torch", "numpy"}
