"""Sentence-piece BPE: the same ids and text as `sentencepiece` on models trained here."""

import contextlib
import functools
import io
import struct
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from descent.data import DataError
from descent.data.tokenizers import load_tokenizer
from descent.data.tokenizers.borders import border_pattern
from descent.data.tokenizers.sentencepiece import BYTE, CONTROL, UNKNOWN, Piece, SentencePieceBPE
from descent.data.tokenizers.sentencepiece_file import load_sentencepiece
from tests.data.tokenizers.texts import ADVERSARIAL, CODE, LONG, MIXED

spm = pytest.importorskip("sentencepiece")
pytestmark = pytest.mark.oracle
SHAPES = {
    "llama": {
        "byte_fallback": True, "split_digits": True, "allow_whitespace_only_pieces": True,
        "remove_extra_whitespaces": False,
    },
    "tidied": {"byte_fallback": True, "remove_extra_whitespaces": True},
    "no prefix": {
        "byte_fallback": True, "add_dummy_prefix": False, "remove_extra_whitespaces": False,
    },
    "no bytes": {"vocab_size": 500, "remove_extra_whitespaces": False},
    "defined": {
        "byte_fallback": True, "user_defined_symbols": ["<sep>", "▁▁", "Rome", "ab", "bc"],
        "control_symbols": ["<c>"], "remove_extra_whitespaces": False,
    },
    "across spaces": {
        "byte_fallback": True, "split_by_whitespace": False, "remove_extra_whitespaces": False,
    },
}  # fmt: skip


def trained(**options):
    """A serialised model."""
    out = io.BytesIO()
    lines = [*CODE.splitlines(), *[MIXED] * 3]
    options = {
        "model_type": "bpe", "vocab_size": 800, "character_coverage": 0.999,
        "normalization_rule_name": "identity", "num_threads": 1, "minloglevel": 3, **options,
    }  # fmt: skip
    spm.SentencePieceTrainer.train(sentence_iterator=iter(lines), model_writer=out, **options)
    return out.getvalue()


def loaded(data):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tokenizer.model"
        path.write_bytes(data)
        return load_sentencepiece(path)


@functools.cache
def pair(name):
    data = trained(**SHAPES[name])
    return loaded(data), spm.SentencePieceProcessor(model_proto=data)


def check(name, text):
    ours, theirs = pair(name)
    ids = theirs.encode(text)
    assert ours.encode(text, "none") == ids
    if theirs.unk_id() not in ids:
        assert ours.decode(ids) == theirs.decode(ids)
    stream = ours.stream()
    assert "".join(map(stream.push, ids)) + stream.close() == ours.decode(ids)


@pytest.mark.parametrize("name", SHAPES)
@settings(max_examples=300)
@given(text=ADVERSARIAL)
def test_equals_sentencepiece(name, text):
    check(name, text)


@pytest.mark.parametrize("name", SHAPES)
def test_real_and_long_text(name):
    for text in (CODE, MIXED, *LONG):
        check(name, text)


def test_text_is_cut_where_no_token_reaches_across():
    assert pair("llama")[0]._borders is not None
    assert border_pattern(["ab", "▁a"], unknown=False).findall("ab▁ab,") == ["ab", "▁ab", ","]
    assert border_pattern(["ab", "a,"], unknown=False).findall("ab,▁ab,\n") == ["ab,", "▁ab,", "\n"]
    assert border_pattern(["ab", "a\n"], unknown=False).findall("a\n▁b") == ["a\n", "▁b"]
    assert border_pattern(["ab", "b▁a"], unknown=False).findall("ab▁a▁b") == ["ab▁a", "▁b"]
    assert border_pattern([chr(300 + i) + "▁" for i in range(200)], unknown=False) is None


@given(st.text("ab▁ ,\n", max_size=40), st.lists(st.text("ab▁,\n", min_size=2, max_size=3)))
def test_cutting_changes_nothing(text, tokens):
    """Any vocabulary, equal scores among them: cut text has the ids of the whole."""
    pieces = [Piece("<unk>", 0, UNKNOWN), *(Piece(each, 0) for each in "ab▁,\n")]
    made = dict.fromkeys(tokens)
    pieces += [Piece(each, -(i // 2)) for i, each in enumerate(made)]
    ours = SentencePieceBPE(pieces)
    whole = SentencePieceBPE(pieces)
    whole._borders = None
    assert ours.encode(text) == whole.encode(text)


def test_special_tokens_and_the_frame(tmp_path):
    ours, theirs = pair("defined")
    assert ours.special_tokens == {
        "<unk>": 0,
        "<s>": 1,
        "</s>": 2,
        "<c>": theirs.piece_to_id("<c>"),
    }
    assert (ours.bos_id, ours.eos_id, ours.begin_ids) == (1, 2, (1,))
    assert ours.encode_prompt("hi") == [1, *theirs.encode("hi")]
    assert ours.encode("a<s>b", "all") == [*theirs.encode("a"), 1, *theirs.encode("b")]
    assert 1 not in ours.encode("a<s>b", "none")
    with pytest.raises(DataError, match="special token '<s>'"):
        ours.encode("a<s>b")
    ours.save(tmp_path)
    again = load_tokenizer(tmp_path)
    assert again.to_dict() == ours.to_dict()
    assert again.encode_prompt(CODE) == ours.encode_prompt(CODE)


def test_inside_a_text_the_space_stays():
    ours, theirs = pair("llama")
    ids = theirs.encode("two words")
    assert ours.decode(ids) == "two words"
    assert ours.decode([1, *ids]) == "<s> two words"
    stream = ours.stream(inside=True)
    assert "".join(map(stream.push, ids)) == " two words"
    smile = theirs.encode("🦉")
    stream = ours.stream()
    assert [stream.push(token) for token in smile] == [""] * (len(smile) - 1) + ["🦉"]
    assert stream.push(smile[1]) + stream.close() == "\ufffd"


def test_a_folder_with_its_configuration(tmp_path):
    (tmp_path / "tokenizer.model").write_bytes(trained(**SHAPES["llama"]))
    (tmp_path / "tokenizer_config.json").write_text(
        '{"add_bos_token": false, "chat_template": "t", "bos_token": "<s>"}'
    )
    ours = load_tokenizer(tmp_path)
    assert isinstance(ours, SentencePieceBPE)
    assert (ours.begin_ids, ours.chat_template) == ((), "t")


def test_what_is_not_known_is_named(tmp_path):
    for data, message in [
        (trained(model_type="unigram", vocab_size=600), "a unigram model; only BPE"),
        (trained(normalization_rule_name="nmt_nfkc"), "normalises text by a table"),
        (trained(treat_whitespace_as_suffix=True, vocab_size=600), "spaces after words"),
        (b"", "no pieces"),
        (b"hello world", "byte|no sentence-piece"),
    ]:
        with pytest.raises(DataError, match=message):
            loaded(data)
    with pytest.raises(DataError, match="outside the 1 pieces"):
        SentencePieceBPE([Piece("a")], bos_id=7)
    with pytest.raises(DataError, match="has type 9"):
        SentencePieceBPE([Piece("a", 0, 9)])
    with pytest.raises(DataError, match="no piece for 'b'"):
        SentencePieceBPE([Piece("a"), Piece("▁")]).encode("b")


@functools.cache
def small_model():
    return trained(vocab_size=400, byte_fallback=True)


@settings(max_examples=200)
@given(st.data())
def test_damaged_models_are_refused_or_read(data):
    """A cut or changed file never gives another error than ours, or a huge allocation."""
    model = bytearray(small_model())
    place = data.draw(st.integers(0, len(model) - 1))
    if data.draw(st.booleans()):
        model = model[:place]
    else:
        model[place] = data.draw(st.integers(0, 255))
    try:
        tokenizer = loaded(bytes(model))
    except DataError:
        return
    with contextlib.suppress(DataError):  # a character may have lost its piece
        tokenizer.encode("some words 🙂", "none")


def test_a_length_that_lies():
    data = bytes([0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0x07]) + b"abc"
    with pytest.raises(DataError, match="byte 0: a field of 2147483647 bytes, but only 3 follow"):
        loaded(data)
    with pytest.raises(DataError, match="a number that does not end"):
        loaded(b"\x80" * 20)
    with pytest.raises(DataError, match="wire type 7"):
        loaded(b"\x0f")


def test_scores_and_types_from_the_wire():
    def piece(text, score, type_):
        body = b"\x0a" + bytes([len(text)]) + text + b"\x15" + struct.pack("<f", score)
        body += bytes([0x18, type_])
        return b"\x0a" + bytes([len(body)]) + body

    data = piece(b"<unk>", 0, UNKNOWN) + piece(b"<s>", 0, CONTROL) + piece(b"<0x41>", 0, BYTE)
    data += piece(b"a", -1.5, 1) + b"\x12\x02\x18\x02"  # trainer: a BPE model
    ours = loaded(data)
    assert ours.pieces[3] == ("a", -1.5, 1)
    assert ours.token_bytes(2) == b"A"
    assert ours.bos_id == 1
