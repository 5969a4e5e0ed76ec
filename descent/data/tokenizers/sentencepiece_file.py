"""Sentence-piece's `tokenizer.model`: a ModelProto with pieces, trainer and normaliser settings.

    ModelProto { repeated Piece pieces = 1; TrainerSpec trainer = 2; NormalizerSpec normalizer = 3 }
    Piece { string piece = 1; float score = 2; Type type = 3 }

github.com/google/sentencepiece, sentencepiece_model.proto. Unigram, word and character models and
normalisation tables are refused by name.
"""

import os
import struct
from pathlib import Path

from descent.data.errors import DataError
from descent.data.tokenizers.files import read_tokenizer_file
from descent.data.tokenizers.protobuf import fields
from descent.data.tokenizers.sentencepiece import NORMAL, Piece, SentencePieceBPE

__all__ = ["load_sentencepiece"]

_MODEL_TYPES = {1: "unigram", 2: "BPE", 3: "word", 4: "character"}
_BPE = 2
# Fields of TrainerSpec and NormalizerSpec that matter, with their defaults.
_TRAINER = {3: ("model_type", 1), 24: ("whitespace_as_suffix", 0), 41: ("bos", 1), 42: ("eos", 2)}
_NORMALIZER = {
    2: ("table", b""), 3: ("add_dummy_prefix", 1), 4: ("remove_extra_whitespaces", 1),
    5: ("escape_whitespaces", 1),
}  # fmt: skip


def load_sentencepiece(path: str | os.PathLike, config: dict | None = None) -> SentencePieceBPE:
    """The tokenizer in a `tokenizer.model`.

    Args:
        config: the content of a tokenizer_config.json beside it: add_bos_token, chat_template.
    """
    path = Path(path)
    data = memoryview(read_tokenizer_file(path))
    try:
        return _parsed(data, config or {})
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def _parsed(data: memoryview, config: dict) -> SentencePieceBPE:
    pieces: list[Piece] = []
    trainer = {name: default for name, default in _TRAINER.values()}
    normalizer = {name: default for name, default in _NORMALIZER.values()}
    for number, value in fields(data):
        if number > 5 or not isinstance(value, memoryview):
            raise DataError("this is no sentence-piece model: an unknown field at its top level")
        if number == 1:
            pieces.append(_piece(value, len(pieces)))
        elif number == 2:
            _read_settings(value, _TRAINER, trainer)
        elif number == 3:
            _read_settings(value, _NORMALIZER, normalizer)
    if not pieces:
        raise DataError("this is no sentence-piece model: it has no pieces")
    _check(trainer, normalizer)
    template = config.get("chat_template")
    return SentencePieceBPE(
        pieces,
        add_dummy_prefix=bool(normalizer["add_dummy_prefix"]),
        remove_extra_whitespaces=bool(normalizer["remove_extra_whitespaces"]),
        bos_id=_signed(trainer["bos"]),
        eos_id=_signed(trainer["eos"]),
        add_bos=bool(config.get("add_bos_token", True)),
        chat_template=template if isinstance(template, str) else None,
    )


def _piece(data: memoryview, token: int) -> Piece:
    text, score, type_ = "", 0.0, NORMAL
    for number, value in fields(data):
        if number == 1 and isinstance(value, memoryview):
            try:
                text = str(value, "utf-8")
            except UnicodeDecodeError:
                raise DataError(f"piece {token} is not UTF-8") from None
        elif number == 2 and isinstance(value, memoryview) and len(value) == 4:
            (score,) = struct.unpack("<f", value)
        elif number == 3 and isinstance(value, int):
            type_ = value
    return Piece(text, score, type_)


def _read_settings(data: memoryview, names: dict, into: dict) -> None:
    for number, value in fields(data):
        if number in names:
            into[names[number][0]] = value


def _signed(value: int) -> int:
    """A negative int32 is written as the 64-bit two's complement."""
    return value - (1 << 64) if value >> 63 else value


def _check(trainer: dict, normalizer: dict) -> None:
    if trainer["model_type"] != _BPE:
        kind = _MODEL_TYPES.get(trainer["model_type"], trainer["model_type"])
        raise DataError(f"a {kind} model; only BPE models (Llama, Mistral, …) are read here")
    if len(normalizer["table"]):
        raise DataError(
            "it normalises text by a table (nmt_nfkc or another); only models trained with "
            'normalization_rule_name="identity" are read here'
        )
    if trainer["whitespace_as_suffix"] or not normalizer["escape_whitespaces"]:
        raise DataError("spaces after words, or not written as ▁, are not known here")
