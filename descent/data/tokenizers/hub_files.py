"""What stands beside a Hugging Face tokenizer: tokenizer_config.json, special_tokens_map.json,
chat_template.jinja; and the older pair vocab.json + merges.txt as one tokenizer.json.
"""

from pathlib import Path
from typing import Any

from descent.data.errors import DataError
from descent.data.tokenizers.files import read_tokenizer_file, read_tokenizer_json
from descent.data.tokenizers.framing import token_name

__all__ = ["byte_level_spec", "hub_config", "pair_spec"]


def hub_config(folder: Path) -> dict[str, Any]:
    """The settings of a folder's tokenizer, {} where there are none.

    Names of tokens as plain text; `chat_template` is the default one as one string, and
    `chat_templates` all of them by name where there are several.
    """
    config: dict[str, Any] = {}
    for name in ("special_tokens_map.json", "tokenizer_config.json"):
        path = folder / name
        if path.is_file():
            value = read_tokenizer_json(path)
            if not isinstance(value, dict):
                raise DataError(f"{path} must be a JSON object")
            config |= value
    for name in ("bos_token", "eos_token", "unk_token", "pad_token"):
        config[name] = token_name(config.get(name))
    template = config.get("chat_template")
    if isinstance(template, list):
        named = {each.get("name"): each.get("template") for each in template}
        config["chat_templates"] = named
        config["chat_template"] = named.get("default")
    separate = folder / "chat_template.jinja"
    if separate.is_file():
        config["chat_template"] = _text(separate)
    return {name: value for name, value in config.items() if value is not None}


def pair_spec(folder: Path) -> dict:
    """vocab.json and merges.txt as the tokenizer.json they stand for: byte-level, GPT-2's cut."""
    vocab = read_tokenizer_json(folder / "vocab.json")
    if not isinstance(vocab, dict):
        raise DataError(f"{folder / 'vocab.json'} must map tokens to ids")
    lines = _text(folder / "merges.txt").split("\n")
    merges = [line for line in lines if line and not line.startswith("#version")]
    made = {line.replace(" ", "", 1) for line in merges}
    config = hub_config(folder)
    names = {config.get(name) for name in ("bos_token", "eos_token", "unk_token", "pad_token")}
    specials = {name: vocab[name] for name in names if name in vocab}
    # GPT-2's own end token is an entry of vocab.json that no merge makes.
    specials |= {n: i for n, i in vocab.items() if n.startswith("<|") and n not in made}
    listed = config.get("added_tokens_decoder", {})
    added = [{**value, "id": int(token)} for token, value in listed.items()]
    added += [
        {"id": token, "content": name, "special": True, "normalized": False}
        for name, token in specials.items()
        if str(token) not in listed
    ]
    return byte_level_spec(vocab, merges, sorted(added, key=lambda each: each["id"]))


def byte_level_spec(
    vocab: dict[str, int],
    merges: list,
    added_tokens: list[dict],
    *,
    pattern: str | None = None,
    add_prefix_space: bool = False,
    ignore_merges: bool = False,
) -> dict:
    """The tokenizer.json of a byte-level BPE; `pattern` replaces GPT-2's cut."""
    byte_level = {
        "type": "ByteLevel", "add_prefix_space": add_prefix_space, "trim_offsets": True,
        "use_regex": pattern is None,
    }  # fmt: skip
    split: dict = byte_level
    if pattern is not None:
        cut = {
            "type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False,
        }  # fmt: skip
        split = {"type": "Sequence", "pretokenizers": [cut, byte_level]}
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [flags | {"special": False} | each for each in added_tokens],
        "normalizer": None,
        "pre_tokenizer": split,
        "post_processor": byte_level | {"trim_offsets": False, "use_regex": True},
        "decoder": byte_level | {"add_prefix_space": True, "use_regex": True},
        "model": {
            "type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
            "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
            "ignore_merges": ignore_merges, "vocab": vocab, "merges": merges,
        },
    }  # fmt: skip


def _text(path: Path) -> str:
    try:
        return read_tokenizer_file(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: byte {error.start} is not UTF-8") from None
