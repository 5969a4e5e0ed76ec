import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from descent.generate.adjusting import Adjuster
from descent.generate.drawing import (
    check_logits,
    draw,
    generator,
    log_softmax,
    probabilities,
    top_ids,
)
from descent.generate.sampling import Sampling

LOGITS = np.array([1.0, 3.0, 2.0, -1.0, 3.0, 0.5])


def softmax(x):
    e = np.exp(x - x.max())
    return e / e.sum()


def draws(sampling, n=20_000, logits=LOGITS):
    rng = generator(sampling.seed)
    ids = [draw(logits, sampling, rng) for _ in range(n)]
    return np.bincount(ids, minlength=logits.size)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"temperature": 0.5},
        {"temperature": 1.7},
        {"top_k": 3},
        {"top_p": 0.8},
        {"min_p": 0.2},
        {"top_k": 4, "top_p": 0.9, "temperature": 1.3},
    ],
    ids=str,
)
def test_draws_follow_the_distribution(settings):
    # Reference written from the definitions, independent of the code under test.
    t = settings.get("temperature", 1.0)
    p = softmax(LOGITS / t)
    ranked = sorted(range(6), key=lambda i: (-p[i], i))
    if "top_k" in settings:
        ranked = ranked[: settings["top_k"]]
    kept = p[ranked] / p[ranked].sum()
    if "top_p" in settings:
        size = next(n for n in range(1, 7) if kept[:n].sum() >= settings["top_p"] - 1e-12)
        ranked, kept = ranked[:size], kept[:size] / kept[:size].sum()
    if "min_p" in settings:
        ranked = [i for i, q in zip(ranked, kept) if q >= settings["min_p"] * kept.max()]
        kept = p[ranked] / p[ranked].sum()
    counts = draws(Sampling(seed=7, **settings))
    assert counts.sum() == counts[ranked].sum() == 20_000
    chi2 = ((counts[ranked] - 20_000 * kept) ** 2 / (20_000 * kept)).sum()
    # 99.99 % quantile of chi-square with 5 degrees of freedom is 25.7; fewer degrees: smaller.
    assert chi2 < 25.7


def test_top_k_keeps_exactly_k_and_the_lowest_id_among_equals():
    p = probabilities(np.zeros(10), Sampling(top_k=3))
    np.testing.assert_allclose(p, [1 / 3] * 3 + [0] * 7)


@given(
    logits=st.lists(st.floats(-20, 20), min_size=1, max_size=30),
    p=st.floats(0.01, 0.999),
    t=st.floats(0.1, 3),
)
@settings(max_examples=60, deadline=None)
def test_top_p_is_the_smallest_sufficient_set(logits, p, t):
    logits = np.array(logits)
    full = softmax(logits / t)
    cut = probabilities(logits, Sampling(top_p=p, temperature=t))
    kept = cut > 0
    assert cut.sum() == pytest.approx(1)
    assert full[kept].sum() >= p - 1e-9
    smallest = full[kept].min()
    assert full[kept].sum() - smallest < p + 1e-9  # without its least member it would not do
    assert (full[~kept] <= smallest + 1e-12).all()


def test_greedy_takes_the_lowest_id_among_equals_whatever_the_generator():
    greedy = Sampling(temperature=0)
    assert {draw(LOGITS, greedy, generator(s)) for s in range(5)} == {1}


def test_tiny_temperature_is_greedy_without_overflow():
    assert draw(LOGITS - [0, 0, 0, 0, 1, 0], Sampling(temperature=1e-300), generator(0)) == 1


def test_seed_reproduces_and_choices_differ():
    def line(seed, choice):
        rng = generator(seed, choice)
        return [draw(LOGITS, Sampling(), rng) for _ in range(30)]

    assert line(5, 0) == line(5, 0)
    assert line(5, 0) != line(5, 1) != line(6, 1)
    assert line(-3, 0) == line(-3, 0)
    assert line(None, 0) != line(None, 0)


def adjuster(prompt=(), completion=(), *, ends=(), words=(), vocab_size=6, **settings):
    made = Adjuster(
        Sampling(**settings), prompt, end_ids=ends, bad_words=words, vocab_size=vocab_size
    )
    for id in completion:
        made.accept(id)
    return made


def test_bias_and_penalties_follow_the_formula():
    made = adjuster(
        completion=[1, 1, 4, 1], logit_bias={2: 5.0}, presence_penalty=0.5, frequency_penalty=0.25
    )
    np.testing.assert_allclose(
        made.adjusted(LOGITS) - LOGITS, [0, -0.5 - 0.75, 5, 0, -0.75, 0], atol=1e-6
    )
    assert LOGITS[2] == 2.0  # the caller's array is untouched


def test_strong_bias_bans_and_forces():
    banned = adjuster(logit_bias={1: -100, 4: -100}).adjusted(LOGITS)
    assert draws(Sampling(seed=1), 500, banned)[[1, 4]].sum() == 0
    forced = adjuster(logit_bias={3: 100}).adjusted(LOGITS)
    assert draws(Sampling(seed=1), 500, forced)[3] == 500


def test_log_softmax_and_top_ids():
    np.testing.assert_allclose(log_softmax(LOGITS), np.log(softmax(LOGITS)))
    assert top_ids(LOGITS, 3).tolist() == [1, 4, 2]
    assert top_ids(LOGITS, 0).tolist() == []
    assert top_ids(LOGITS, 99).tolist() == [1, 4, 2, 0, 5, 3]
    assert top_ids(np.zeros(50), 3).tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", -0.1),
        ("temperature", float("nan")),
        ("top_p", 0.0),
        ("top_p", 1.1),
        ("max_tokens", -1),
        ("top_k", -2),
        ("min_p", 2.0),
        ("presence_penalty", 2.5),
        ("stop", ("",)),
    ],
)
def test_impossible_settings_are_named(field, value):
    with pytest.raises(ValueError, match=field):
        Sampling(**{field: value})


@pytest.mark.parametrize("bad", [[np.nan, 0], [np.inf, 0], [-np.inf, -np.inf]])
def test_unusable_logits_are_refused(bad):
    with pytest.raises(ValueError, match="logits"):
        check_logits(np.array(bad, dtype=np.float32), 2)


def test_masked_logits_are_fine_and_shape_is_checked():
    masked = np.array([-np.inf, 0], np.float32)
    assert check_logits(masked, 2) is masked
    with pytest.raises(ValueError, match=r"\(1, 2\)"):
        check_logits(np.zeros((1, 2)), 2)
