"""Real count models for the tests of generation and serving: trigrams over bytes or characters.

p(c | a b) = (N(a b c) + λ p(c | b)) / (N(a b) + λ),   p(c | b) = (N(b c) + μ/V) / (N(b) + μ)
"""

from __future__ import annotations

import sysconfig
import threading
import time
from functools import cache
from pathlib import Path

import numpy as np

from descent.generate import Completer, Sampling
from tests.data.known import some_names


class ByteTokenizer:
    """One id per byte, so characters beyond ASCII take several tokens."""

    vocab_size = 256

    def encode(self, text: str) -> list[int]:
        return list(text.encode("utf-8"))

    def decode_bytes(self, ids) -> bytes:
        return bytes(ids)

    def decode(self, ids) -> str:
        return bytes(ids).decode("utf-8", errors="replace")

    def token_bytes(self, id: int) -> bytes:
        return bytes([id])


class CharTokenizer:
    """makemore's: `.` is 0 and marks both ends of a name."""

    def __init__(self, characters: str) -> None:
        self.characters = "." + characters
        self.vocab_size = len(self.characters)

    def encode(self, text: str) -> list[int]:
        return [self.characters.index(character) for character in text]

    def decode(self, ids) -> str:
        return "".join(self.characters[id] for id in ids)

    def decode_bytes(self, ids) -> bytes:
        return self.decode(ids).encode()

    def token_bytes(self, id: int) -> bytes:
        return self.characters[id].encode()


class TrigramModel:
    """Counts of id triples; a session remembers the last two ids."""

    def __init__(self, ids, vocab_size: int, context: int | None = 2) -> None:
        ids = np.asarray(ids, dtype=np.int64)
        self.vocab_size, self.context = vocab_size, context
        pair = ids[:-1] * vocab_size + ids[1:]
        self.bigrams = np.bincount(pair, minlength=vocab_size**2).reshape(vocab_size, vocab_size)
        triple = np.sort(pair[:-1] * vocab_size + ids[2:])
        self.keys, self.counts = np.unique(triple, return_counts=True)

    def session(self) -> TrigramSession:
        return TrigramSession(self)

    def probabilities(self, a: int | None, b: int) -> np.ndarray:
        v = self.vocab_size
        row = self.bigrams[b]
        p = (row + 1.0 / v) / (row.sum() + 1.0)
        if a is None:
            return p
        start = (a * v + b) * v
        low, high = np.searchsorted(self.keys, [start, start + v])
        three = np.zeros(v)
        three[self.keys[low:high] - start] = self.counts[low:high]
        return (three + 2.0 * p) / (three.sum() + 2.0)


class TrigramSession:
    def __init__(self, model: TrigramModel) -> None:
        self.model = model
        self.last: list[int] = []
        self.fed = 0

    def feed(self, ids) -> np.ndarray:
        assert len(ids) > 0
        self.fed += len(ids)
        self.last = [*self.last, *ids][-2:]
        a, b = self.last if len(self.last) == 2 else (None, self.last[0])
        return np.log(self.model.probabilities(a, b)).astype(np.float32)


class Paced:
    """The same model, made slow: each `feed` takes `delay_s`, and waits while `gate` is closed."""

    def __init__(self, model, delay_s: float = 0.0) -> None:
        self.model, self.delay_s = model, delay_s
        self.context, self.vocab_size = model.context, model.vocab_size
        self.gate = threading.Event()
        self.gate.set()

    def session(self):
        outer, inner = self, self.model.session()

        class PacedSession:
            def feed(self, ids):
                outer.gate.wait(30)  # bounded: a failed test must not hang the run
                time.sleep(outer.delay_s)
                return inner.feed(ids)

        return PacedSession()


class Failing:
    """The same model, whose session breaks after `good` calls."""

    def __init__(self, model, good: int) -> None:
        self.model, self.good = model, good
        self.context, self.vocab_size = model.context, model.vocab_size

    def session(self):
        inner, left = self.model.session(), self.good

        class FailingSession:
            def feed(self, ids):
                nonlocal left
                if left == 0:
                    raise FloatingPointError("the weights hold NaN")
                left -= 1
                return inner.feed(ids)

        return FailingSession()


@cache
def code_model() -> TrigramModel:
    """Byte trigrams of a few files of the standard library."""
    library = Path(sysconfig.get_paths()["stdlib"])
    names = ["argparse.py", "textwrap.py", "json/decoder.py", "functools.py", "pathlib.py"]
    text = "\n".join((library / name).read_text("utf-8") for name in names)
    return TrigramModel(list(text.encode()), 256, context=None)


@cache
def name_model() -> tuple[TrigramModel, CharTokenizer]:
    names = some_names()
    tokenizer = CharTokenizer("abcdefghijklmnopqrstuvwxyz")
    return TrigramModel(tokenizer.encode("." + ".".join(names) + "."), 27), tokenizer


def code_completer(model=None, name: str = "code", **options) -> Completer:
    options.setdefault("info", {"kind": "code", "parameters": 65536})
    options.setdefault("overflow", "slide")
    return Completer(name, 1700000000, model or code_model(), ByteTokenizer(), **options)


def name_completer(name: str = "names", **options) -> Completer:
    model, tokenizer = name_model()
    return Completer(
        name,
        1700000001,
        model,
        tokenizer,
        eos_ids=[0],
        bos_id=0,
        info={"kind": "names"},
        defaults=Sampling(max_tokens=24),
        overflow="slide",
        **options,
    )
