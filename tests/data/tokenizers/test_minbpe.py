"""minbpe's classes: its own results (hashes of what minbpe wrote for the same text), its files."""

import hashlib

import pytest

from descent.data import DataError
from descent.data.tokenizers.minbpe import (
    GPT2_SPLIT_PATTERN,
    BasicTokenizer,
    GPT4Tokenizer,
    RegexTokenizer,
    get_stats,
    merge,
)
from tests.data.known import known


@pytest.fixture(scope="module")
def shakespeare():
    return known("tinyshakespeare.txt").read_text(encoding="utf-8")


def sha256(data):
    return hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("make", [BasicTokenizer, RegexTokenizer])
def test_wikipedias_example(make):
    tokenizer = make()
    tokenizer.train("aaabdaaabac", 256 + 3)
    assert tokenizer.encode("aaabdaaabac") == [258, 100, 258, 97, 99]
    assert tokenizer.decode([258, 100, 258, 97, 99]) == "aaabdaaabac"


@pytest.mark.parametrize(
    ("make", "length", "size", "model", "vocab", "ids"),
    [
        (
            BasicTokenizer, 50_000, 400,
            "85b54c0db88e7f1e66ce119ce459a89ce2c5afd9a135de1c1c4b8fa61e6d3146",
            "ccdb5f532070f419d6fe584d6df7cf540dd5c4ecfda16f5e716ce3f938ac9766",
            "07189f9ec44befc7d053b0b0181cc9e0b91e31ea3019c2ee4f570aefc319d891",
        ),
        (
            RegexTokenizer, 100_000, 512,
            "4dcd71356705674e336033bbf7c00f2165bc5758f039c8d7ce263bbb7a797a0c",
            "7aa206c2c858d2782b2540a4b16f8511081453f1c196c763a3b08d85f656f4a9",
            "7bbaaf929b4eb48f8ce98c33ca9835cd3e1bf69df9eff6e037df5b3130ef6971",
        ),
    ],
)  # fmt: skip
def test_files_and_ids_equal_minbpes(shakespeare, tmp_path, make, length, size, model, vocab, ids):
    tokenizer = make()
    tokenizer.train(shakespeare[:length], size)
    if make is RegexTokenizer:
        tokenizer.register_special_tokens({"<|endoftext|>": 1000, "<|sep|>": 1001})
    tokenizer.save(str(tmp_path / "t"))
    assert sha256((tmp_path / "t.model").read_bytes()) == model
    assert sha256(repr(tokenizer.encode(shakespeare[:20_000])).encode()) == ids
    again = make()
    again.load(str(tmp_path / "t.model"))
    assert again.merges == tokenizer.merges
    assert again.special_tokens == tokenizer.special_tokens
    assert again.encode(shakespeare[:9999]) == tokenizer.encode(shakespeare[:9999])
    assert sha256((tmp_path / "t.vocab").read_bytes()) == vocab


def test_special_tokens_and_verbose(capsys, tmp_path):
    tokenizer = RegexTokenizer(GPT2_SPLIT_PATTERN)
    tokenizer.train("hello hello hello", 259, verbose=True)
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == "merge 1/3: (104, 101) -> 256 (b'he') had 3 occurrences"
    assert len(shown) == 3
    tokenizer.register_special_tokens({"<|end of text|>": 300})
    assert tokenizer.encode("<|end of text|>a", "all") == [300, 97]
    assert tokenizer.inverse_special_tokens == {300: "<|end of text|>"}
    with pytest.raises(DataError, match="special token"):
        tokenizer.encode("<|end of text|>")
    assert 300 not in tokenizer.encode_ordinary("<|end of text|>")
    tokenizer.save(str(tmp_path / "s"))
    again = RegexTokenizer()
    again.load(tmp_path / "s.model")
    assert again.pattern == GPT2_SPLIT_PATTERN
    assert again.encode("a<|end of text|>", "all") == [97, 300]
    again.train("again again", 258)  # training anew forgets the special tokens


def test_too_large_a_vocabulary_for_the_text():
    with pytest.raises(DataError, match="no pair is left; use at most 257"):
        BasicTokenizer().train("ab", 300)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "line 1: expected 'minbpe v1'"),
        ("{}", "line 1"),
        ("minbpe v1\n", "line 3"),
        ("minbpe v1\n\nmany\n", "line 3: expected numbers, found 'many'"),
        ("minbpe v1\n\n2\n<a> 300\n", "line 5"),
        ("minbpe v1\n\n0\n1 2\n1 x\n", "line 5: expected numbers, found '1 x'"),
        ("minbpe v1\n\n0\n1 2\n1 900\n", "merge 1"),
        ("minbpe v1\n(\n0\n", "regular expression"),
    ],
)
def test_damaged_model_files(tmp_path, content, message):
    path = tmp_path / "bad.model"
    path.write_text(content)
    with pytest.raises(DataError, match=message):
        RegexTokenizer().load(path)


def test_other_bad_files(tmp_path):
    with pytest.raises(DataError, match=r"does not end in \.model"):
        BasicTokenizer().load(tmp_path / "t.vocab")
    with pytest.raises(DataError, match="cannot be read"):
        BasicTokenizer().load(tmp_path / "none.model")
    (tmp_path / "b.model").write_bytes(b"minbpe v1\n\xff")
    with pytest.raises(DataError, match="byte 10 is not UTF-8"):
        BasicTokenizer().load(tmp_path / "b.model")
    tokenizer = RegexTokenizer()
    tokenizer.register_special_tokens({"<a\nb>": 300})
    with pytest.raises(DataError, match="newline"):
        tokenizer.save(str(tmp_path / "n"))


def test_gpt4_from_its_rank_file(tmp_path):
    tokenizer = GPT4Tokenizer(known("cl100k_base.tiktoken"))
    text = "hello123!!!? (안녕하세요!) 😉"  # the example of minbpe's README
    ids = [15339, 4513, 12340, 30, 320, 31495, 230, 75265, 243, 92245, 16715, 57037]
    assert tokenizer.encode(text) == ids
    assert tokenizer.decode(ids) == text
    assert tokenizer.decode(tokenizer.encode("<|endoftext|>", "all")) == "<|endoftext|>"
    assert tokenizer.byte_shuffle[ord("!")] == 0
    assert tokenizer.inverse_byte_shuffle[0] == ord("!")
    tokenizer.save_vocab(tmp_path / "gpt4.vocab")
    dump = (tmp_path / "gpt4.vocab").read_bytes()
    assert b"[ h][ello] -> [ hello] 24748" in dump
    assert sha256(dump) == "6822eb90aa2a94e0204aa5b1e0977386321ca85b78b49496606460e4ae6c8d91"
    for call in (lambda: tokenizer.train("a", 300), lambda: tokenizer.save("x")):
        with pytest.raises(NotImplementedError):
            call()


def test_helpers():
    assert get_stats([1, 2, 3, 1, 2]) == {(1, 2): 2, (2, 3): 1, (3, 1): 1}
    assert get_stats([1, 2], {(1, 2): 5}) == {(1, 2): 6}
    assert merge([1, 2, 3, 1, 2], (1, 2), 4) == [4, 3, 4]
    assert merge([1, 1, 1], (1, 1), 2) == [2, 1]
