"""Windows, and a sampler whose position survives as JSON."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from descent.data import BatchSampler, DataError, Windows, encode_documents
from descent.data.tokenizers import ByteBPE, CharTokenizer


def test_targets_are_the_next_tokens():
    windows = Windows(np.arange(10, dtype=np.uint16), 4)
    x, y = windows.batch([0, 5])
    assert len(windows) == 6
    assert x.tolist() == [[0, 1, 2, 3], [5, 6, 7, 8]]
    assert y.tolist() == [[1, 2, 3, 4], [6, 7, 8, 9]]
    assert x.dtype == y.dtype == np.int64
    with pytest.raises(DataError, match="0 … 5"):
        windows.batch([6])
    with pytest.raises(DataError, match="0 … 5"):
        windows.batch([-1])


def test_every_window_can_be_drawn_and_none_beyond():
    sampler = BatchSampler(10, 4, 500, seed=3)
    assert set(sampler.next().tolist()) == set(range(6))


@given(st.integers(0, 2**63), st.integers(0, 20), st.integers(1, 7), st.integers(1, 2**40))
def test_resumed_equals_uninterrupted(seed, steps, batch_size, extra):
    whole = BatchSampler(5 + extra, 5, batch_size, seed)
    for _ in range(steps):
        whole.next()
    saved = json.loads(json.dumps(whole.state()))
    resumed = BatchSampler(5 + extra, 5, batch_size, seed)
    resumed.load_state(saved)
    assert resumed.step == steps
    for _ in range(3):
        np.testing.assert_array_equal(resumed.next(), whole.next())


def test_seeds_differ_and_repeat():
    first, again, other = (BatchSampler(1000, 8, 16, seed).next().tolist() for seed in (1, 1, 2))
    assert first == again != other


def test_a_state_of_other_data_or_a_damaged_one_is_refused():
    state = BatchSampler(1000, 8, 16).state()
    with pytest.raises(DataError, match="n_tokens=1000, this run has 999"):
        BatchSampler(999, 8, 16).load_state(state)
    for damage in ({"generator": None}, {"generator": {"state": {"state": "x"}}}, {"step": None}):
        with pytest.raises(DataError, match="damaged"):
            BatchSampler(1000, 8, 16).load_state({**state, **damage})


def test_evaluation_covers_the_text_once():
    windows = Windows(np.arange(103), 10)
    batches = list(windows.evaluation_batches(4))
    assert [len(x) for x, _ in batches] == [4, 4, 2]
    assert np.concatenate([y.ravel() for _, y in batches]).tolist() == list(range(1, 101))
    few = [x[:, 0].tolist() for x, _ in windows.evaluation_batches(4, max_windows=3)]
    assert few == [[0, 40, 90]]


def test_documents_are_joined_with_a_separator():
    tokenizer = ByteBPE(special_tokens={"<|endoftext|>": 256})
    row = encode_documents([("a", "hi"), ("b", "")], tokenizer, separator="<|endoftext|>")
    assert row.tolist() == [104, 105, 256, 256]
    assert row.dtype == np.uint16
    # a document that holds the separator's name must not end early
    row = encode_documents([("a", "<|endoftext|>")], tokenizer, separator="<|endoftext|>")
    assert row.tolist() == [*b"<|endoftext|>", 256]
    assert encode_documents([("a", "ba")], CharTokenizer("ab")).tolist() == [1, 0]
    assert len(encode_documents([], tokenizer)) == 0
    with pytest.raises(DataError, match="no special token '<sep>'"):
        encode_documents([("a", "hi")], tokenizer, separator="<sep>")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Windows(np.arange(4), 4), "4 tokens, too few for a context of 4"),
        (lambda: BatchSampler(3, 8, 2), "3 tokens, too few"),
        (lambda: BatchSampler(30, 8, 0), "batch_size=0"),
        (lambda: BatchSampler(30, 0, 1), "block_size=0"),
        (lambda: Windows(np.zeros((2, 9), int), 4), "one row of integers"),
        (lambda: Windows(np.zeros(9), 4), "one row of integers"),
    ],
)
def test_errors(make, message):
    with pytest.raises(DataError, match=message):
        make()
