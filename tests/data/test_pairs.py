"""Sentence pairs: every form of file, what is wrong with one, batches in a few shapes."""

import gzip
import json

import numpy as np
import pytest

from descent.data import pairs as reading
from descent.data.errors import DataError
from descent.data.pair_batches import PairBatches, filled
from descent.data.pairs import hold_out, read_pairs

SOME = [("A man.", "Ein Mann."), ("Two dogs\u2028run", "Zwei Hunde rennen")]


def test_two_aligned_files(tmp_path):
    en, de = tmp_path / "a.en", tmp_path / "a.de.gz"
    en.write_text("A man.\n\n Two dogs\u2028run \nx\n", encoding="utf-8")
    with gzip.open(de, "wb") as f:
        f.write(b"Ein Mann.\r\nleer\r\nZwei Hunde rennen\r\n\r\n")
    assert read_pairs(f"{en},{de}") == SOME
    assert read_pairs(f"{en}, {de}") == SOME


def test_tsv_and_jsonl(tmp_path):
    tsv = tmp_path / "a.tsv"
    tsv.write_text("\ufeff" + "\n".join("\t".join(p) for p in SOME), encoding="utf-8")
    assert read_pairs(tsv) == SOME
    for name, make in {
        "named": lambda s, t: {"target": t, "source": s},
        "hub": lambda s, t: {"translation": {"en": s, "de": t}},
        "two": lambda s, t: {"en": s, "de": t},
    }.items():
        path = tmp_path / f"{name}.jsonl"
        path.write_text("\n".join(json.dumps(make(*p)) for p in SOME) + "\n\n", encoding="utf-8")
        assert read_pairs(path) == SOME


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.tsv", b"a\tb\na b\n", r"line 2: source <tab> target is needed, got 1 fields"),
        ("a.jsonl", b'{"a": "x", "b": "y"}\n{"a": 1}', r"line 2: an object"),
        ("a.jsonl", b'{"a": "x", "b": 3}', r"line 1: an object"),
        ("a.jsonl", b"[1, 2", r"line 1: "),
        ("a.tsv", b"a\t\xff\n", r"is not UTF-8: byte 2"),
        ("a.tsv", b"\n\n", r"holds no sentence pairs"),
        ("a.tsv.gz", b"no gzip", r"can't be read: Not a gzipped file"),
        ("a.tsv.gz", gzip.compress(b"a\tb\n" * 99)[:-9], r"can't be read: "),
        ("a.csv", b"a,b", r"pairs are read from .tsv, .jsonl, or two aligned files"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, name, text, message):
    (tmp_path / name).write_bytes(text)
    with pytest.raises(DataError, match=message):
        read_pairs(tmp_path / name)


def test_lines_that_do_not_match_up(tmp_path):
    (tmp_path / "a").write_text("1\n2\n3\n")
    (tmp_path / "b").write_text("1\n2\n")
    with pytest.raises(DataError, match=r"a has 3 lines, .*b 2: line n of one"):
        read_pairs(f"{tmp_path / 'a'},{tmp_path / 'b'}")
    with pytest.raises(DataError, match="No such file"):
        read_pairs(tmp_path / "none.tsv")
    with pytest.raises(DataError, match="name one file of pairs, or two"):
        read_pairs("a,b,c")


def test_a_file_that_unpacks_without_end(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "MOST_BYTES", 1000)
    (tmp_path / "a.tsv.gz").write_bytes(gzip.compress(b"a\tb\n" * 1000))
    with pytest.raises(DataError, match="larger than 1,000 bytes"):
        read_pairs(tmp_path / "a.tsv.gz")


def test_holding_out():
    all_pairs = [(str(i), str(-i)) for i in range(1000)]
    train, valid, test = hold_out(all_pairs)
    assert [len(train), len(valid), len(test)] == [960, 20, 20]
    assert sorted(map(int, (s for s, _ in train + valid + test))) == list(range(1000))
    with pytest.raises(DataError, match="9 sentence pairs are too few"):
        hold_out(all_pairs[:9])


IDS = {"bos": 1, "eos": 2, "pad": 0}


def test_a_filled_pair():
    x, y = filled([([5, 6], [7])], 4, **IDS)
    assert x.tolist() == [[[5, 6, 2, 0], [1, 7, 0, 0]]]
    assert y.tolist() == [[7, 2, -1, -1]]


def many(n=300, seed=0):
    rng = np.random.default_rng(seed)
    return [
        (rng.integers(3, 99, rng.integers(1, 30)).tolist(), [i + 100] * int(rng.integers(1, 30)))
        for i in range(n)
    ]


def test_every_pair_once_in_an_epoch_and_few_shapes():
    batches = PairBatches(many(), tokens=128, seed=3, **IDS)
    seen, shapes = set(), set()
    for _ in range(batches.per_epoch):
        x, y = batches.next()
        shapes.add(x.shape)
        assert x.shape[0] * x.shape[2] <= 128
        assert x.shape[2] % 4 == 0
        assert y.shape == (x.shape[0], x.shape[2])
        seen |= set(y[:, 0].tolist())
    assert len(shapes) == 3
    assert seen == {i + 100 for i in range(300)}
    assert batches.epoch == 0
    batches.next()
    assert batches.epoch == 1
    assert sum(len(x) for x, _ in batches.all()) == 300


def test_taking_up_where_it_stopped():
    a, b = (PairBatches(many(), tokens=128, seed=3, **IDS) for _ in range(2))
    for _ in range(a.per_epoch + 5):
        a.next()
    b.load_state(a.state())
    for _ in range(9):
        for one, other in zip(a.next(), b.next()):
            assert np.array_equal(one, other)


def test_pairs_too_long_are_left_out():
    batches = PairBatches([*many(20), ([3] * 50, [4])], tokens=128, seed=3, longest=40, **IDS)
    assert batches.dropped == 1
    with pytest.raises(DataError, match="no sentence pair has fewer than 5 tokens"):
        PairBatches([([3] * 50, [4])], tokens=128, seed=3, longest=5, **IDS)
