"""Rank lists by their file alone, and a list as a tokenizer.json (Llama 3's way)."""

import base64
import functools

import pytest
from hypothesis import given, settings

from descent.data import DataError
from descent.data.tokenizers import GPT4_SPLIT_PATTERN, ByteBPE, PipelineTokenizer, load_tokenizer
from descent.data.tokenizers.gpt import GPT4_SPECIAL_TOKENS, load_ranks
from descent.data.tokenizers.rank_files import ranks_spec
from tests.data.known import known
from tests.data.tokenizers.texts import ADVERSARIAL, CODE, LONG


@functools.cache
def gpt4():
    """cl100k read both ways."""
    path = known("cl100k_base.tiktoken")
    spec = ranks_spec(load_ranks(path), GPT4_SPLIT_PATTERN, GPT4_SPECIAL_TOKENS)
    return load_tokenizer(path), PipelineTokenizer(spec)


@settings(max_examples=200)
@given(text=ADVERSARIAL)
def test_by_merges_and_by_ranks_is_the_same(text):
    by_merges, by_ranks = gpt4()
    assert by_ranks.encode(text, "all") == by_merges.encode(text, "all")
    assert by_ranks.decode(by_merges.encode(text, "all")) == text


def test_real_text_and_specials():
    by_merges, by_ranks = gpt4()
    assert isinstance(by_merges, ByteBPE)
    for text in (CODE, *LONG):
        assert by_ranks.encode(text) == by_merges.encode(text)
    assert by_ranks.special_tokens == by_merges.special_tokens == GPT4_SPECIAL_TOKENS


@pytest.mark.slow
def test_llama3s_list_is_known_by_its_length(tmp_path):
    """Its real file is not here: cl100k's ranks, made 128,000 by tokens of their own."""
    ranks = list(load_ranks(known("cl100k_base.tiktoken")))
    more = (b"\xf5" + number.to_bytes(3, "big") for number in range(128_000 - len(ranks)))
    lines = [f"{base64.b64encode(t).decode()} {i}" for i, t in enumerate([*ranks, *more])]
    (tmp_path / "tokenizer.model").write_text("\n".join(lines) + "\n")
    ours = load_tokenizer(tmp_path)
    assert (ours.bos_id, ours.eos_id, ours.begin_ids) == (128_000, 128_001, (128_000,))
    assert ours.vocab_size == 128_256
    assert ours.special_tokens["<|eot_id|>"] == 128_009
    assert ours.special_tokens["<|reserved_special_token_247|>"] == 128_255
    assert ours.decode(ours.encode(CODE)) == CODE


def test_lists_of_another_length(tmp_path):
    lines = (f"{base64.b64encode(bytes([byte])).decode()} {byte}" for byte in range(256))
    path = tmp_path / "other.tiktoken"
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(DataError, match="no published tokenizer known here has 256 ranks"):
        load_tokenizer(path)
