"""Prompts: captions and their spans, tokens, the encoder's masks, exact reading, clear errors."""

import json
import re

import numpy as np
import pytest
import torch
from fieldloom_text2pde.text.captions import (
    Caption,
    Span,
    cylinder,
    number_value,
    smoke,
    spans_from_json,
    spans_to_json,
)
from fieldloom_text2pde.text.captions import table as tables
from fieldloom_text2pde.text.captions.compose import figures
from fieldloom_text2pde.text.encoder import TextEncoder
from fieldloom_text2pde.text.reading import Range, agreed, check_range, read
from fieldloom_text2pde.text.tokenizer import NUM, UNK, Tokenizer
from fieldloom_text2pde.text.training import train_text

WAKE = {"centre_x": 0.213, "centre_y": 0.2, "radius": 0.0523, "mean_velocity": 0.51, "reynolds": 53.3}
RANGES = {"centre_x": (0.2, 0.4), "centre_y": (0.15, 0.26), "radius": (0.04, 0.065), "mean_velocity": (0.3, 1.0)}


def wakes(seed, scenarios, variants, held_out=False):
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(scenarios):
        q = {name: rng.uniform(*bounds) for name, bounds in RANGES.items()}
        drawn.append(q | {"reynolds": 2 * q["radius"] * q["mean_velocity"] / 1e-3})
    captions = [c for q in drawn for c in cylinder.captions(rng, q, variants, held_out)]
    return captions, {name: np.repeat([q[name] for q in drawn], variants) for name in cylinder.QUANTITIES}


def blobs(*places, n=48):
    y, x = (np.indices((n, n)) + 0.5) / n
    return sum(np.exp(-(((x - cx) / a) ** 2) - ((y - cy) / b) ** 2) for cx, cy, a, b in places)


THREE = blobs((0.2, 0.15, 0.05, 0.05), (0.5, 0.5, 0.2, 0.08), (0.85, 0.8, 0.1, 0.1))


@pytest.fixture(scope="module")
def trained():
    captions, truth = wakes(0, 150, 20)
    tokenizer = Tokenizer.from_texts(c.text for c in captions)
    return train_text(captions, truth, tokenizer, seed=0, steps=300), tokenizer


@pytest.fixture
def untrained():
    captions, _ = wakes(0, 5, 20)
    tokenizer = Tokenizer.from_texts(c.text for c in captions)
    torch.manual_seed(0)
    return TextEncoder(len(tokenizer), [("radius", 1.0), ("radius", 0.005)], {"radius": (0.05, 0.01)}), tokenizer


def is_exact(caption, encoder, tokenizer):
    try:
        values = read(caption.text, encoder, tokenizer).values
    except ValueError:
        return False
    return values == pytest.approx(agreed(caption.text, caption.spans), rel=1e-6)


def pattern(caption):
    """The words of a caption without its numbers."""
    return re.sub(r"\d[\d.]*(e-?\d+)?", "#", caption.text)


# captions


@pytest.mark.parametrize("held_out", [False, True])
def test_spans_of_a_wake_give_its_quantities(held_out):
    captions = cylinder.captions(np.random.default_rng(0), WAKE, 300, held_out)
    named = set()
    for caption in captions:
        values = caption.values()
        named |= values.keys()
        assert values == pytest.approx({k: WAKE[k] for k in values}, rel=0.06)  # two digits at least
    assert named == set(cylinder.QUANTITIES)
    complete = sum(len(caption.values()) == 5 for caption in captions)
    assert 0.35 < complete / 300 < 0.6


def test_captions_differ_and_are_those_of_the_seed():
    first, again = (cylinder.captions(np.random.default_rng(3), WAKE, 200) for _ in range(2))
    assert first == again
    assert len({pattern(c) for c in first}) > 80


def test_held_out_clauses_are_never_trained():
    trained, held = cylinder.TRAINING, cylinder.HELD_OUT
    for style in ("phrases", "sentences", "labels"):
        for kind, clauses in getattr(held, style).items():
            assert not set(clauses) & set(getattr(trained, style)[kind])
    count = sum(len(v) for style in ("phrases", "sentences", "labels") for v in getattr(trained, style).values())
    assert count > 40


def test_held_out_order_is_never_trained():
    def first_of(held_out):
        captions = cylinder.captions(np.random.default_rng(1), WAKE, 200, held_out)
        return {min(c.spans, key=lambda s: s.start).quantity for c in captions if len(c.values()) == 5}

    assert first_of(False) == {"radius", "mean_velocity"}
    assert first_of(True) <= {"centre_x", "centre_y", "reynolds"}


@pytest.mark.parametrize(("reynolds", "word"), [(30.0, "steady"), (55.0, "onset"), (100.0, "shedding")])
def test_regime_follows_the_reynolds_number(reynolds, word):
    assert cylinder.regime(reynolds) == word


@pytest.mark.parametrize("bad", [{"radius": -1.0}, {"radius": np.nan}, {"reynolds": np.inf}])
def test_a_wake_that_cannot_be_is_refused(bad):
    with pytest.raises(ValueError, match=f"positive {next(iter(bad))}"):
        cylinder.captions(np.random.default_rng(0), WAKE | bad, 1)


def test_spans_survive_json():
    spans = (Span(3, 5, "radius", 0.005), Span(9, 14, "plumes", 1.0))
    assert spans_from_json(spans_to_json(spans)) == spans
    with pytest.raises(ValueError, match="not a list of spans"):
        spans_from_json("[{}]")


@pytest.mark.parametrize(
    ("value", "digits", "text"), [(0.2, 2, "0.20"), (103.2, 2, "100"), (0.0523, 4, "0.05230"), (0, 2, "0.0")]
)
def test_figures_have_the_digits_that_are_asked_for(value, digits, text):
    assert figures(value, digits) == text
    assert figures(0.0523, 2, scientific=True) == "5.2e-2"


def test_plumes_are_counted_placed_and_measured():
    found = smoke.describe(THREE)
    assert found.count == 3
    assert [(p.place, p.size, p.shape) for p in found.plumes] == [
        ("centre", "medium", "elongated"),
        ("upper right", "medium", "round"),
        ("lower left", "small", "round"),
    ]


def test_specks_and_empty_boxes_hold_no_plumes():
    speck = THREE.copy()
    speck[0, -1] = 1.0
    assert smoke.describe(speck).count == 3
    assert smoke.describe(np.zeros((8, 8))).count == 0


@pytest.mark.parametrize("bad", [np.full((4, 4), np.nan), np.zeros(4), np.zeros((0, 4))])
def test_what_is_no_frame_of_smoke_is_refused(bad):
    with pytest.raises(ValueError, match=r"shape \(ny, nx\)"):
        smoke.describe(bad)


@pytest.mark.parametrize("held_out", [False, True])
def test_spans_of_smoke_give_count_and_buoyancy(held_out):
    captions = smoke.captions(np.random.default_rng(0), THREE, 0.3456, 200, held_out)
    assert {k for c in captions for k in c.values()} == {"plumes", "buoyancy"}
    for values in (c.values() for c in captions):
        assert values == pytest.approx({k: {"plumes": 3, "buoyancy": 0.3456}[k] for k in values}, rel=0.02)
    assert {"3", "three"} <= {c.text[s.start : s.stop] for c in captions for s in c.spans if s.quantity == "plumes"}
    assert len({pattern(c) for c in captions}) > 30


def test_smoke_words_that_are_held_out_are_never_trained():
    for style in ("phrases", "sentences", "labels"):
        for kind, clauses in getattr(smoke.HELD_OUT, style).items():
            assert not set(clauses) & set(getattr(smoke.TRAINING, style)[kind])


def test_captions_of_any_table():
    row = [
        tables.Parameter("h0", 0.05, "m", "initial height"),
        tables.Parameter("beta", -2.5),
        tables.Parameter("p", 2e5, "Pa"),
    ]
    captions = tables.captions(np.random.default_rng(0), row, 200)
    wanted = {"h0": 0.05, "beta": -2.5, "p": 2e5}
    for values in (c.values() for c in captions):
        assert values == pytest.approx({k: wanted[k] for k in values}, rel=1e-6)
    assert {s.factor for c in captions for s in c.spans if s.quantity == "h0"} == {1.0, 0.01, 0.001}
    assert any("initial height" in c.text for c in captions)
    with pytest.raises(ValueError, match="different names"):
        tables.captions(np.random.default_rng(0), [row[0], row[0]], 1)


# tokens


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("5cm", [5]),
        ("0.2-0.4", [0.2, 0.4]),
        ("at (0.21,0.20) m", [0.21, 0.20]),
        ("x = -2.5, y = \N{MINUS SIGN}1", [-2.5, -1]),
        ("1,000.5 and 1e-3 and 1.5E+2 and .5.", [1000.5, 1e-3, 150, 0.5]),
        ("Three plumes, twelve frames", [3, 12]),
        ("Re100", [100]),
        ("twenty-one", []),
        ("m2 s-1, m/s^2, m s⁻²", []),
        ("everyone tones tennis", []),
    ],
)
def test_numbers_keep_their_values(text, values):
    tokens = Tokenizer(()).encode(text)
    found = [v for i, v in zip(tokens.ids, tokens.values, strict=True) if i == NUM]
    assert found == values
    for i, (a, b) in zip(tokens.ids, tokens.offsets, strict=True):
        assert i != NUM or text[a:b].strip() == text[a:b] != ""


def test_every_span_is_a_token():
    rng = np.random.default_rng(0)
    captions = [
        c for h in (0, 1) for c in cylinder.captions(rng, WAKE, 200, h) + smoke.captions(rng, THREE, 0.3, 200, h)
    ]
    tokenizer = Tokenizer.from_texts(c.text for c in captions)
    for caption in captions:
        tokens = tokenizer.encode(caption.text)
        at = dict(zip(tokens.offsets, zip(tokens.ids, tokens.values, strict=True), strict=True))
        for span in caption.spans:
            assert at[span.start, span.stop] == (NUM, number_value(caption.text[span.start : span.stop]))


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ("  ", "is empty"),
        ("word " * 96, "97 words"),
        ("a radius of 0,05 m", "'0.05' for one"),
        ("Re = 1e999", "too large"),
    ],
)
def test_prompts_that_cannot_be_read_are_refused(prompt, message):
    with pytest.raises(ValueError, match=message):
        Tokenizer(()).encode(prompt)


def test_tokenizer_survives_json():
    tokenizer = Tokenizer.from_texts(["the radius", "the wake"], min_count=1)
    again = Tokenizer.from_config(json.loads(json.dumps(tokenizer.config())))
    assert again.encode("The wake, 5 m") == tokenizer.encode("The wake, 5 m")
    assert again.encode("unheard").ids[1] == UNK


# encoder


def test_filling_changes_nothing(untrained):
    encoder, tokenizer = untrained
    short, long = "radius 5 cm", "simulate the flow past a cylinder of radius 5 cm at a Reynolds number of 100"
    with torch.no_grad():
        alone, both = encoder(tokenizer.batch([short])), encoder(tokenizer.batch([short, long]))
    n = alone.mask.shape[1]
    torch.testing.assert_close(both.tokens[:1, :n], alone.tokens)
    torch.testing.assert_close(both.pooled[:1], alone.pooled)
    torch.testing.assert_close(both.estimate[:1], alone.estimate)
    torch.testing.assert_close(both.tag_logits[:1, :n], alone.tag_logits)
    assert both.tokens[0, n:].abs().max() == 0
    torch.testing.assert_close(alone.pooled, alone.tokens.mean(1))


def test_encoder_survives_json(untrained):
    encoder, tokenizer = untrained
    again = TextEncoder.from_config(json.loads(json.dumps(encoder.config())))
    again.load_state_dict(encoder.state_dict())
    batch = tokenizer.batch(["radius 5 cm"])
    torch.testing.assert_close(again(batch).estimate, encoder(batch).estimate)


def test_width_that_heads_do_not_divide_is_refused():
    with pytest.raises(ValueError, match="not a multiple"):
        TextEncoder(10, [], {"radius": (0.0, 1.0)}, width=30, heads=4)


# training and reading


def test_size_of_the_encoder(trained):
    assert 100_000 < sum(p.numel() for p in trained[0].parameters()) < 160_000


@pytest.mark.parametrize(("held_out", "least"), [(False, 0.85), (True, 0.65)])
def test_held_out_scenarios_are_read_exactly(trained, held_out, least):
    tests, _ = wakes(1, 60, 3, held_out)
    assert np.mean([is_exact(c, *trained) for c in tests]) >= least


def test_reading_names_values_gaps_and_unknown_words(trained):
    prompt = "Please simulate a gorgeous cylinder with a diameter of 10 cm at a Reynolds number of 100. Show 16 frames."
    reading = read(prompt, *trained)
    assert reading.values == pytest.approx({"radius": 0.05, "reynolds": 100.0}, rel=1e-12)
    assert set(reading.missing) == {"centre_x", "centre_y", "mean_velocity"}
    assert reading.unknown == ("gorgeous",)
    assert reading.unread == ("16",)
    assert reading.estimates["radius"].mean == pytest.approx(0.05, rel=1e-4)
    assert reading.estimates["centre_x"].deviation > 10 * reading.estimates["radius"].deviation


def test_what_is_not_named_is_estimated_from_the_words(trained):
    steady, shedding = (
        read(f"A circular cylinder stands in a channel. Its radius is 0.05 m. {wake}.", *trained).estimates["reynolds"]
        for wake in ("The wake is steady and symmetric", "Vortices are shed periodically")
    )
    assert steady.mean < shedding.mean


def test_values_far_from_the_training_data_are_read_all_the_same(trained):
    assert read("Cylinder wake: radius 30 cm, Re = 4000", *trained).values == {"radius": 0.3, "reynolds": 4000.0}


def test_clashing_values_are_refused_and_rounded_ones_agree():
    text = "radius 0.0523 m, diameter 10.5 cm"
    spans = (Span(7, 13, "radius", 1.0), Span(26, 30, "radius", 0.005))
    assert agreed(text, spans) == {"radius": 0.0523}
    with pytest.raises(ValueError, match=r"radius twice: 0\.06 .* 0\.0525"):
        agreed(text.replace("0.0523", "0.0600"), spans)


def test_values_outside_the_range_are_refused(trained):
    reading = read("Cylinder wake: radius 30 cm", *trained)
    with pytest.raises(ValueError, match=r"radius is 0\.3 m .* 0\.04 and 0\.065 m\. .*`extrapolate: true`"):
        check_range(reading, {"radius": Range(0.04, 0.065, "m"), "reynolds": Range(20, 130)})
    check_range(reading, {"radius": Range(0.04, 0.3, "m")})


def test_training_is_reproducible_and_reports_progress():
    captions, truth = wakes(0, 4, 5)
    tokenizer = Tokenizer.from_texts(c.text for c in captions)
    seen = []
    a, b = (
        train_text(captions, truth, tokenizer, seed=1, steps=3, width=16, progress=lambda *p: seen.append(p))
        for _ in range(2)
    )
    assert [step for step, _ in seen] == [1, 2, 3] * 2
    assert all(torch.equal(v, b.state_dict()[k]) for k, v in a.state_dict().items())


def test_quantities_that_are_not_known_are_left_out():
    captions, truth = wakes(0, 2, 5)
    tokenizer = Tokenizer.from_texts(c.text for c in captions)
    truth["radius"] = np.where(np.arange(10) < 5, np.nan, truth["radius"])
    encoder = train_text(captions, truth, tokenizer, seed=0, steps=3, width=16)
    assert all(p.isfinite().all() for p in encoder.state_dict().values())


def test_captions_that_do_not_fit_are_refused():
    captions, truth = wakes(0, 2, 2)
    tokenizer = Tokenizer.from_texts(c.text for c in captions)
    with pytest.raises(ValueError, match="one value for each"):
        train_text(captions[:3], truth, tokenizer, seed=0)
    with pytest.raises(ValueError, match="not exactly one number"):
        train_text([Caption("radius 5 cm", (Span(0, 6, "radius", 1.0),))], {"radius": np.ones(1)}, tokenizer, seed=0)
