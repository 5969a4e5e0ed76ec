"""The tokenizer a GGUF file carries in its settings, and ours as such settings.

    tokenizer.ggml.model   "llama": sentence pieces with scores and types
                           "gpt2": byte-level BPE, tokens in the printable alphabet, and merges
    tokenizer.ggml.pre     the name of the cut into words, for "gpt2"

Reference: github.com/ggml-org/ggml, docs/gguf.md, "Tokenizer". An unknown kind leaves the bundle
without a tokenizer, and says so in its notes.
"""

from __future__ import annotations

from typing import Any

from descent.data.errors import DataError

__all__ = ["about_tokens", "token_settings"]

NORMAL, UNKNOWN, CONTROL, USER_DEFINED = 1, 2, 3, 4

# how each `pre` cuts text; the patterns are those of the models' own tokenizer.json
_DIGITS_3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_DIGITS_1 = _DIGITS_3.replace("{1,3}", "")
PATTERNS: dict[str, str | None] = {
    "gpt-2": None, "default": None, "llama-bpe": _DIGITS_3, "llama3": _DIGITS_3,
    "qwen2": _DIGITS_1, "smollm": "digits",
}  # fmt: skip


def about_tokens(settings: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """What makes the tokenizer (None without one), and what `Bundle.about` says of it."""
    about: dict[str, Any] = {
        "bos_id": _id(settings, "bos"),
        "eos_ids": [i for i in (_id(settings, "eos"), _id(settings, "eot")) if i is not None],
        "chat_template": settings.get("tokenizer.chat_template"),
    }
    if "tokenizer.ggml.model" not in settings:
        return None, about
    return lambda: _made(settings, about), about


def _made(settings: dict[str, Any], about: dict[str, Any]) -> Any:
    model = settings["tokenizer.ggml.model"]
    try:
        if model == "llama":
            return _pieces(settings, about)
        if model == "gpt2":
            return _byte_level(settings, about)
        raise DataError(f"tokenizers of kind {str(model)[:40]!r} are not known")
    except (DataError, ValueError, TypeError, KeyError, IndexError) as error:
        about["notes"] = [f"its tokenizer can't be read: {error}"]
        return None


def _id(settings: dict[str, Any], name: str) -> int | None:
    value = settings.get(f"tokenizer.ggml.{name}_token_id")
    return value if type(value) is int else None


def _pieces(settings: dict[str, Any], about: dict[str, Any]) -> Any:
    from descent.data.tokenizers.sentencepiece import Piece, SentencePieceBPE

    tokens = settings["tokenizer.ggml.tokens"]
    scores = settings.get("tokenizer.ggml.scores", [0.0] * len(tokens))
    types = settings.get("tokenizer.ggml.token_type", [NORMAL] * len(tokens))
    return SentencePieceBPE(
        [Piece(t, float(s), int(k)) for t, s, k in zip(tokens, scores, types, strict=True)],
        add_dummy_prefix=bool(settings.get("tokenizer.ggml.add_space_prefix", True)),
        bos_id=about["bos_id"],
        eos_id=_id(settings, "eos"),
        add_bos=bool(settings.get("tokenizer.ggml.add_bos_token", True)),
        chat_template=about["chat_template"],
    )


def _byte_level(settings: dict[str, Any], about: dict[str, Any]) -> Any:
    from descent.data.tokenizers.hub_files import byte_level_spec
    from descent.data.tokenizers.pipeline import PipelineTokenizer

    tokens, merges = settings["tokenizer.ggml.tokens"], settings["tokenizer.ggml.merges"]
    types = settings.get("tokenizer.ggml.token_type", [NORMAL] * len(tokens))
    pre = settings.get("tokenizer.ggml.pre", "default")
    pattern = settings.get("descent.tokenizer.pattern") or PATTERNS.get(pre, "")
    if pattern == "":
        raise DataError(f"the cut {str(pre)[:40]!r} is not known; {', '.join(PATTERNS)} are")
    ids = dict(zip(tokens, range(len(tokens))))
    added = [
        {"id": i, "content": token, "special": int(kind) == CONTROL, "normalized": False}
        for i, (token, kind) in enumerate(zip(tokens, types, strict=True))
        if int(kind) in (CONTROL, USER_DEFINED, UNKNOWN)
    ]
    for each in added:
        ids.pop(each["content"], None)
    digits = pattern == "digits"
    spec = byte_level_spec(
        ids, merges, added, pattern=None if digits else pattern, ignore_merges=pre.startswith("lla")
    )
    if pre == "qwen2":
        spec["normalizer"] = {"type": "NFC"}
    if digits:  # SmolLM: every digit by itself, then GPT-2's cut
        first = {"type": "Digits", "individual_digits": True}
        spec["pre_tokenizer"] = {
            "type": "Sequence",
            "pretokenizers": [first, spec["pre_tokenizer"]],
        }
    names = {f"{n}_token": tokens[i] for n in ("bos", "eos") if (i := _id(settings, n)) is not None}
    add_bos = bool(settings.get("tokenizer.ggml.add_bos_token", False))
    return PipelineTokenizer(
        spec, {**names, "add_bos_token": add_bos, "chat_template": about["chat_template"]}
    )


def token_settings(tokenizer: Any, about: dict[str, Any]) -> dict[str, Any]:
    """Settings for a file we write; {} for a tokenizer GGUF has no place for."""
    settings: dict[str, Any] = {}
    if tokenizer is not None:
        if tokenizer.kind == "sentencepiece":
            settings = _piece_settings(tokenizer)
        else:
            settings = _byte_settings(tokenizer)
        if not settings:
            return {}
    ends = about.get("eos_ids") or []
    if about.get("bos_id") is not None:
        settings["tokenizer.ggml.bos_token_id"] = int(about["bos_id"])
    if ends:
        settings["tokenizer.ggml.eos_token_id"] = int(ends[0])
    if len(ends) > 1:
        settings["tokenizer.ggml.eot_token_id"] = int(ends[1])
    if about.get("chat_template"):
        settings["tokenizer.chat_template"] = about["chat_template"]
    return settings


def _piece_settings(tokenizer: Any) -> dict[str, Any]:
    return {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": [p.text for p in tokenizer.pieces],
        "tokenizer.ggml.scores": [float(p.score) for p in tokenizer.pieces],
        "tokenizer.ggml.token_type": [int(p.type) for p in tokenizer.pieces],
        "tokenizer.ggml.add_bos_token": bool(tokenizer.add_bos),
        "tokenizer.ggml.add_space_prefix": bool(tokenizer.add_dummy_prefix),
    }


def _byte_settings(tokenizer: Any) -> dict[str, Any]:
    from descent.data.tokenizers.hub_export import hub_spec

    try:
        spec = hub_spec(tokenizer)
    except DataError:
        return {}
    if spec["model"].get("byte_fallback"):
        return {}
    pre, pattern = _cut(spec.get("pre_tokenizer"))
    if pre is None:
        return {}
    names: dict[int, str] = {i: token for token, i in spec["model"]["vocab"].items()}
    types = dict.fromkeys(names, NORMAL)
    for each in spec.get("added_tokens") or []:
        names[each["id"]] = each["content"]
        types[each["id"]] = CONTROL if each.get("special") else USER_DEFINED
    size = max(names) + 1
    merges = [m if isinstance(m, str) else " ".join(m) for m in spec["model"]["merges"]]
    settings = {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": pre,
        "tokenizer.ggml.tokens": [names.get(i, f"[PAD{i}]") for i in range(size)],
        "tokenizer.ggml.token_type": [types.get(i, 5) for i in range(size)],
        "tokenizer.ggml.merges": merges,
    }
    if pattern is not None and pre == "default":
        settings["descent.tokenizer.pattern"] = pattern
    return settings


def _cut(pre_tokenizer: Any) -> tuple[str | None, str | None]:
    """GGUF's name for a pre-tokenizer and the pattern of one it has no name for."""
    parts = (pre_tokenizer or {}).get("pretokenizers", [pre_tokenizer])
    kinds = [part.get("type") for part in parts if part]
    if kinds == ["ByteLevel"]:
        return "gpt-2", None
    if kinds == ["Digits", "ByteLevel"]:
        return "smollm", None
    if kinds == ["Split", "ByteLevel"]:
        pattern = parts[0].get("pattern", {}).get("Regex")
        for name in ("llama-bpe", "qwen2"):
            if PATTERNS[name] == pattern:
                return name, None
        return "default", pattern
    return None, None
