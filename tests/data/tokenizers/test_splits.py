"""Split patterns on the standard `re`: every character kept, and what the patterns promise."""

import sys
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from descent.data import DataError
from descent.data.tokenizers.splits import (
    CODE_SPLIT_PATTERN,
    GPT2_SPLIT_PATTERN,
    GPT4_SPLIT_PATTERN,
    Splitter,
    class_ranges,
)

PATTERNS = [GPT2_SPLIT_PATTERN, GPT4_SPLIT_PATTERN, CODE_SPLIT_PATTERN]


@pytest.mark.parametrize("pattern", PATTERNS)
@given(text=st.text())
def test_no_character_is_lost(pattern, text):
    assert "".join(Splitter(pattern).chunks(text)) == text


def test_gpt2_and_gpt4_by_hand():
    text = "I'LL pay  1234 €\n\n  x"
    assert Splitter(GPT2_SPLIT_PATTERN).chunks(text) == [
        "I", "'", "LL", " pay", " ", " 1234", " €", "\n\n ", " x",
    ]  # fmt: skip
    assert Splitter(GPT4_SPLIT_PATTERN).chunks(text) == [
        "I", "'LL", " pay", " ", " ", "123", "4", " €\n\n", " ", " x",
    ]  # fmt: skip


def test_code_ends_where_a_programmer_pauses():
    text = "def f(self):\n        return self.x_1\n\n"
    assert Splitter(CODE_SPLIT_PATTERN).chunks(text) == [
        "def", " f", "(", "self", "):", "\n", "        ", "return", " self", ".", "x", "_", "1",
        "\n", "\n",
    ]  # fmt: skip


@given(st.text(st.sampled_from("ab1_. ()\n\t:é漢"), max_size=40), st.data())
def test_code_chunks_do_not_depend_on_what_follows_a_newline(text, data):
    """A prompt that ends in a newline is cut as it was in training."""
    cut = text.find("\n", data.draw(st.integers(0, len(text)))) + 1
    split = Splitter(CODE_SPLIT_PATTERN).chunks
    assert split(text[:cut]) + split(text[cut:]) == split(text)


def test_letters_outside_the_bmp_and_newer_than_python():
    split = Splitter(GPT4_SPLIT_PATTERN).chunks
    assert split("𝔘nicode 𝟙𝟚𝟛𝟜 🙂🙂") == ["𝔘nicode", " ", "𝟙𝟚𝟛", "𝟜", " 🙂🙂"]
    assert split("a\U00016d40\U00010d4a") == ["a\U00016d40\U00010d4a"]  # letters since Unicode 16
    assert split("\U00010d40\U00010d41a") == ["\U00010d40\U00010d41", "a"]  # digits since 16


def test_ranges_are_ascending_and_apart():
    for name in "LN":
        flat = [code for pair in class_ranges(name, sys.maxunicode) for code in pair]
        assert all(a <= b for a, b in pairwise(flat))
        assert all(b - a > 1 for a, b in zip(flat[1::2], flat[2::2]))
    assert class_ranges("N", 0x7F) == ((0x30, 0x39),)


@pytest.mark.parametrize(
    ("pattern", "text", "chunks"),
    [
        (r"\P{L}+|\p{L}", "ab12é🙂", ["a", "b", "12", "é", "🙂"]),
        (r"[\P{N}]+|\p{N}", "ab12", ["ab", "1", "2"]),
        (r"(\S)+|\s", "a b\x1cc", ["a", " ", "b\x1cc"]),  # U+001C is no White_Space
        (r"[]x]+|.", "]xa]", ["]x", "a", "]"]),
        ("[🙀-🙏]+|.", "🙂🙂a", ["🙂🙂", "a"]),
    ],
)
def test_patterns_of_ones_own(pattern, text, chunks):
    assert Splitter(pattern).chunks(text) == chunks


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        (r"\p{Han}+", r"uses \\p\{Han\}; only general categories"),
        (r"[a&&b]", "uses &&"),
        (r"[a[b]]", "a set inside a set"),
        (r"[a--b]", "not a regular expression: Possible set difference"),
        (r"\pL", "only"),
        ("(", "not a regular expression"),
    ],
)
def test_bad_patterns(pattern, message):
    with pytest.raises(DataError, match=message):
        Splitter(pattern)
