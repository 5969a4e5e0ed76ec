"""Ours written as Hugging Face files: `tokenizers` and transformers read them with equal ids."""

import functools
import json

import pytest
from hypothesis import given, settings

from descent.data import DataError
from descent.data.tokenizers import (
    CODE_SPLIT_PATTERN,
    GPT2_SPLIT_PATTERN,
    GPT4_SPLIT_PATTERN,
    ByteBPE,
    CharTokenizer,
    load_tokenizer,
)
from descent.data.tokenizers.hub_export import hub_spec, save_hub_folder
from tests.data.tokenizers.test_sentencepiece import pair
from tests.data.tokenizers.texts import ADVERSARIAL, CODE, LONG, MIXED

hf = pytest.importorskip("tokenizers")
pytestmark = pytest.mark.oracle
PATTERNS = [CODE_SPLIT_PATTERN, GPT2_SPLIT_PATTERN, GPT4_SPLIT_PATTERN, None]


@functools.cache
def exported(name):
    if name in ("llama", "no prefix", "across spaces", "no bytes"):
        ours = pair(name)[0]
    elif name == "characters":
        ours = CharTokenizer.from_text(CODE + MIXED, unk="<unk>", special=["<|endoftext|>"])
    else:
        ours = ByteBPE.train(CODE + MIXED, 500, pattern=name)
    return ours, hf.Tokenizer.from_str(json.dumps(hub_spec(ours)))


KINDS = [*PATTERNS, "llama", "no prefix", "across spaces", "no bytes", "characters"]


def check(name, text):
    ours, theirs = exported(name)
    ids = ours.encode(text, "all")
    theirs.encode_special_tokens = False
    assert theirs.encode(text, add_special_tokens=False).ids == ids
    theirs.encode_special_tokens = True
    assert theirs.encode(text).ids == ours.encode_prompt(text)
    decoded = theirs.decode(ids, skip_special_tokens=False)
    assert decoded == ours.decode(ids)


@pytest.mark.parametrize("name", KINDS)
@settings(max_examples=150)
@given(text=ADVERSARIAL)
def test_tokenizers_gives_equal_ids(name, text):
    check(name, text)


@pytest.mark.parametrize("name", KINDS)
def test_real_and_long_text(name):
    for text in (CODE[:5000], MIXED, *LONG):
        check(name, text)


@pytest.mark.parametrize("name", [CODE_SPLIT_PATTERN, "llama", "characters"])
def test_we_read_what_we_write(tmp_path, name):
    ours, _ = exported(name)
    save_hub_folder(ours, tmp_path)
    again = load_tokenizer(tmp_path)
    text = CODE + "<|endoftext|>" + MIXED
    assert again.encode(text, "all") == ours.encode(text, "all")
    assert again.begin_ids == ours.begin_ids
    assert again.decode(ours.encode(MIXED)) == MIXED
    assert again.special_tokens == ours.special_tokens


def test_transformers_reads_the_folder(tmp_path):
    transformers = pytest.importorskip("transformers")
    ours, _ = exported(GPT2_SPLIT_PATTERN)
    ours.chat_template = "{{ messages[0].content }}"
    paths = save_hub_folder(ours, tmp_path)
    assert all(path.is_file() for path in paths)
    assert {path.name for path in paths} >= {"vocab.json", "merges.txt", "tokenizer_config.json"}
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert theirs(CODE).input_ids == ours.encode(CODE)
    assert theirs.eos_token_id == ours.special_tokens["<|endoftext|>"]
    messages = [{"role": "user", "content": "hi"}]
    assert theirs.apply_chat_template(messages, tokenize=False) == "hi"
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        (tmp_path / name).unlink()
    assert load_tokenizer(tmp_path).encode(CODE) == ours.encode(CODE)  # vocab.json + merges.txt


def test_what_cannot_be_written():
    with pytest.raises(DataError, match="user-defined pieces"):
        hub_spec(pair("defined")[0])
    with pytest.raises(DataError, match="remove_extra_whitespaces"):
        hub_spec(pair("tidied")[0])
