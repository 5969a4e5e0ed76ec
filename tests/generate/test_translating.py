"""Beam search beside a search through everything, on a model small enough for that."""

import itertools

import numpy as np
import pytest

import descent as dc
from descent.generate.translating import translate
from descent.models.transformer import Transformer, TransformerConfig

V = 6  # three words beside padding, start and end


@pytest.fixture(scope="module")
def model():
    dc.manual_seed(8)
    model = Transformer(
        TransformerConfig(V, n_layer=1, n_head=2, n_embd=8, n_hidden=8, block_size=9)
    )
    dc.nn.init.normal_(model.embed.weight, 0.0, 0.6)
    return model.eval()


def log_probability(model, source, output):
    """log P of the output with its end, as the forward pass gives it."""
    length = max(len(source), len(output)) + 1
    x = np.zeros((1, 2, length), np.int64)
    x[0, 0, : len(source) + 1] = [*source, 2]
    x[0, 1, : len(output) + 1] = [1, *output]
    with dc.no_grad():
        z = model(dc.from_numpy(x))[0].numpy()[0].astype(np.float64)
    z[:, 0] = -np.inf
    logp = z - np.log(np.exp(z).sum(-1, keepdims=True))
    return sum(logp[i, w] for i, w in enumerate([*output, 2]))


def everything(model, source, alpha, longest):
    """The best output that ends, of at most `longest` words."""
    words = [1, 3, 4, 5]
    found = []
    for n in range(longest + 1):
        for output in itertools.product(words, repeat=n):
            score = log_probability(model, source, output) / ((5 + n + 1) / 6) ** alpha
            found.append((score, list(output)))
    return max(found)


@pytest.mark.parametrize("alpha", [0.0, 0.6, 2.0])
def test_a_wide_beam_finds_the_best(model, alpha):
    for source in ([3], [4, 5]):
        score, output = everything(model, source, alpha, 4 - len(source))
        found = translate(model, [source], beam=200, alpha=alpha, extra=4 - 2 * len(source))
        assert found[0].ids == output
        assert found[0].score == pytest.approx(score, rel=1e-4)


def test_greedy_takes_the_likeliest_word_each_time(model):
    source = [3, 4, 5]
    found = translate(model, [source], beam=1, extra=3)[0]
    output = []
    x = np.zeros((1, 2, 8), np.int64)
    x[0, 0, :4] = [*source, 2]
    x[0, 1, 0] = 1
    for t in range(6):
        with dc.no_grad():
            z = model(dc.from_numpy(x))[0].numpy()[0, t]
        word = int(np.argmax(z[1:]) + 1)
        if word == 2:
            break
        output.append(word)
        x[0, 1, t + 1] = word
    assert found.ids == output


def test_the_company_in_a_batch_changes_nothing(model):
    rng = np.random.default_rng(0)
    sources = [rng.integers(3, V, n).tolist() for n in (1, 5, 3, 7, 2, 3)]
    alone = [translate(model, [s], beam=3)[0] for s in sources]
    together = translate(model, sources, beam=3, batch=4)
    assert [h.ids for h in together] == [h.ids for h in alone]
    for a, b in zip(together, alone):
        assert a.score == pytest.approx(b.score, rel=1e-4)


def test_never_longer_than_the_model_writes(model):
    for h in translate(model, [[3] * 8, [4]], beam=2, extra=100):
        assert len(h.ids) <= 8
        assert h.ended or len(h.ids) == 8


def test_a_source_too_long(model):
    with pytest.raises(ValueError, match="source 1 has 9 tokens; this model reads no more than 8"):
        translate(model, [[3], [4] * 9])
    with pytest.raises(ValueError, match="beam must be at least 1"):
        translate(model, [[3]], beam=0)
