"""GPT-2's and GPT-4's tokenizers against tiktoken, and the split patterns against `regex`."""

import sys
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from descent.data import DataError
from descent.data.tokenizers import load_gpt2, load_gpt4
from descent.data.tokenizers.splits import (
    CODE_SPLIT_PATTERN,
    GPT2_SPLIT_PATTERN,
    GPT4_SPLIT_PATTERN,
    Splitter,
    class_ranges,
)
from tests.data.known import known

pytestmark = pytest.mark.oracle
PATTERNS = [GPT2_SPLIT_PATTERN, GPT4_SPLIT_PATTERN, CODE_SPLIT_PATTERN]
# White space of every kind, contractions and their odd capitals (ſ, K), digits that are no digits,
# combining marks, emoji sequences, surrogates: where split patterns go wrong.
TRICKY = st.sampled_from(
    "  \t\n\r\x0b\x1c\x1f\x85\xa0\u1680\u2028\u200b\u3000''''sSſtTdDmMlLvVeErRKk._:()[]{}012३¼²Ⅷ"
    "aéßﬁǅ漢字あ한\u0301\u0903\u200d\ufe0f🙂👍🏽𝔘𝟙\U00016d40\U0010ffff\ue000\ud83d\ude42\ud800"
)
TEXTS = st.one_of(
    st.lists(st.one_of(TRICKY, st.characters()), max_size=40).map("".join),
    st.text(st.characters(exclude_categories=[])),
    st.lists(st.sampled_from(["'ll", "'RE", "    ", "\r\n", "<|endoftext|>", "12345"]), max_size=9)
    .map("".join),
)  # fmt: skip


def encoding(pattern, ranks, special_tokens):
    import tiktoken

    return tiktoken.Encoding(
        "local", pat_str=pattern, mergeable_ranks=ranks, special_tokens=special_tokens
    )


@pytest.fixture(scope="module")
def gpt2():
    from tiktoken.load import data_gym_to_mergeable_bpe_ranks

    encoder, merges = known("gpt2-encoder.json"), known("gpt2-vocab.bpe")
    ours = load_gpt2(encoder, merges)
    ranks = data_gym_to_mergeable_bpe_ranks(str(merges), str(encoder))
    return ours, encoding(GPT2_SPLIT_PATTERN, ranks, ours.special_tokens)


@pytest.fixture(scope="module")
def gpt4():
    from tiktoken.load import load_tiktoken_bpe

    path = known("cl100k_base.tiktoken")
    ours = load_gpt4(path)
    return ours, encoding(GPT4_SPLIT_PATTERN, load_tiktoken_bpe(str(path)), ours.special_tokens)


def check(pair, text):
    ours, theirs = pair
    ids = ours.encode(text, "all")
    assert ids == theirs.encode(text, allowed_special="all")
    assert ours.encode(text, "none") == theirs.encode(text, disallowed_special=())
    assert ours.decode_bytes(ids) == theirs.decode_bytes(ids)
    assert ours.decode(ids[1:]) == theirs.decode(ids[1:])  # perhaps from within a character


@settings(max_examples=500)
@given(TEXTS)
def test_gpt2_equals_tiktoken(gpt2, text):
    check(gpt2, text)


@settings(max_examples=500)
@given(TEXTS)
def test_gpt4_equals_tiktoken(gpt4, text):
    check(gpt4, text)


def test_real_text_and_long_chunks(gpt2, gpt4):
    text = known("tinyshakespeare.txt").read_text(encoding="utf-8")[:200_000]
    for pair in (gpt2, gpt4):
        check(pair, text)
        check(pair, "a" * 999 + " " * 999 + "é" * 999 + "=" * 999 + "안녕" * 200)


def test_sizes_and_tokens(gpt2, gpt4):
    for (ours, theirs), size in ((gpt2, 50_257), (gpt4, 100_277)):
        assert ours.vocab_size == theirs.n_vocab == size
        ids = sorted({*ours.vocab, *ours.special_tokens.values()})
        assert len(ids) == len(theirs.token_byte_values()) + len(theirs.special_tokens_set)
        assert [ours.token_bytes(i) for i in ids] == [theirs.decode_bytes([i]) for i in ids]


@settings(max_examples=500)
@given(TEXTS)
def test_splits_equal_regex(text):
    import regex

    # `regex` may know letters that were assigned after this Python's Unicode; they are left out.
    text = "".join(char for char in text if unicodedata.category(char) not in ("Cn", "Cs"))
    for pattern in PATTERNS:
        assert Splitter(pattern).chunks(text) == regex.findall(pattern, text)


@pytest.mark.parametrize("name", ["L", "N"])
def test_classes_equal_tiktokens_on_every_character(name):
    """Checked against Unicode 16, tiktoken 0.8 and later: a text of all characters at once."""
    every = "".join(map(chr, [*range(0xD800), *range(0xE000, sys.maxunicode + 1)]))
    single = encoding(rf"\p{{{name}}}", {bytes([byte]): byte for byte in range(256)}, {})
    theirs = single.decode_bytes(single.encode_ordinary(every)).decode()
    ours = (
        chr(c) for low, high in class_ranges(name, sys.maxunicode) for c in range(low, high + 1)
    )
    assert "".join(ours) == theirs


def test_files_of_another_kind_are_refused(tmp_path):
    encoder, merges = known("gpt2-encoder.json"), known("gpt2-vocab.bpe")
    with pytest.raises(DataError, match="not GPT-2's two tokenizer files"):
        load_gpt2(merges, encoder)
    with pytest.raises(DataError, match="line 1: expected `base64 rank`"):
        load_gpt4(merges)
    with pytest.raises(DataError, match="cannot be read"):
        load_gpt4(tmp_path / "missing")
    (tmp_path / "gap.tiktoken").write_text("YQ== 0\nYg== 7\n")
    with pytest.raises(DataError, match="count from 0"):
        load_gpt4(tmp_path / "gap.tiktoken")
    lines = merges.read_text(encoding="utf-8").splitlines()
    (tmp_path / "vocab.bpe").write_text("\n".join([*lines[:9], *lines[10:]]), encoding="utf-8")
    with pytest.raises(DataError, match="does not number the merges"):
        load_gpt2(encoder, tmp_path / "vocab.bpe")
