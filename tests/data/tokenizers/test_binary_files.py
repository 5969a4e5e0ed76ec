"""llama2.c's and llm.c's tokenizer.bin: written, read, and as the C programs use them."""

import struct

import pytest

from descent.data import DataError
from descent.data.tokenizers import END_OF_TEXT, ByteBPE, load_gpt2, load_tokenizer
from descent.data.tokenizers.binary_files import load_llama2c, load_llmc, save_llama2c, save_llmc
from descent.data.tokenizers.sentencepiece import Piece, SentencePieceBPE
from tests.data.known import known
from tests.data.tokenizers.test_sentencepiece import pair
from tests.data.tokenizers.texts import CODE, LONG, MIXED


def run_c_encode(path, text, vocab_size):
    """run.c's encode(), line for line in Python: best score, leftmost, over and over."""
    data = path.read_bytes()
    vocab, scores, at = [], [], 4
    for _ in range(vocab_size):
        score, size = struct.unpack_from("<fi", data, at)
        vocab.append(data[at + 8 : at + 8 + size])
        scores.append(score)
        at += 8 + size
    ids = {text: token for token, text in reversed(list(enumerate(vocab)))}
    tokens = [1]
    if text:
        tokens.append(ids[b" "])
    for char in text:
        code = char.encode()
        tokens += [ids[code]] if code in ids else [byte + 3 for byte in code]
    while True:
        best, best_id, best_at = -1e10, -1, -1
        for i in range(len(tokens) - 1):
            token = ids.get(vocab[tokens[i]] + vocab[tokens[i + 1]], -1)
            if token != -1 and scores[token] > best:
                best, best_id, best_at = scores[token], token, i
        if best_at == -1:
            return tokens
        tokens[best_at : best_at + 2] = [best_id]


@pytest.mark.oracle
def test_llama2c_there_and_back(tmp_path):
    ours, _ = pair("llama")
    path = save_llama2c(ours, tmp_path / "tokenizer.bin")
    again = load_tokenizer(tmp_path)
    assert isinstance(again, SentencePieceBPE)
    assert again.pieces == ours.pieces
    assert again.begin_ids == (1,)
    for text in (CODE[:600], MIXED[:200], *(each[:99] for each in LONG), "naïve 漢字\x00\t"):
        assert again.encode_prompt(text) == ours.encode_prompt(text)
        if "▁" not in text:  # run.c knows it as a character of three bytes
            assert again.encode_prompt(text) == run_c_encode(path, text, ours.vocab_size)
    assert b"\n<s>\n" in path.read_bytes()
    save_llama2c(again, tmp_path / "again.bin")
    assert (tmp_path / "again.bin").read_bytes() == path.read_bytes()


@pytest.mark.oracle
def test_damaged_llama2c_files(tmp_path):
    ours, _ = pair("llama")
    data = save_llama2c(ours, tmp_path / "t.bin").read_bytes()
    bad = tmp_path / "bad.bin"
    for content, message in [
        (data[:-1], "does not fit the file"),
        (data[:7], "ends inside a token"),
        (data[:300], "byte 296: the file ends inside a token"),
        (data[:8] + b"\xff\xff\xff\x7f" + data[12:], "a token of 2147483647 bytes"),
        (data[:8] + b"\xff\xff\xff\xff" + data[12:], "a token of -1 bytes"),
        (b"", "not the bytes"),
    ]:
        bad.write_bytes(content)
        with pytest.raises(DataError, match=message):
            load_llama2c(bad)
    with pytest.raises(DataError, match="begin token at id 1"):
        save_llama2c(SentencePieceBPE([Piece("a")]), bad)


def test_llmc_holds_gpt2(tmp_path):
    gpt2 = load_gpt2(known("gpt2-encoder.json"), known("gpt2-vocab.bpe"))
    path = save_llmc(gpt2, tmp_path / "gpt2_tokenizer.bin")
    data = path.read_bytes()
    assert struct.unpack_from("<4I", data) == (20240328, 2, 50257, 50256)
    assert data[1024:1028] == b'\x01!\x01"'  # its first tokens are "!" and '"'
    assert data.endswith(b"\x0d<|endoftext|>")
    again = load_tokenizer(path)
    assert isinstance(again, ByteBPE)
    text = CODE + MIXED + "<|endoftext|>"
    assert again.encode(text, "all") == gpt2.encode(text, "all")
    old = (
        struct.pack("<4I", 20240328, 1, 50257, 0) + data[16:]
    )  # version 1 leaves the end token out
    path.write_bytes(old)
    assert load_llmc(path).special_tokens == {END_OF_TEXT: 50256}


def test_llmc_of_our_own_and_damaged(tmp_path):
    ours = ByteBPE.train(CODE, 400)
    path = save_llmc(ours, tmp_path / "t.bin")
    again = load_llmc(path, pattern=ours.pattern)
    assert again.merges == ours.merges
    assert again.encode(CODE) == ours.encode(CODE)
    data = path.read_bytes()
    for content, message in [
        (data[:-1], "ends inside token 399 of 400"),
        (data[:900], "is not llm.c's tokenizer"),
        (data[:4] + struct.pack("<I", 9) + data[8:], "version 9"),
        (data[:8] + b"\xff\xff\xff\xff" + data[12:], "with 4294967295 tokens"),
        (data[:1025] + b"\x01" + data[1026:], "a token repeats"),
    ]:
        path.write_bytes(content)
        with pytest.raises(DataError, match=message):
            load_llmc(path)
    with pytest.raises(DataError, match="needs an end token"):
        save_llmc(ByteBPE(), path)
    long = ByteBPE(
        [(97, 97), *((i, i) for i in range(256, 264))], special_tokens={END_OF_TEXT: 300}
    )
    with pytest.raises(DataError, match=r"has 256 bytes; llm\.c's file holds at most 255"):
        save_llmc(long, path)
