"""Count models: the published losses on names.txt, a naive reference, files, and error messages."""

import json
import math
import random
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from descent.models.ngram import NGram, load_ngram, save_ngram
from tests.data.known import known


@pytest.fixture(scope="module")
def names():
    """All names, and the usual split: (all, train, dev, test), each name with its stop token 0."""
    words = known("names.txt").read_text().split()
    everything = [_ids(w) for w in words]
    random.Random(42).shuffle(words)
    a, b = int(0.8 * len(words)), int(0.9 * len(words))
    return everything, *([_ids(w) for w in part] for part in (words[:a], words[a:b], words[b:]))


def _ids(word):
    return [ord(c) - 96 for c in word] + [0]


@pytest.mark.parametrize(
    ("order", "k", "dev", "test"),
    [
        (2, 0.3, 2.4530, 2.4580),
        (3, 0.1, 2.2225, 2.2240),
        (4, 0.1, 2.1018, 2.1044),
        (5, 0.1, 2.1522, 2.1502),
    ],
)
def test_names_published_losses(names, order, k, dev, test):
    model = NGram(order, 27, k).fit(names[1])
    assert model.loss(names[2]) == pytest.approx(dev, abs=6e-5)
    assert model.loss(names[3]) == pytest.approx(test, abs=6e-5)


@pytest.mark.parametrize(
    ("order", "k", "loss"), [(1, 0, 2.8227), (2, 0, 2.454014), (2, 1, 2.454577)]
)
def test_names_on_all_data(names, order, k, loss):
    assert NGram(order, 27, k).fit(names[0]).loss(names[0]) == pytest.approx(loss, abs=5e-5)


def test_interpolation_beats_add_k_on_names_and_on_text(names):
    plain = NGram(5, 27, smoothing="interpolated").fit(names[1])
    tuned = NGram(5, 27, smoothing="interpolated").fit(names[1], heldout=names[2])
    assert tuned.loss(names[2]) <= plain.loss(names[2]) < 2.0
    assert tuned.loss(names[3]) < NGram(4, 27, 0.1).fit(names[1]).loss(names[3]) - 0.1
    text = known("tinyshakespeare.txt").read_text()[:200_000]
    chars = sorted(set(text))
    ids = np.array([chars.index(c) for c in text])
    train, held = ids[:180_000], ids[180_000:]
    losses = {
        how: NGram(5, len(chars), 0.1, smoothing=how).fit([train]).loss([held])
        for how in ("add-k", "interpolated")
    }
    assert losses["interpolated"] < losses["add-k"] - 0.2


# -- a second, naive implementation ---------------------------------------------------------------


def _naive(sequences, order, vocab, start, smoothing, k, discounts):
    """dict-based counts; returns P(w | padded context)."""
    occurrences = [Counter() for _ in range(order + 1)]
    left = [defaultdict(set) for _ in range(order + 1)]
    for s in sequences:
        full = [start] * (order - 1) + list(s)
        for t in range(order - 1, len(full)):
            for m in range(1, order + 1):
                gram = tuple(full[t - m + 1 : t + 1])
                occurrences[m][gram] += 1
                left[m][gram].add(full[t - m] if m < order and t - m >= 0 else None)
                if t - m + 1 < order - 1:
                    left[m][gram].add("padding")
    counts = [Counter() for _ in range(order + 1)]
    for m in range(1, order + 1):
        for gram, n in occurrences[m].items():
            neighbours = left[m][gram] - {"padding"}
            padded = "padding" in left[m][gram]
            below = max(len(neighbours), n) if padded else len(neighbours)
            counts[m][gram] = n if m == order or smoothing == "add-k" else below

    def prob(context, w, m=order):
        if m == 0:
            return 1 / vocab
        h = tuple(context[len(context) - (m - 1) :])
        follow = {g[-1]: n for g, n in counts[m].items() if g[:-1] == h}
        total = sum(follow.values())
        if smoothing == "add-k":
            return (follow.get(w, 0) + k) / (total + k * vocab) if total + k else 1 / vocab
        lower = prob(context, w, m - 1)
        if not total:
            return lower
        cut = {n: discounts[m - 1][min(n, 3) - 1] for n in follow.values()}
        gamma = sum(cut[n] for n in follow.values()) / total
        n = follow.get(w, 0)
        return (n - cut[n] if n else 0) / total + gamma * lower

    return prob


sequence_lists = st.lists(
    st.lists(st.integers(0, 3), min_size=1, max_size=12), min_size=1, max_size=5
)


@settings(max_examples=60, deadline=None)
@given(sequence_lists, st.integers(1, 4), st.sampled_from(["add-k", "interpolated"]))
def test_equals_the_naive_reference(sequences, order, smoothing):
    model = NGram(order, 4, 0.5, smoothing, start=3).fit(sequences)
    prob = _naive(sequences, order, 4, 3, smoothing, 0.5, model.discounts)
    fresh = [[0, 3, 1, 2], [2, 2]]
    expected = []
    for s in fresh:
        full = [3] * (order - 1) + s
        for t in range(len(s)):
            context = full[t : t + order - 1]
            expected.append(prob(context, s[t]))
            dense = np.exp(model.logprobs(s[:t]))
            assert dense.sum() == pytest.approx(1)
            np.testing.assert_allclose(dense, [prob(context, w) for w in range(4)], rtol=1e-12)
    np.testing.assert_allclose(np.exp(model.token_logprobs(fresh)), expected, rtol=1e-12)
    assert model.loss(fresh) == pytest.approx(-np.mean(np.log(expected)))


def test_large_vocabulary_does_not_overflow():
    """V⁵ is far beyond 64 bits; codes go through gram ids, so nothing wraps."""
    vocab = 60_000
    ids = np.random.default_rng(0).integers(0, vocab, 3_000)
    model = NGram(5, vocab, 0.0).fit([ids])
    assert model.loss([ids]) == pytest.approx(0)  # every context of four occurs once
    assert np.exp(model.logprobs(ids[10:14])).argmax() == ids[14]


def test_mle_loss_of_an_unseen_token_is_infinite():
    model = NGram(2, 3, 0).fit([[1, 2, 0]])
    assert model.loss([[1, 1]]) == math.inf
    assert np.exp(model.logprobs([1])).tolist() == [0, 0, 1]


# -- sessions and files ---------------------------------------------------------------------------


def test_session_feeds_in_any_portions():
    ids = np.random.default_rng(1).integers(0, 9, 500)
    model = NGram(4, 9, smoothing="interpolated").fit([ids])
    session, whole = model.session(), model.session()
    assert session.feed([]).dtype == np.float32
    np.testing.assert_array_equal(session.feed([]), model.logprobs([]).astype(np.float32))
    for token in ids[:10]:
        last = session.feed([token])
    np.testing.assert_array_equal(last, whole.feed(ids[:10]))
    assert last.shape == (9,)
    assert (model.context, model.vocab_size) == (3, 9)


@pytest.mark.parametrize("smoothing", ["add-k", "interpolated"])
def test_save_and_load(tmp_path, smoothing):
    ids = np.random.default_rng(2).integers(0, 9, 300)
    model = NGram(3, 9, 0.2, smoothing, start=4).fit([ids])
    save_ngram(model, tmp_path / "m")
    again = load_ngram(tmp_path / "m")
    assert again.config == model.config
    assert repr(again) == repr(model)
    np.testing.assert_array_equal(again.token_logprobs([ids]), model.token_logprobs([ids]))
    assert sorted(p.name for p in (tmp_path / "m").iterdir()) == [
        "config.json",
        "model.safetensors",
    ]


def test_damaged_folders_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_ngram(tmp_path / "nowhere")
    save_ngram(NGram(2, 3).fit([[1, 2, 0]]), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    weights = (tmp_path / "model.safetensors").read_bytes()
    for changed, message in [
        (config | {"model_type": "gpt"}, "model_type"),
        (config | {"oder": 3}, "fields"),
        (config | {"order": 5}, r"codes\.3"),
        (config | {"vocab_size": 2}, "codes must rise"),
    ]:
        (tmp_path / "config.json").write_text(json.dumps(changed))
        with pytest.raises(ValueError, match=message):
            load_ngram(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    with pytest.raises(ValueError, match="not a readable"):
        load_ngram(tmp_path)


# -- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"order": 0}, "order"),
        ({"vocab_size": 0}, "vocab_size"),
        ({"k": -1}, "k must"),
        ({"k": math.nan}, "k must"),
        ({"smoothing": "witten-bell"}, "smoothing"),
        ({"start": 27}, "start token 27"),
    ],
)
def test_wrong_configuration(fields, message):
    with pytest.raises(ValueError, match=message):
        NGram(**fields)


def test_wrong_input():
    model = NGram(2, 5)
    with pytest.raises(RuntimeError, match="fit"):
        model.loss([[1]])
    with pytest.raises(RuntimeError, match="fit"):
        model.session()
    with pytest.raises(ValueError, match="no tokens"):
        model.fit([[], []])
    with pytest.raises(ValueError, match=r"token 5 in sequence 1 is outside the vocabulary 0\.\.4"):
        model.fit([[1], [5]])
    with pytest.raises(ValueError, match="token -1"):
        model.fit([[-1, 2]])
    with pytest.raises(TypeError, match="1-d integer"):
        model.fit([[0.5]])
    with pytest.raises(ValueError, match="heldout"):
        model.fit([[1]], heldout=[[1]])
