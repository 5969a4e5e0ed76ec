"""What narrow weights cost: perplexity of a real trained model, on text it writes itself."""

import numpy as np
import pytest

from descent.generate.decoder import Decoder
from descent.hub import load
from tests.data.known import BESIDE

T, TEXTS = 256, 4


@pytest.fixture(scope="module")
def bundle():
    path = BESIDE / "stories260k" / "stories260K.bin"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    return load(path)


def tables(decoder):
    return np.arange(TEXTS * T // decoder.block_tokens, dtype=np.int32).reshape(TEXTS, -1)


@pytest.fixture(scope="module")
def texts(bundle):
    """Ids [TEXTS, T] drawn from the model, begin token first."""
    rng, rows = np.random.default_rng(0), np.arange(TEXTS, dtype=np.int32)
    decoder = Decoder.of(bundle, cache_tokens=TEXTS * T)
    ids = np.ones((TEXTS, T), np.int32)
    for t in range(T - 1):
        where = np.full(TEXTS, t, np.int32)
        logits = decoder.step(ids[:, t], where, rows, tables(decoder), rows).astype(np.float64)
        noise = rng.gumbel(size=logits.shape)
        ids[:, t + 1] = (logits + noise).argmax(-1)
    return ids


def perplexity(bundle, ids, width):
    decoder = Decoder.of(bundle, width=width, cache_tokens=TEXTS * T)
    sequence = np.repeat(np.arange(TEXTS, dtype=np.int32), T)
    positions, every = np.tile(np.arange(T, dtype=np.int32), TEXTS), np.arange(TEXTS * T)
    logits = decoder.step(ids.reshape(-1), positions, sequence, tables(decoder), every)
    logits = logits.reshape(TEXTS, T, -1)[:, :-1].astype(np.float64)
    right = np.take_along_axis(logits, ids[:, 1:, None].astype(np.int64), -1)[..., 0]
    top = logits.max(-1)
    surprise = np.log(np.exp(logits - top[..., None]).sum(-1)) + top - right
    return float(np.exp(surprise.mean()))


@pytest.mark.parametrize(("width", "limit"), [("bf16", 1.003), ("int8", 1.01), ("int4", 1.15)])
def test_perplexity(bundle, texts, width, limit):
    """int4 is meant to cost less than 4 % in models of millions of numbers; this has 260 thousand,
    and 64 to a row."""
    full = perplexity(bundle, texts, "float32")
    assert 2 < full < 6  # it knows what it writes
    assert 1 / 1.01 < perplexity(bundle, texts, width) / full < limit
