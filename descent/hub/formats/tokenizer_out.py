"""Our tokenizers as a Hugging Face tokenizer.json and its settings.

Byte-level BPE: tokens in the printable alphabet, merges as they are. Sentence pieces: a BPE with
byte fallback whose merges are all ways to make a piece of two others, best piece first (as
Hugging Face itself converts Llama's tokenizer.model).
"""

from __future__ import annotations

from typing import Any

from descent.data.tokenizers import ByteBPE
from descent.data.tokenizers.byte_alphabet import to_alphabet
from descent.data.tokenizers.hub_files import byte_level_spec
from descent.data.tokenizers.pipeline import PipelineTokenizer
from descent.data.tokenizers.sentencepiece import (
    CONTROL,
    NORMAL,
    UNKNOWN,
    USER_DEFINED,
    SentencePieceBPE,
)  # fmt: skip

__all__ = ["hub_tokenizer"]


def hub_tokenizer(
    tokenizer: Any, about: dict[str, Any]
) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    """tokenizer.json and tokenizer_config.json; None for a kind that has no such form."""
    settings: dict[str, Any] = {"tokenizer_class": "PreTrainedTokenizerFast",
                                "model_max_length": about.get("context")}  # fmt: skip
    if about.get("chat_template"):
        settings["chat_template"] = about["chat_template"]
    if isinstance(tokenizer, PipelineTokenizer):
        return tokenizer.spec, settings | tokenizer.config
    names = {token: name for name, token in tokenizer.special_tokens.items()}
    ends = about.get("eos_ids") or [tokenizer.special_tokens.get("<|endoftext|>")]
    for key, token in (("bos_token", about.get("bos_id")), ("eos_token", ends[0])):
        if token in names:
            settings[key] = names[token]
    if isinstance(tokenizer, ByteBPE):
        return _byte_level(tokenizer), settings
    if isinstance(tokenizer, SentencePieceBPE):
        return _sentencepiece(tokenizer), settings
    return None, settings


def _byte_level(tokenizer: ByteBPE) -> dict[str, Any]:
    text = {token: to_alphabet(data) for token, data in tokenizer.vocab.items()}
    merges = [f"{text[a]} {text[b]}" for a, b in tokenizer.merges]
    vocab = {word: token for token, word in text.items()}
    added = [
        {"id": token, "content": name, "special": True}
        for name, token in sorted(tokenizer.special_tokens.items(), key=lambda item: item[1])
    ]
    return byte_level_spec(vocab, merges, added, pattern=tokenizer.pattern)


def _sentencepiece(tokenizer: SentencePieceBPE) -> dict[str, Any]:
    pieces = tokenizer.pieces
    vocab: dict[str, int] = {}
    for token, piece in enumerate(pieces):
        vocab.setdefault(piece.text, token)
    prefix = [{"type": "Prepend", "prepend": "▁"}] if tokenizer.add_dummy_prefix else []
    strip = {"type": "Strip", "content": " ", "start": 1, "stop": 0}
    decoders = [
        {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
        {"type": "ByteFallback"},
        {"type": "Fuse"},
        *([strip] if prefix else []),
    ]
    spaces = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    return {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [
            {"id": token, "content": p.text, "special": p.type != USER_DEFINED, **flags}
            for token, p in enumerate(pieces)
            if p.type in (CONTROL, UNKNOWN, USER_DEFINED)
        ],
        "normalizer": {"type": "Sequence", "normalizers": [*prefix, spaces]},
        "pre_tokenizer": None,
        "post_processor": _begin(tokenizer),
        "decoder": {"type": "Sequence", "decoders": decoders},
        "model": {
            "type": "BPE", "dropout": None, "continuing_subword_prefix": None,
            "end_of_word_suffix": None, "fuse_unk": True,
            "unk_token": None if tokenizer.unk_id is None else pieces[tokenizer.unk_id].text,
            "byte_fallback": tokenizer.byte_fallback, "ignore_merges": False,
            "vocab": vocab, "merges": _merges(tokenizer, vocab),
        },
    }  # fmt: skip


def _merges(tokenizer: SentencePieceBPE, vocab: dict[str, int]) -> list[list[str]]:
    found = []
    for token, (text, score, kind) in enumerate(tokenizer.pieces):
        if kind != NORMAL:
            continue
        pairs = [(text[:i], text[i:]) for i in range(1, len(text))]
        pairs = [(a, b) for a, b in pairs if a in vocab and b in vocab]
        pairs.sort(key=lambda pair: (vocab[pair[0]], vocab[pair[1]]))
        found += [(-score, token, list(pair)) for pair in pairs]
    return [pair for *_, pair in sorted(found, key=lambda entry: entry[:2])]


def _begin(tokenizer: SentencePieceBPE) -> dict[str, Any] | None:
    """The begin token before every text, where the model expects one."""
    if not tokenizer.begin_ids:
        return None
    first = tokenizer.begin_ids[0]
    name = tokenizer.pieces[first].text
    token = {"SpecialToken": {"id": name, "type_id": 0}}
    a, b = ({"Sequence": {"id": which, "type_id": i}} for i, which in enumerate("AB"))
    return {
        "type": "TemplateProcessing",
        "single": [token, a],
        "pair": [token, a, token, b],
        "special_tokens": {name: {"id": name, "ids": [first], "tokens": [name]}},
    }
