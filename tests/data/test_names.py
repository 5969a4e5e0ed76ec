"""Names: makemore's rules and split, the lecture's windows, makemore's rows."""

import numpy as np
import pytest

from descent.data import DataError
from descent.data.names import (
    decode_item,
    encode_items,
    makemore_split,
    read_items,
    vocabulary,
    windows,
)
from tests.data.known import known


@pytest.fixture(scope="module")
def names():
    return read_items(known("names.txt"))


def test_names_file(names):
    assert len(names) == 32_033
    assert names[:4] == ["emma", "olivia", "ava", "isabella"]
    assert sum(len(name) + 1 for name in names) == 228_146


@pytest.mark.parametrize("block_size", [1, 3, 8])
def test_split_and_windows_have_the_published_sizes(names, block_size):
    stoi, _ = vocabulary(names)
    assert len(stoi) == 27
    assert stoi["."] == 0
    assert stoi["a"] == 1
    assert stoi["z"] == 26
    parts = [windows(part, stoi, block_size) for part in makemore_split(names)]
    assert [len(y) for _, y in parts] == [182_625, 22_655, 22_866]
    assert all(x.shape == (len(y), block_size) and x.dtype == y.dtype == np.int64 for x, y in parts)


def test_windows_by_hand():
    stoi, itos = vocabulary(["emma", "ab"])
    x, y = windows(["emma", "ab"], stoi, 3)
    shown = [
        "".join(itos[i] for i in row) + ">" + itos[t] for row, t in zip(x.tolist(), y.tolist())
    ]
    assert shown == ["...>e", "..e>m", ".em>m", "emm>a", "mma>.", "...>a", "..a>b", ".ab>."]


def test_windows_equal_the_lectures_loop(names):
    stoi, _ = vocabulary(names)
    some = names[::311]
    rows, targets = [], []
    for word in some:
        context = [0] * 5
        for char in [*word, "."]:
            rows.append(context)
            targets.append(stoi[char])
            context = [*context[1:], stoi[char]]
    x, y = windows(some, stoi, 5)
    np.testing.assert_array_equal(x, rows)
    np.testing.assert_array_equal(y, targets)


def test_makemore_rows():
    stoi, itos = vocabulary(["ab", "c"])
    x, y = encode_items(["ab", "c"], stoi, 3)
    assert x.tolist() == [[0, 1, 2, 0], [0, 3, 0, 0]]
    assert y.tolist() == [[1, 2, 0, -1], [3, 0, -1, -1]]
    assert [decode_item(row, itos) for row in y] == ["ab", "c"]
    assert encode_items(["ab", "c"], stoi)[0].shape == (2, 3)


def test_lines_are_stripped_and_empty_ones_dropped(tmp_path):
    path = tmp_path / "towns.txt"
    path.write_bytes("\ufeff Bern \r\n\r\n\tZürich\r\n   \r\nGenève".encode())
    assert read_items(path) == ["Bern", "Zürich", "Genève"]


def test_the_split_leaves_its_input_alone():
    items = [str(number) for number in range(20)]
    train, dev, test = makemore_split(items)
    assert items == [str(number) for number in range(20)]
    assert sorted(train + dev + test) == sorted(items)
    assert (len(train), len(dev), len(test)) == (16, 2, 2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: windows(["añ"], {".": 0, "a": 1}, 3), "'añ' has the character 'ñ'"),
        (lambda: windows(["a"], {".": 0, "a": 1}, 0), "block_size=0"),
        (lambda: encode_items(["abc"], {"a": 1, "b": 2, "c": 3}, 2), "3 characters"),
        (lambda: makemore_split(["a"] * 9), "at least 10"),
        (lambda: vocabulary([]), "empty"),
    ],
)
def test_errors_say_what_was_wrong(call, message):
    with pytest.raises(DataError, match=message):
        call()
