"""A tokenizer from whatever holds one: our own file, or any that the field's models come with.

    folder  tokenizer.json (ours or Hugging Face's), else tokenizer.model, vocab.json + merges.txt,
            encoder.json + vocab.bpe, tokenizer.bin; with tokenizer_config.json beside it
    file    .json, .model (sentence-piece, or a rank list), .tiktoken, .bin (llama2.c's, llm.c's)

Left out: .tiktoken files other than GPT-2's, GPT-4's and Llama 3's.
"""

import os
from pathlib import Path

from descent.data.errors import DataError
from descent.data.tokenizers.base import FORMAT, Tokenizer
from descent.data.tokenizers.binary_files import LLMC_MAGIC, load_llama2c, load_llmc
from descent.data.tokenizers.bpe import ByteBPE
from descent.data.tokenizers.chars import CharTokenizer
from descent.data.tokenizers.files import read_tokenizer_file, read_tokenizer_json
from descent.data.tokenizers.gpt import load_gpt2
from descent.data.tokenizers.hub_files import hub_config, pair_spec
from descent.data.tokenizers.pipeline import PipelineTokenizer
from descent.data.tokenizers.rank_files import load_known_ranks
from descent.data.tokenizers.sentencepiece import SentencePieceBPE
from descent.data.tokenizers.sentencepiece_file import load_sentencepiece

__all__ = ["load_tokenizer"]

_KINDS: dict[str, type[Tokenizer]] = {
    each.kind: each for each in (ByteBPE, CharTokenizer, PipelineTokenizer, SentencePieceBPE)
}


def load_tokenizer(path: str | os.PathLike) -> Tokenizer:
    """The tokenizer in `path`, a file or a folder; raises DataError that says what is wrong."""
    path = Path(path)
    if path.is_dir():
        return _from_folder(path)
    if path.suffix in (".model", ".tiktoken"):
        return _from_model(path)
    if path.suffix == ".bin":
        is_llmc = read_tokenizer_file(path)[:4] == LLMC_MAGIC.to_bytes(4, "little")
        return load_llmc(path) if is_llmc else load_llama2c(path)
    return _from_json(path)


def _from_folder(folder: Path) -> Tokenizer:
    def has(*names: str) -> bool:
        return all((folder / name).exists() for name in names)

    if has("tokenizer.json"):
        return _from_json(folder / "tokenizer.json")
    if has("tokenizer.model"):
        return _from_model(folder / "tokenizer.model")
    if has("vocab.json", "merges.txt"):
        return _named(
            folder / "vocab.json",
            lambda: PipelineTokenizer(pair_spec(folder), hub_config(folder)),
        )
    if has("encoder.json", "vocab.bpe"):
        return load_gpt2(folder / "encoder.json", folder / "vocab.bpe")
    if has("tokenizer.bin"):
        return load_tokenizer(folder / "tokenizer.bin")
    return _from_json(folder / "tokenizer.json")  # says that there is none


def _from_model(path: Path) -> Tokenizer:
    head = read_tokenizer_file(path)[:32]
    if path.suffix == ".tiktoken" or b" 0\n" in head:  # Llama 3 calls its rank list .model
        return load_known_ranks(path)
    return load_sentencepiece(path, hub_config(path.parent))


def _from_json(path: Path) -> Tokenizer:
    value = read_tokenizer_json(path)
    if isinstance(value, dict) and isinstance(value.get("model"), dict):
        return _named(path, lambda: PipelineTokenizer(value, hub_config(path.parent)))
    if not isinstance(value, dict) or value.get("version") != FORMAT:
        found = value.get("version") if isinstance(value, dict) else None
        raise DataError(
            f'{path} is neither a Hugging Face tokenizer (it has no "model") nor one of ours: '
            f'"version" is {found!r}, not "{FORMAT}"'
        )
    kind = _KINDS.get(str(value.get("kind")))
    if kind is None:
        raise DataError(f'{path}: "kind" is {value.get("kind")!r}; known are {sorted(_KINDS)}')
    if not isinstance(value.get("special_tokens"), dict):
        raise DataError(f'{path}: "special_tokens" must map names to ids')
    return _named(path, lambda: kind.from_dict(value))


def _named(path: Path, make) -> Tokenizer:
    """`make()`, its errors saying which file they are about."""
    try:
        return make()
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
