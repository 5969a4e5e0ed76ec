"""Training a tokenizer: 512 tokens on 186 kB beside minbpe, 32,768 on 20 MB beside `tokenizers`.

minbpe's RegexTokenizer with GPT-4's split pattern learns from Shakespeare; both learn the same
merges. The large work is the Python source on this machine, with GPT-2's split pattern; equal
counts are taken in another order there, so the vocabularies differ a little. Compared, in place of
a loss, is the mean length of a learnt token in bytes. Descent uses one thread, `tokenizers` two.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from bench.compare import Bar
from bench.race import Work
from bench.sides.process import Side, peers_folder
from bench.sides.stepping import Data, Run

__all__ = ["WORKS"]

_SMALL, _SMALL_BYTES = 512, 186_000
_LARGE, _LARGE_BYTES = 32_768, 20_000_000


def shakespeare() -> dict[str, np.ndarray]:
    """186 kB of it, as bytes."""
    from descent.data.fetch import fetch

    beside = Path(__file__).parents[2] / "shared" / "data" / "tinyshakespeare.txt"
    path = beside if beside.is_file() else fetch("tinyshakespeare.txt")
    return {"text": np.frombuffer(path.read_bytes()[:_SMALL_BYTES], dtype=np.uint8)}


def _sources() -> Iterator[bytes]:
    for name in ("stdlib", "purelib"):
        for path in sorted(Path(sysconfig.get_path(name)).rglob("*.py")):
            if name == "stdlib" and "site-packages" in path.parts:
                continue
            data = path.read_bytes()
            if data.isascii() or data.decode("utf-8", "replace").encode() == data:
                yield data


def source_code() -> dict[str, np.ndarray]:
    """20 MB of Python source, whole files, and where each ends."""
    files: list[bytes] = []
    size = 0
    for data in _sources():
        files.append(data)
        size += len(data)
        if size >= _LARGE_BYTES:
            break
    text = np.frombuffer(b"".join(files), dtype=np.uint8)
    return {"text": text, "ends": np.cumsum([len(data) for data in files])}


def _texts(data: Data) -> list[str]:
    text, ends = data["text"].tobytes(), data["ends"].tolist()
    return [text[a:b].decode() for a, b in zip([0, *ends], ends)]


def _again(train: Callable[[], float]) -> Run:
    """Learn anew `n` times; the mean length of a token."""
    length = float("nan")

    def run(n: int) -> float:
        nonlocal length
        for _ in range(n):
            length = train()
        return length

    return run


def _mean_length(tokens: list[bytes]) -> float:
    return sum(map(len, tokens)) / len(tokens)


def descent_small(data: Data) -> Run:
    from descent.data.tokenizers import GPT4_SPLIT_PATTERN, ByteBPE

    text = data["text"].tobytes().decode()

    def train() -> float:
        bpe = ByteBPE.train(text, _SMALL, pattern=GPT4_SPLIT_PATTERN, special_tokens=())
        return _mean_length(list(bpe.vocab.values()))

    return _again(train)


def minbpe_small(data: Data) -> Run:
    folder = peers_folder() / "minbpe"
    if not (folder / "minbpe" / "regex.py").exists():
        raise FileNotFoundError(2, "no checkout", str(folder))
    sys.path.insert(0, str(folder))
    from minbpe import RegexTokenizer  # type: ignore[import-not-found]

    text = data["text"].tobytes().decode()

    def train() -> float:
        bpe = RegexTokenizer()
        bpe.train(text, _SMALL)
        return _mean_length(list(bpe.vocab.values()))

    return _again(train)


def descent_large(data: Data) -> Run:
    from descent.data.tokenizers import GPT2_SPLIT_PATTERN, ByteBPE

    texts = _texts(data)

    def train() -> float:
        bpe = ByteBPE.train(texts, _LARGE, pattern=GPT2_SPLIT_PATTERN, special_tokens=())
        return _mean_length(list(bpe.vocab.values()))

    return _again(train)


def tokenizers_large(data: Data) -> Run:
    os.environ |= {"RAYON_NUM_THREADS": "2", "TOKENIZERS_PARALLELISM": "true"}
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    from descent.data.tokenizers.byte_alphabet import from_alphabet

    texts = _texts(data)

    def train() -> float:
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # type: ignore[assignment]
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(
            vocab_size=_LARGE, min_frequency=2, show_progress=False, initial_alphabet=alphabet
        )
        tokenizer.train_from_iterator(texts, trainer)
        return _mean_length([from_alphabet(token) for token in tokenizer.get_vocab()])

    return _again(train)


WORKS = (
    Work(
        "BPE training, 512 tokens on 186 kB of Shakespeare",
        shakespeare,
        (Side("descent", "bench.bpe:descent_small"), Side("minbpe", "bench.bpe:minbpe_small")),
        steps=10,
        check=1,
        slow={"minbpe": 1},
        rounds=5,
        agree_to=1e-12,
        bars=(Bar(50, ("minbpe",)),),
    ),
    Work(
        "BPE training, 32,768 tokens on 20 MB of Python source",
        source_code,
        (
            Side("descent", "bench.bpe:descent_large"),
            Side("tokenizers", "bench.bpe:tokenizers_large"),
        ),
        steps=1,
        check=1,
        rounds=3,
        agree_to=2e-2,
        memory=True,
        bars=(Bar(1 / 3, ("tokenizers",)),),
    ),
)
