"""N-gram counts: the next token from how often each token followed the last n − 1 ones.

add-k          P(w | h) = (c(h w) + k) / (c(h) + k V)               k = 1: Laplace; k = 0: MLE
interpolated   P(w | h) = (c(h w) − D(c))⁺ / c(h) + γ(h) P(w | h′),  γ(h) = Σ_w D(c(h w)) / c(h)

h′ is h without its oldest token, down to the uniform 1/V. The interpolated form is modified
Kneser–Ney (Chen & Goodman 1999, "An empirical study of smoothing techniques for language
modeling", §3, eq. 26; Kneser & Ney 1995): below the top order c counts *distinct left neighbours*
instead of occurrences, and D takes three values per order, for counts of 1, 2 and ≥ 3. It is the
strongest of the count models, hence the honest baseline; held-out data, when given, rescale the
discounts of each order. Counting and look-up are in `grams`. Left out: pruning, classes, caches.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from descent.models.grams import GramTable, as_tokens, count_grams, stream, walk

__all__ = ["NGram", "NGramConfig", "NGramSession", "load_ngram", "save_ngram"]

SMOOTHINGS = ("add-k", "interpolated")


@dataclass(frozen=True)
class NGramConfig:
    """order n ≥ 1 (context of n − 1 tokens); `start` pads the context before the first token."""

    order: int = 3
    vocab_size: int = 27
    k: float = 0.1  # add-k only
    smoothing: str = "add-k"
    start: int = 0

    def __post_init__(self) -> None:
        if self.order < 1:
            raise ValueError(f"order must be at least 1 (a unigram), got {self.order}")
        if self.vocab_size < 1:
            raise ValueError(f"vocab_size must be at least 1, got {self.vocab_size}")
        if not 0 <= self.k < float("inf"):
            raise ValueError(f"k must be a number ≥ 0, got {self.k}")
        if self.smoothing not in SMOOTHINGS:
            raise ValueError(f"smoothing must be one of {SMOOTHINGS}, got {self.smoothing!r}")
        if not 0 <= self.start < self.vocab_size:
            raise ValueError(
                f"start token {self.start} is outside the vocabulary 0..{self.vocab_size - 1}"
            )


class NGram:
    """Count model of a token stream. `fit` first; then `loss`, `logprobs`, `session`.

    Sequences are 1-d integer arrays of tokens to predict: a name *with* its stop token, or a whole
    text. The context before a sequence's first token is `start`, n − 1 times.
    """

    def __init__(
        self,
        order: int = 3,
        vocab_size: int = 27,
        k: float = 0.1,
        smoothing: str = "add-k",
        start: int = 0,
    ) -> None:
        self.config = NGramConfig(order, vocab_size, float(k), smoothing, start)
        self.tables: list[GramTable] = []
        self.discounts = np.zeros((order, 3))  # D(1), D(2), D(≥3) of each order  [order 3]

    @property
    def context(self) -> int:
        """How many previous tokens the next one depends on."""
        return self.config.order - 1

    @property
    def vocab_size(self) -> int:
        return self.config.vocab_size

    def __repr__(self) -> str:
        c = self.config
        how = f"k={c.k:g}" if c.smoothing == "add-k" else c.smoothing
        grams = sum(len(table.codes) for table in self.tables)
        state = f"{grams:,} grams" if self.tables else "not fitted"
        return f"NGram(order={c.order}, vocab_size={c.vocab_size}, {how}; {state})"

    def fit(
        self, sequences: Iterable[ArrayLike], heldout: Iterable[ArrayLike] | None = None
    ) -> NGram:
        """Count `sequences`; with `heldout` sequences, choose the interpolated discounts on them.

        Raises ValueError when there is no token at all, or a token lies outside the vocabulary.
        """
        c = self.config
        interpolated = c.smoothing == "interpolated"
        if heldout is not None and not interpolated:
            raise ValueError("heldout chooses the discounts of smoothing='interpolated' only")
        tokens, offset = stream(sequences, self.context, c.start, c.vocab_size)
        self.tables = count_grams(
            tokens, offset, c.order, c.vocab_size, left_neighbours=interpolated
        )
        self.discounts = np.array([_discounts(table.counts) for table in self.tables])
        if heldout is not None:
            self._rescale_discounts(heldout)
        return self

    def token_logprobs(self, sequences: Iterable[ArrayLike]) -> NDArray:
        """log P of every token given those before it, all sequences in one array, in nats [N]."""
        with np.errstate(divide="ignore"):
            return np.log(self._probs(self._lookups(sequences), self.discounts))

    def loss(self, sequences: Iterable[ArrayLike]) -> float:
        """Mean −log P per token in nats; inf when k = 0 and a token was never seen in its place."""
        return float(-self.token_logprobs(sequences).mean())

    def logprobs(self, context: ArrayLike) -> NDArray:
        """log P(next token | context) [V] float64; a short context is padded with `start`."""
        self._require_fit()
        c = self.config
        ids = as_tokens(context, c.vocab_size)
        recent = ids[max(0, len(ids) - self.context) :]
        padded = np.concatenate([np.full(self.context - len(recent), c.start, np.int64), recent])
        nodes = [0]  # id of the last m − 1 tokens as a gram of order m − 1
        for _, gram in walk(self.tables[:-1], padded, np.arange(len(padded))):
            nodes.append(int(gram[-1]))
        with np.errstate(divide="ignore"):
            return np.log(self._next(nodes))

    def session(self) -> NGramSession:
        """A stream of tokens to continue: `feed(ids)` returns the scores of the next one."""
        self._require_fit()
        return NGramSession(self)

    # -- probabilities ----------------------------------------------------------------------------

    def _lookups(self, sequences: Iterable[ArrayLike]) -> list[tuple[NDArray, NDArray, NDArray]]:
        """Per order, for every target: c(h w) [N], c(h) [N], kinds of h [3 N]; 0 where unseen."""
        self._require_fit()
        c = self.config
        tokens, offset = stream(sequences, self.context, c.start, c.vocab_size)
        target = offset >= self.context
        out = []
        for table, (node, gram) in zip(self.tables, walk(self.tables, tokens, offset)):
            node, gram = node[target], gram[target]
            count = np.where(gram >= 0, table.counts[gram], 0)
            out.append(
                (
                    count,
                    np.where(node >= 0, table.totals[node], 0),
                    np.where(node >= 0, table.kinds[:, node], 0),
                )
            )
        return out

    def _probs(self, lookups: list[tuple[NDArray, NDArray, NDArray]], discounts: NDArray):
        c = self.config
        if c.smoothing == "add-k":
            count, total, _ = lookups[-1]
            return _add_k(count, total, c.k, c.vocab_size)
        p = np.full(len(lookups[0][0]), 1 / c.vocab_size)
        for (count, total, kinds), d in zip(lookups, discounts):
            p = _interpolate(count, total, kinds, d, p)
        return p

    def _next(self, nodes: list[int]) -> NDArray:
        """P(next) over the vocabulary [V], from the context id of each order (−1 = unseen)."""
        c = self.config
        p = np.full(c.vocab_size, 1 / c.vocab_size)
        for m, (table, node) in enumerate(zip(self.tables, nodes), start=1):
            if c.smoothing == "add-k" and m < c.order:
                continue
            count = np.zeros(c.vocab_size)
            total, kinds = 0.0, np.zeros(3)
            if node >= 0:
                seen, counts = table.followers(node)
                count[seen] = counts
                total, kinds = table.totals[node], table.kinds[:, node]
            if c.smoothing == "add-k":
                return _add_k(count, total, c.k, c.vocab_size)
            p = _interpolate(count, total, kinds, self.discounts[m - 1], p)
        return p

    def _rescale_discounts(self, heldout: Iterable[ArrayLike]) -> None:
        """Coordinate search: one factor per order, the one with the lowest held-out loss."""
        lookups = self._lookups(heldout)
        best = -np.log(self._probs(lookups, self.discounts)).mean()
        for _ in range(2):
            for m in range(self.config.order):
                base = self.discounts[m].copy()
                for factor in (0.25, 0.5, 0.7, 0.85, 1.2, 1.5, 2.0):
                    trial = self.discounts.copy()
                    trial[m] = np.minimum(base * factor, [1, 2, 3])
                    loss = -np.log(self._probs(lookups, trial)).mean()
                    if loss < best:
                        best, self.discounts = loss, trial

    def _require_fit(self) -> None:
        if not self.tables:
            raise RuntimeError("this NGram has no counts yet: call fit(sequences) first")


class NGramSession:
    """One text being continued; remembers only the last n − 1 tokens."""

    def __init__(self, model: NGram) -> None:
        self.model = model
        self._recent = np.empty(0, np.int64)

    def feed(self, ids: ArrayLike) -> NDArray:
        """Append tokens (none is fine); log-probabilities of the next one, float32 [V]."""
        new = as_tokens(ids, self.model.config.vocab_size)
        joined = np.concatenate([self._recent, new])
        self._recent = joined[max(0, len(joined) - self.model.context) :]
        return self.model.logprobs(self._recent).astype(np.float32)


def _add_k(count, total, k: float, vocab_size: int):
    """(c + k) / (total + k V); a context never seen with k = 0 takes the limit k → 0: uniform."""
    room = np.asarray(total + k * vocab_size)
    return np.where(room > 0, (count + k) / np.where(room > 0, room, 1), 1 / vocab_size)


def _interpolate(count, total, kinds, discount: NDArray, lower):
    """Modified Kneser–Ney, one order: what the discount takes from the seen goes to `lower`."""
    taken = np.concatenate([[0.0], discount])[np.minimum(count, 3).astype(np.int64)]
    seen = total > 0
    room = np.where(seen, total, 1)
    gamma = np.where(seen, np.tensordot(discount, kinds, 1) / room, 1)
    return (count - taken) / room + gamma * lower


def _discounts(counts: NDArray) -> NDArray:
    """D(1), D(2), D(≥3) from the counts of counts (Chen & Goodman 1999, eq. 26)."""
    n = np.bincount(np.minimum(counts, 5), minlength=6).astype(np.float64)
    if np.all(n[1:5] > 0):
        y = n[1] / (n[1] + 2 * n[2])
        d = np.array([i - (i + 1) * y * n[i + 1] / n[i] for i in (1, 2, 3)])
        if np.all((d > 0) & (d < [1, 2, 3])):
            return d
    return np.array([0.5, 1.0, 1.5])  # too few grams to tell: half of what could be taken


# -- files ----------------------------------------------------------------------------------------


def save_ngram(model: NGram, folder: str | os.PathLike) -> None:
    """Write `model.safetensors` (codes and counts per order, discounts) and `config.json`."""
    from safetensors.numpy import save

    model._require_fit()
    tensors = {"discounts": model.discounts}
    for m, table in enumerate(model.tables, start=1):
        tensors[f"codes.{m}"] = table.codes
        tensors[f"counts.{m}"] = table.counts.astype(np.int64)
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    _write(path / "model.safetensors", save(tensors))
    config = {"model_type": "ngram", **asdict(model.config)}
    _write(path / "config.json", (json.dumps(config, indent=2) + "\n").encode())


def load_ngram(folder: str | os.PathLike) -> NGram:
    """Read what `save_ngram` wrote. FileNotFoundError, or ValueError naming what is wrong."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    path = Path(folder)
    try:
        config = json.loads((path / "config.json").read_text(encoding="utf-8"))
        tensors = load_file(path / "model.safetensors")
    except (json.JSONDecodeError, UnicodeDecodeError, SafetensorError) as error:
        raise ValueError(f"{path}: not a readable n-gram folder: {error}") from error
    if not isinstance(config, dict) or config.pop("model_type", None) != "ngram":
        raise ValueError(f"{path / 'config.json'}: model_type is not 'ngram'")
    wanted = {f.name for f in fields(NGramConfig)}
    if set(config) != wanted:
        raise ValueError(
            f"{path / 'config.json'}: fields {sorted(config)}, expected {sorted(wanted)}"
        )
    model = NGram(**config)
    try:
        model.tables = list(_read_tables(tensors, model.config))
        model.discounts = tensors["discounts"].reshape(model.config.order, 3).astype(np.float64)
    except (KeyError, ValueError) as error:
        raise ValueError(f"{path / 'model.safetensors'}: {error}") from error
    return model


def _read_tables(tensors: dict[str, NDArray], config: NGramConfig) -> Iterator[GramTable]:
    contexts = 1
    for m in range(1, config.order + 1):
        codes, counts = tensors[f"codes.{m}"], tensors[f"counts.{m}"]
        if codes.dtype != np.int64 or counts.dtype != np.int64 or codes.shape != counts.shape:
            raise ValueError(f"order {m}: codes and counts must be int64 arrays of one length")
        inside = len(codes) and codes[0] >= 0 and codes[-1] < contexts * config.vocab_size
        if codes.ndim != 1 or not inside or np.any(np.diff(codes) <= 0) or counts.min() < 0:
            raise ValueError(f"order {m}: codes must rise within 0..contexts·V, counts be ≥ 0")
        yield GramTable(codes, counts, contexts, config.vocab_size)
        contexts = len(codes)


def _write(path: Path, data: bytes) -> None:
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
