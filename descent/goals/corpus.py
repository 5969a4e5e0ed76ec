"""The data of a text run: read, split, tokenised once, and kept in the run folder.

The token arrays are saved (data.safetensors), so that a resumed run sees the same data even when
the user's files have changed in the meantime.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from descent.data import BatchSampler, Windows, encode_documents, read_text, split_documents
from descent.data import standard_library as read_standard_library
from descent.data.errors import DataError
from descent.data.files import write_atomically
from descent.data.infill import INFILL_TOKENS, encode_for_infilling
from descent.data.installed import installed_packages, read_packages
from descent.data.text import Document
from descent.data.tokenizers.bpe import ByteBPE
from descent.data.tokenizers.chars import CharTokenizer
from descent.data.tokenizers.loading import load_tokenizer
from descent.goals.events import Said
from descent.goals.folder import RunError, RunFolder

__all__ = ["Corpus", "TextBatches", "load_corpus", "make_corpus"]

END = "<|endoftext|>"


@dataclass
class Corpus:
    """Tokens to learn from and tokens held out, and how many bytes of text the latter cover."""

    tokenizer: Any
    train: np.ndarray
    val: np.ndarray
    val_bytes: int
    prompt: str


class TextBatches:
    """Training batches of random windows; its state is the sampler's."""

    def __init__(self, tokens: np.ndarray, block_size: int, batch_size: int, seed: int) -> None:
        self.windows = Windows(tokens, block_size)
        self.sampler = BatchSampler(len(tokens), block_size, batch_size, seed)

    def next(self) -> tuple[np.ndarray, np.ndarray]:
        """x [B, T] and y [B, T], int64."""
        return self.windows.batch(self.sampler.next())

    def state(self) -> dict[str, Any]:
        return self.sampler.state()

    def load_state(self, state: dict[str, Any]) -> None:
        self.sampler.load_state(state)


def make_corpus(
    run: RunFolder,
    data: str | None,
    *,
    vocab_size: int,
    characters: bool,
    max_bytes: int,
    infill: float = 0.0,
) -> Iterator[Said | Corpus]:
    """Read and tokenise; yields sentences on the way and the corpus at the end.

    Args:
        data: a file, folder or glob; None: the standard library; "installed": that and every
            permissively licensed package installed beside it (the run keeps a manifest of them).
        infill: the share of documents to learn filling in the middle from.
    """
    source, report, train_documents, val_documents = _documents(run, data, max_bytes)
    yield Said(f"Read {source}: {report}.")
    if not val_documents or not train_documents:
        raise DataError(f"{source} is too small to hold out a part for validation")
    documents = [*train_documents, *val_documents]
    if characters and infill:
        raise DataError("filling in the middle needs byte pairs, not characters")
    if characters:
        tokenizer: Any = CharTokenizer.from_text("".join(text for _, text in documents))
        separator = None
    else:
        specials = (END, *INFILL_TOKENS) if infill else (END,)
        texts = (text for _, text in train_documents)
        tokenizer, separator = ByteBPE.train(texts, vocab_size, special_tokens=specials), END
    if infill:
        end = tokenizer.special_tokens[END]
        train = encode_for_infilling(train_documents, tokenizer, share=infill, end=end)
    else:
        train = encode_documents(train_documents, tokenizer, separator=separator)
    val = encode_documents(val_documents, tokenizer, separator=separator)
    val_bytes = sum(len(text.encode("utf-8", "replace")) for _, text in val_documents)
    yield Said(
        f"Tokenizer: {tokenizer.vocab_size:,} {'characters' if characters else 'byte pairs'}, "
        f"{val_bytes / max(len(val), 1):.2f} bytes per token. {len(train):,} tokens to learn from, "
        f"{len(val):,} held out."
    )
    prompt = _prompt(documents, val_documents)
    tokenizer.save(run.tokenizer)
    arrays = {"train": train, "val": val}
    write_atomically(run.path / "data.safetensors", save(arrays))
    run.config["data"] = {
        "source": None if data is None else str(data),
        "documents": len(documents),
        **({"infill": infill} if infill else {}),
        "val_bytes": val_bytes,
        "prompt": prompt,
    }
    run.save_config()
    yield Corpus(tokenizer, train, val, val_bytes, prompt)


def _documents(
    run: RunFolder, data: str | None, max_bytes: int
) -> tuple[str, Any, list[Document], list[Document]]:
    """What was read, the report on it, and the documents to learn from and held out."""
    if data == "installed":
        return ("the standard library and the installed packages", *_installed(run, max_bytes))
    if data is None:
        documents, report = read_standard_library(max_bytes=max_bytes)
        source = "the Python standard library on this machine"
    else:
        documents, report = read_text(data, max_bytes=max_bytes)
        source = str(data)
    return source, report, *split_documents(documents, 0.05 if data is None else 0.1)


def _installed(run: RunFolder, max_bytes: int) -> tuple[str, list[Document], list[Document]]:
    """The standard library's usual split, and about one package in ten held out, whole."""
    documents, report = read_standard_library(max_bytes=max_bytes)
    train, held = split_documents(documents, 0.05)
    rows: list[dict[str, Any]] = [
        {
            "name": "Python standard library", "version": sys.version.split()[0],
            "licence": "PSF-2.0", "files": len(documents), "bytes": report.n_bytes,
            "held_out": "5 % of the files",
        }
    ]  # fmt: skip
    for package, texts in read_packages(installed_packages(), max_bytes_each=max_bytes // 3):
        size = sum(len(text.encode()) for _, text in texts)
        chosen = hashlib.sha256(package.name.encode()).digest()[0] < 26
        apart = chosen and size < 1_000_000  # no single package is to decide the score
        (held if apart else train).extend(texts)
        rows.append(
            {
                "name": package.name, "version": package.version, "licence": package.licence,
                "files": len(texts), "bytes": size,
                "held_out": apart,
            }
        )  # fmt: skip
    write_atomically(run.path / "manifest.json", json.dumps(rows, indent=1) + "\n")
    total = sum(row["bytes"] for row in rows)
    return f"{len(rows) - 1} packages, {total / 1e6:.1f} MB (manifest.json)", train, held


def load_corpus(run: RunFolder) -> Corpus:
    """The corpus of an existing run.

    Raises:
        RunError: when the run stopped before its data was written.
    """
    run.need("tokenizer.json", "data.safetensors")
    try:
        arrays = load_file(run.path / "data.safetensors")
        facts = run.config["data"]
        tokenizer = load_tokenizer(run.tokenizer)
        return Corpus(
            tokenizer, arrays["train"], arrays["val"], facts["val_bytes"], facts["prompt"]
        )
    except (SafetensorError, DataError, OSError, KeyError, ValueError) as error:
        raise RunError(f"the data of {run.path} can't be read ({error}); start afresh") from None


def _prompt(documents: Any, held_out: Any) -> str:
    """Something to complete while training: code for code, else the start of a held-out line."""
    code = sum(name.endswith(".py") for name, _ in documents)
    if 2 * code > len(documents):
        return "def __init__(self"
    lines = [line.strip() for _, text in held_out for line in text.splitlines() if line.strip()]
    longest = next((line for line in lines if len(line) > 20), lines[0] if lines else "The ")
    return longest[: max(4, min(24, len(longest) // 2))]
