"""Tokenizers: round trips, special tokens, files and damaged files, characters."""

import json
import textwrap
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from descent.data import DataError
from descent.data.tokenizers import (
    CODE_SPLIT_PATTERN,
    GPT2_SPLIT_PATTERN,
    ByteBPE,
    CharTokenizer,
    load_tokenizer,
)

TEXT = Path(textwrap.__file__).read_text(encoding="utf-8") + "naïve 🙂 naïve 🙂\n"


@pytest.fixture(scope="module")
def bpe():
    return ByteBPE.train(TEXT, 300)


@given(st.text())
def test_any_text_comes_back(bpe, text):
    assert bpe.decode(bpe.encode(text, "none")) == text


@given(st.binary(max_size=300))
def test_any_bytes_come_back(bpe, data):
    assert bpe.decode_bytes(bpe.encode_bytes(data)) == data


def test_vocabulary_size_counts_the_specials(bpe):
    assert bpe.vocab_size == 300
    assert bpe.special_tokens == {"<|endoftext|>": 299}
    assert len(bpe.merges) == 43
    assert [bpe.token_bytes(i) for i in bpe.encode(" the")] == [b" the"]
    assert ByteBPE.train("ab", 1000).vocab_size == 257  # no pair occurs twice


def test_training_on_several_texts_is_training_on_their_chunks():
    parts = TEXT.splitlines(keepends=True)
    assert ByteBPE.train(parts, 290).merges == ByteBPE.train(TEXT, 290).merges


def test_special_tokens(bpe):
    text = "a<|endoftext|>b"
    with pytest.raises(DataError, match=r"special token '<\|endoftext\|>' at character 1"):
        bpe.encode(text)
    assert bpe.encode(text, "all") == [97, 299, 98]
    assert bpe.encode(text, {"<|endoftext|>"}) == [97, 299, 98]
    plain = bpe.encode(text, "none")
    assert 299 not in plain
    assert bpe.encode(text, set()) == plain
    assert bpe.decode(plain) == bpe.decode([97, 299, 98]) == text
    assert bpe.encode("", "all") == []
    with pytest.raises(DataError, match="no special token '<x>'"):
        bpe.encode("a", {"<x>"})
    with pytest.raises(DataError, match="allowed_special='some'"):
        bpe.encode("a", "some")


def test_new_special_tokens_replace_the_old():
    bpe = ByteBPE(special_tokens={"<a>": 256, "<b>": 257})
    bpe.register_special_tokens({"<b>": 256})
    assert bpe.special_tokens == bpe.added_tokens == {"<b>": 256}
    assert bpe.encode_prompt("<b>") == bpe.encode("<b>", "none")
    assert bpe.decode([97, 256], skip_special=True) == "a"


def test_the_longest_special_token_wins():
    bpe = ByteBPE(special_tokens={"<a>": 256, "<a><b>": 257})
    assert bpe.encode("<a><b><a>", "all") == [257, 256]


def test_surrogates_have_bytes_too(bpe):
    assert bpe.decode(bpe.encode("a\ud83d\ude42\ud800")) == "a🙂\ufffd"
    assert bpe.decode([0xC3]) == "\ufffd"


@pytest.mark.parametrize("bad", [300, -1, 10**20, "a", None, [1]])
def test_ids_outside_the_vocabulary(bpe, bad):
    with pytest.raises((DataError, TypeError)):
        bpe.decode([bad])


def test_an_id_outside_is_named(bpe):
    with pytest.raises(DataError, match="invalid token id: 300; this vocabulary has 300 ids"):
        bpe.decode([97, 300])
    with pytest.raises(DataError, match="invalid token id: 300"):
        bpe.token_bytes(300)


def test_ids_with_prefix(bpe):
    found = [bpe.token_bytes(i) for i in bpe.ids_with_prefix(b" t")]
    every = [bpe.token_bytes(i) for i in range(299)]
    assert found == [text for text in every if text[:2] == b" t"]
    assert b" the" in found
    assert bpe.ids_with_prefix(b"<|endof") == []


@pytest.mark.parametrize("pattern", [CODE_SPLIT_PATTERN, GPT2_SPLIT_PATTERN, None])
def test_save_and_load(tmp_path, pattern):
    bpe = ByteBPE.train(TEXT, 300, pattern=pattern, special_tokens=["<|é|>", "<|b|>"])
    path = bpe.save(tmp_path)
    assert path == tmp_path / "tokenizer.json"
    again = load_tokenizer(tmp_path)
    assert again.to_dict() == bpe.to_dict()
    assert again.encode(TEXT + "<|é|>", "all") == bpe.encode(TEXT + "<|é|>", "all")
    assert json.loads(path.read_text(encoding="utf-8"))["version"] == "descent-tokenizer.v1"
    lines = (tmp_path / "tokenizer.vocab").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 300
    assert lines[10] == "[\\u000a] 10"
    assert lines[256].endswith("] 256")
    assert "][" in lines[256]
    assert lines[-1] == "[<|b|>] 299"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["tokenizer.json", "tokenizer.vocab"]


def test_permuted_bytes_survive_saving(tmp_path):
    bpe = ByteBPE([(1, 2)], byte_ids=range(255, -1, -1))
    bpe.save(tmp_path / "t.json")
    again = load_tokenizer(tmp_path / "t.json")
    assert again.encode("\ufffd") == bpe.encode("\ufffd") == [255 - 0xEF, 255 - 0xBF, 255 - 0xBD]
    assert again.decode_bytes([256]) == bytes([254, 253])


GOOD = {"version": "descent-tokenizer.v1", "kind": "bpe", "pattern": None, "special_tokens": {}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "damaged or not a tokenizer"),
        (b"\xff\xfe\x00", "damaged or not a tokenizer"),
        (b"[" * 100_000, "damaged or not a tokenizer"),
        (b"[]", '"version" is None'),
        (b'{"version": "1.0"}', "\"version\" is '1.0'"),
        (b'{"version": "1.0", "model": {}}', "tokenizer model None is not known"),
        ({"kind": "wordpiece"}, "known are"),
        ({}, '"merges" must be a list'),
        ({"merges": [[1, 2, 3]]}, '"merges" must be a list'),
        ({"merges": [[True, 2]]}, '"merges" must be a list'),
        ({"merges": [[1, 256]]}, "merge 0, .1, 256., is repeated or names"),
        ({"merges": [[1, 2], [1, 2]]}, "merge 1"),
        ({"merges": [], "pattern": "("}, "not a regular expression"),
        ({"merges": [], "pattern": 3}, '"pattern"'),
        ({"merges": [], "byte_ids": [1, 2]}, "byte_ids"),
        ({"merges": [], "special_tokens": []}, '"special_tokens"'),
        ({"merges": [], "special_tokens": {"<a>": 5}}, "already taken"),
        ({"merges": [], "special_tokens": {"<a>": 300, "<b>": 300}}, "already taken"),
        ({"merges": [], "special_tokens": {"<a>": "300"}}, "needs an id"),
        ({"merges": [], "special_tokens": {"": 300}}, "needs a name"),
        ({"kind": "chars"}, '"chars"'),
        ({"kind": "chars", "chars": ["ab"]}, "distinct single"),
        ({"kind": "chars", "chars": []}, "at least one"),
        ({"kind": "chars", "chars": ["a"], "unk": 3}, '"unk"'),
    ],
)
def test_damaged_and_foreign_files_are_refused(tmp_path, content, message):
    path = tmp_path / "tokenizer.json"
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(GOOD | content).encode())
    with pytest.raises(DataError, match=message) as error:
        load_tokenizer(path)
    assert str(path) in str(error.value)


def test_no_file(tmp_path):
    with pytest.raises(DataError, match="no tokenizer at"):
        load_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").mkdir()
    with pytest.raises(DataError, match="cannot be read"):
        load_tokenizer(tmp_path)


def test_a_pattern_that_loses_text_is_an_error():
    with pytest.raises(DataError, match="does not match all of the text"):
        ByteBPE(pattern="a+").encode("aab")


def test_too_small_a_vocabulary():
    with pytest.raises(DataError, match=r"vocab_size=256 is too small.*at least 257"):
        ByteBPE.train("text", 256)


def test_characters(tmp_path):
    chars = CharTokenizer.from_text("hello\n", special=["<|end|>"])
    assert chars.chars == ["\n", "e", "h", "l", "o"]
    assert chars.encode("hole<|end|>", "all") == [2, 4, 3, 1, 5]
    assert chars.decode([2, 4, 3, 1, 5]) == "hole<|end|>"
    assert chars.vocab_size == 6
    with pytest.raises(DataError, match=r"character 'x' \(U\+0078\) at position 2"):
        chars.encode("hex")
    chars.save(tmp_path)
    again = load_tokenizer(tmp_path)
    assert isinstance(again, CharTokenizer)
    assert again.to_dict() == chars.to_dict()


def test_unknown_characters(tmp_path):
    chars = CharTokenizer.from_text(["ab", "c"], unk="<unk>")
    assert chars.encode("axc") == [0, 3, 2]
    assert chars.decode([0, 3, 2]) == "a<unk>c"
    chars.save(tmp_path)
    assert load_tokenizer(tmp_path).encode("axc") == [0, 3, 2]


@given(st.text(min_size=1))
def test_characters_round_trip(text):
    chars = CharTokenizer.from_text(text)
    assert chars.decode(chars.encode(text)) == text


def test_no_characters():
    with pytest.raises(DataError, match="empty"):
        CharTokenizer.from_text("")
