"""Fill in the middle: nothing of a text is lost, and the parts stand where they are looked for."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from descent.data.infill import (
    INFILL_TOKENS,
    encode_for_infilling,
    infill_ids,
    infill_tokens,
)
from descent.data.tokenizers import END_OF_TEXT, ByteBPE

TEXT = "def add(a, b):\n    return a + b\n\n\ndef sub(a, b):\n    return a - b\n" * 30
BPE = ByteBPE.train(TEXT, 300, special_tokens=(END_OF_TEXT, *INFILL_TOKENS))
END = BPE.special_tokens[END_OF_TEXT]


def parts(ids):
    """(prefix, middle, suffix) of every passage in a row of ids."""
    before, middle, after = infill_tokens(BPE)
    row, found = list(map(int, ids)), []
    while row:
        assert row[0] == before
        a, m, e = row.index(after), row.index(middle), row.index(END)
        found.append(tuple(map(BPE.decode, (row[1:a], row[m + 1 : e], row[a + 1 : m]))))
        row = row[e + 1 :]
    return found


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=4000), st.integers(0, 3))
def test_every_character_is_there_once_and_in_order(text, seed):
    ids = encode_for_infilling([("a", text)], BPE, share=1.0, end=END, seed=seed)
    assert "".join("".join(each) for each in parts(ids)) == text


def test_a_share_is_rearranged_and_the_rest_left_alone():
    documents = [(str(i), TEXT) for i in range(200)]
    ids = encode_for_infilling(documents, BPE, share=0.25, end=END)
    plain = [*BPE.encode_ordinary(TEXT), END]
    left, row = 0, list(map(int, ids))
    for start in [0] + [i + 1 for i, id in enumerate(row) if id == END]:
        left += row[start : start + len(plain)] == plain
    assert 120 < left < 180
    assert (ids == encode_for_infilling(documents, BPE, share=0.25, end=END)).all()


def test_a_prompt_to_fill_in():
    before, middle, after = infill_tokens(BPE)
    ids = infill_ids(BPE, "def add(", "):\n")
    assert ids[0] == before
    assert ids[-1] == middle
    assert BPE.decode(ids[1 : ids.index(after)]) == "def add("
    assert BPE.decode(ids[ids.index(after) + 1 : -1]) == "):\n"


def test_errors_say_what_is_wrong():
    with pytest.raises(ValueError, match="fim_prefix"):
        infill_ids(ByteBPE.train(TEXT, 300), "a", "b")
    with pytest.raises(ValueError, match=r"0 … 1: got 1\.5"):
        encode_for_infilling([], BPE, share=1.5, end=END)
