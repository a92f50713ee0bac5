"""Guidance, and features that are reused between steps."""

import pytest
import torch
from fieldloom_text2pde.diffusion import FlowMatching, Reuse, guided, sample
from oracles import normal


def conditional(x, t, condition):
    return x * t[:, None] + condition["text"]["pooled"] * condition["scale"]


def test_guidance_extrapolates_from_the_empty_condition():
    x, t = normal(3, 4), torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)
    some = {"text": {"pooled": normal(3, 4, seed=1)}, "scale": normal(3, 1, seed=2)}
    none = {"text": {"pooled": normal(1, 4, seed=3)}, "scale": normal(1, 1, seed=4)}  # one row for all
    under, without = conditional(x, t, some), conditional(x, t, none)
    for scale in (0.0, 1.0, 2.5):
        got = guided(conditional, (some, none), scale)(x, t)
        torch.testing.assert_close(got, without + scale * (under - without))
    assert not torch.allclose(under, without)


@pytest.mark.parametrize(("scale", "sizes"), [(1.0, [3]), (3.0, [6])])
def test_guidance_is_one_evaluation_and_costs_nothing_at_scale_one(scale, sizes):
    seen = []

    def model(x, t, condition):
        seen.append(len(x))
        assert len(x) == len(t) == len(condition)
        return x * condition

    guided(model, (torch.ones(3, 1), torch.zeros(1, 1)), scale)(torch.ones(3, 2), torch.ones(3))
    assert seen == sizes


def test_guidance_refuses_conditions_that_do_not_match():
    x, t, row = normal(3, 4), torch.ones(3), normal(1, 4)
    with pytest.raises(ValueError, match=r"condition\.text does not match: shape \(3, 5\), .* shape \(3, 4\)"):
        guided(conditional, ({"text": row}, {"text": normal(1, 5)}), 2.0)(x, t)
    with pytest.raises(ValueError, match=r"names \['image'\], where the condition has names \['text'\]"):
        guided(conditional, ({"text": row}, {"image": row}), 2.0)(x, t)
    for scale in (1.0, 2.0):
        with pytest.raises(ValueError, match=r"shape \(2, 4\) for 3 samples; its first axis must be 1 or 3"):
            guided(conditional, (normal(2, 4), row), scale)(x, t)


# reuse


class Deep(torch.nn.Module):
    """A shallow part that sees every step and a deep one that may be reused."""

    def __init__(self, reuse):
        super().__init__()
        self.reuse, self.computed = reuse, 0

    def deep(self, x):
        self.computed += 1
        return x.sin()

    def forward(self, x, t):
        return x + self.reuse("deep", lambda: self.deep(x))


@pytest.mark.parametrize(("every", "computed"), [(1, 7), (2, 4), (3, 3), (10, 1)])
def test_features_are_computed_in_every_nth_step(every, computed):
    reuse = Reuse(every)
    network = Deep(reuse)
    for samplings in (1, 2):  # the second starts afresh
        sample("ddim", network, FlowMatching(), normal(2, 3, seed=samplings), 7, on_step=reuse.advance)
        assert network.computed == samplings * computed


def test_reuse_hands_out_what_the_last_computing_step_kept():
    reuse, x = Reuse(2), normal(2, 3)
    first = reuse("deep", lambda: x + 1)
    reuse.advance(1, 4)
    assert reuse("deep", lambda: x + 2) is first
    torch.testing.assert_close(reuse("other", lambda: x + 3), x + 3)  # never computed before
    reuse.advance(2, 4)
    torch.testing.assert_close(reuse("deep", lambda: x + 4), x + 4)
    reuse.advance(3, 4)
    reuse.reset()
    torch.testing.assert_close(reuse("deep", lambda: x + 5), x + 5)


def test_reuse_every_step_changes_nothing_and_less_often_does():
    noise, process = normal(2, 3), FlowMatching()
    plain = sample("flow-heun", lambda x, t: x + x.sin(), process, noise, 6)
    always, seldom = (sample("flow-heun", Deep(r), process, noise, 6, on_step=r.advance) for r in (Reuse(1), Reuse(3)))
    assert torch.equal(always, plain)
    assert not torch.allclose(seldom, plain)


def test_reuse_without_a_sampler_computes_always():
    network = Deep(Reuse(3))
    for _ in range(4):
        network(normal(2, 3), torch.ones(2))
    assert network.computed == 4
