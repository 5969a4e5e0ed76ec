"""BPE training: the quadratic textbook algorithm is the oracle for the incremental one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from descent.data import DataError
from descent.data.tokenizers.bpe_encoding import get_stats, merge, merge_all
from descent.data.tokenizers.bpe_training import train_merges

CHUNKS = st.lists(st.text("abé", max_size=12), max_size=8)


def textbook(chunks, n_merges, min_count=1):
    """Count everything, merge the first most frequent pair, and start over."""
    ids, merges, counts = [list(chunk.encode()) for chunk in chunks], [], []
    while len(merges) < n_merges:
        stats = {}
        for chunk in ids:
            get_stats(chunk, stats)
        if not stats or max(stats.values()) < min_count:
            break
        pair = max(stats, key=stats.get)
        ids = [merge(chunk, pair, 256 + len(merges)) for chunk in ids]
        merges.append(pair)
        counts.append(stats[pair])
    return merges, counts


@given(CHUNKS, st.integers(0, 30), st.integers(1, 3))
def test_equals_the_textbook(chunks, n_merges, min_count):
    seen = []
    merges = train_merges(
        chunks, n_merges, min_count=min_count, on_merge=lambda i, pair, n: seen.append((i, pair, n))
    )
    expected, counts = textbook(chunks, n_merges, min_count)
    assert merges == expected
    assert seen == [(i, pair, n) for i, (pair, n) in enumerate(zip(expected, counts))]


@given(st.text("ab ", max_size=200))
def test_equals_the_textbook_on_one_long_chunk(text):
    assert train_merges([text], 20) == textbook([text], 20)[0]


@given(CHUNKS, st.lists(st.sampled_from(b"ab\xc3\xa9"), max_size=300))
def test_long_and_short_merging_agree(chunks, data):
    merges = {pair: 256 + i for i, pair in enumerate(train_merges(chunks, 30))}
    ids = list(data)
    while pairs := [pair for pair in get_stats(ids) if pair in merges]:
        best = min(pairs, key=merges.get)
        ids = merge(ids, best, merges[best])
    assert merge_all(list(data), merges) == ids


def test_runs_of_one_byte():
    assert train_merges(["aaaaaaa"], 2) == [(97, 97), (256, 256)]
    merges = {(97, 97): 256, (256, 256): 257}
    assert merge_all([97] * 7, merges) == [257, 256, 97]
    assert merge_all([97] * 103, merges) == [257] * 25 + [256, 97]


def test_stops_when_nothing_is_left():
    assert train_merges([], 5) == []
    assert train_merges(["", "a"], 5) == []
    assert train_merges(["ab"], 5) == [(97, 98)]
    assert train_merges(["ab"], 5, min_count=2) == []
    with pytest.raises(DataError, match="below the 256 bytes"):
        train_merges(["ab"], -1)
