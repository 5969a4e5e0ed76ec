"""Our tokenizers as Hugging Face files: tokenizer.json, its configuration, vocab.json, merges.txt.

A byte-level vocabulary keeps its ids: tokens are written in GPT-2's printable bytes. A sentence-
piece one becomes BPE with byte fallback, its merges all pairs that make a piece, by the piece's
score, as in Hugging Face's own conversion. Characters become BPE without merges.
"""

import json
import os
from pathlib import Path
from typing import Any

from descent.data.errors import DataError
from descent.data.files import write_atomically
from descent.data.tokenizers.base import Tokenizer
from descent.data.tokenizers.bpe import END_OF_TEXT, ByteBPE
from descent.data.tokenizers.byte_alphabet import to_alphabet
from descent.data.tokenizers.chars import CharTokenizer
from descent.data.tokenizers.hub_files import byte_level_spec
from descent.data.tokenizers.pipeline import PipelineTokenizer
from descent.data.tokenizers.sentencepiece import NORMAL, USER_DEFINED, SentencePieceBPE
from descent.data.tokenizers.splits import GPT2_SPLIT_PATTERN

__all__ = ["hub_spec", "save_hub_folder"]


def hub_spec(tokenizer: Tokenizer) -> dict:
    """The tokenizer.json with which the `tokenizers` library gives the same ids."""
    if isinstance(tokenizer, PipelineTokenizer):
        return tokenizer.spec
    if isinstance(tokenizer, ByteBPE):
        return _byte_level(tokenizer)
    if isinstance(tokenizer, SentencePieceBPE):
        return _sentence_piece(tokenizer)
    if isinstance(tokenizer, CharTokenizer):
        return _characters(tokenizer)
    raise DataError(f"a {tokenizer.kind!r} tokenizer cannot be written as a tokenizer.json")


def save_hub_folder(tokenizer: Tokenizer, folder: str | os.PathLike) -> list[Path]:
    """Write the files a Hugging Face model folder has for its tokenizer; returns their paths."""
    folder = Path(folder)
    spec, names = hub_spec(tokenizer), {i: n for n, i in tokenizer.added_tokens.items()}
    config: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": 1 << 30,
        "clean_up_tokenization_spaces": False,
    }
    end = (
        tokenizer.eos_id
        if tokenizer.eos_id is not None
        else tokenizer.added_tokens.get(END_OF_TEXT)
    )
    for name, token in (("bos_token", tokenizer.bos_id), ("eos_token", end)):
        if token is not None and token in names:
            config[name] = names[token]
    if tokenizer.chat_template is not None:
        config["chat_template"] = tokenizer.chat_template
    files = {"tokenizer.json": spec, "tokenizer_config.json": config}
    named = {name: config[name] for name in ("bos_token", "eos_token") if name in config}
    files["special_tokens_map.json"] = named
    if isinstance(tokenizer, ByteBPE):
        files["vocab.json"] = spec["model"]["vocab"]
        lines = ["#version: 0.2", *(" ".join(pair) for pair in spec["model"]["merges"])]
        write_atomically(folder / "merges.txt", "\n".join(lines) + "\n")
    for name, value in files.items():
        write_atomically(folder / name, json.dumps(value, ensure_ascii=False, indent=2) + "\n")
    return [folder / name for name in (*files, *(["merges.txt"] if "vocab.json" in files else []))]


def _added(tokenizer: Tokenizer) -> list[dict]:
    by_id = sorted(tokenizer.special_tokens.items(), key=lambda item: item[1])
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    return [{"id": i, "content": name, "special": True, **flags} for name, i in by_id]


def _with_specials(vocab: dict[str, int], tokenizer: Tokenizer) -> dict[str, int]:
    """In the vocabulary, too: `tokenizers` numbers added tokens itself where they are not."""
    for name, token in tokenizer.special_tokens.items():
        if name in vocab:
            raise DataError(f"special token {name!r} is written as token {vocab[name]} is")
        vocab = {**vocab, name: token}
    return vocab


def _byte_level(tokenizer: ByteBPE) -> dict:
    written = {token: to_alphabet(text) for token, text in tokenizer.vocab.items()}
    merges = [[written[a], written[b]] for a, b in tokenizer.merges]
    vocab = {name: token for token, name in written.items()}
    if len(vocab) < len(written):
        raise DataError("two tokens have the same bytes; a tokenizer.json cannot hold both")
    vocab = _with_specials(vocab, tokenizer)
    is_gpt2 = tokenizer.pattern == GPT2_SPLIT_PATTERN
    spec = byte_level_spec(
        vocab, merges, _added(tokenizer), pattern=None if is_gpt2 else tokenizer.pattern or ".+"
    )
    if tokenizer.pattern is None:  # uncut
        spec["pre_tokenizer"] = spec["pre_tokenizer"]["pretokenizers"][1]
    return spec


def _sentence_piece(tokenizer: SentencePieceBPE) -> dict:
    if tokenizer.remove_extra_whitespaces:
        raise DataError("remove_extra_whitespaces cannot be written as a tokenizer.json")
    pieces = tokenizer.pieces
    ids = {p.text: i for i, p in reversed(list(enumerate(pieces))) if p.type == NORMAL and p.text}
    found = []
    for text, token in ids.items():
        for cut in range(1, len(text)):
            a, b = ids.get(text[:cut]), ids.get(text[cut:])
            if a is not None and b is not None:
                found.append((-pieces[token].score, a, b))
    merges = [[pieces[a].text, pieces[b].text] for _, a, b in sorted(found)]
    prefix = [{"type": "Prepend", "prepend": "▁"}] if tokenizer.add_dummy_prefix else []
    replace = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
    back = {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}
    strip = {"type": "Strip", "content": " ", "start": 1, "stop": 0}
    decoders = [back, {"type": "ByteFallback"}, {"type": "Fuse"}]
    decoders += [strip] if tokenizer.add_dummy_prefix else []
    unknown = None if tokenizer.unk_id is None else pieces[tokenizer.unk_id].text
    user = [
        {
            "id": i, "content": p.text, "special": False, "normalized": True,
            "single_word": False, "lstrip": False, "rstrip": False,
        }
        for i, p in enumerate(pieces) if p.type == USER_DEFINED
    ]  # fmt: skip
    if user:
        raise DataError(
            f"user-defined pieces ({user[0]['content']!r}) cannot be written as a tokenizer.json "
            "with the same ids"
        )
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": _added(tokenizer),
        "normalizer": {"type": "Sequence", "normalizers": [*prefix, replace]},
        "pre_tokenizer": None,
        "post_processor": _begin(tokenizer),
        "decoder": {"type": "Sequence", "decoders": decoders},
        "model": {
            "type": "BPE", "dropout": None, "unk_token": unknown,
            "continuing_subword_prefix": None, "end_of_word_suffix": None, "fuse_unk": True,
            "byte_fallback": tokenizer.byte_fallback, "ignore_merges": False,
            "vocab": {piece.text: token for token, piece in reversed(list(enumerate(pieces)))},
            "merges": merges,
        },
    }  # fmt: skip


def _begin(tokenizer: Tokenizer) -> dict | None:
    """The post-processor that puts the begin token before a text."""
    if not tokenizer.begin_ids:
        return None
    (token,) = tokenizer.begin_ids
    name = next(name for name, id in tokenizer.special_tokens.items() if id == token)
    special = {"SpecialToken": {"id": name, "type_id": 0}}
    text, second = ({"Sequence": {"id": each, "type_id": n}} for n, each in enumerate("AB"))
    return {
        "type": "TemplateProcessing",
        "single": [special, text],
        "pair": [special, text, special, second],
        "special_tokens": {name: {"id": name, "ids": [token], "tokens": [name]}},
    }


def _characters(tokenizer: CharTokenizer) -> dict:
    spec = byte_level_spec(_with_specials(tokenizer.ids, tokenizer), [], _added(tokenizer))
    spec["model"]["unk_token"] = tokenizer.unk
    cut = {
        "type": "Split",
        "pattern": {"Regex": r"[\s\S]"},
        "behavior": "Isolated",
        "invert": False,
    }
    spec["pre_tokenizer"] = cut
    spec["post_processor"] = None
    spec["decoder"] = {"type": "Fuse"}
    return spec
