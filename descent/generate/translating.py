"""Beam search for encoder–decoder models: the k likeliest outputs so far, lengthened together.

    score(Y) = log P(Y | X) / lp(Y),   lp(Y) = ((5 + |Y|) / 6)^α

Wu et al. 2016, arXiv:1609.08144, §7, without its coverage penalty; k = 4, α = 0.6 and outputs of at
most source + 50 tokens as in Vaswani et al. 2017, §6.1. k = 1 is greedy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from descent import from_numpy, no_grad
from descent.data.pair_batches import filled

__all__ = ["Hypothesis", "translate"]


class Hypothesis(NamedTuple):
    """An output without its end token, and its score; `ended` is False where it was cut off."""

    score: float
    ids: list[int]
    ended: bool


def translate(
    model: Any,
    sources: Sequence[Sequence[int]],
    *,
    beam: int = 4,
    alpha: float = 0.6,
    extra: int = 50,
    batch: int = 32,
) -> list[Hypothesis]:
    """The best output for every source (token ids without start and end).

    Args:
        beam: hypotheses kept per source.
        alpha: how far long outputs are favoured; 0: not at all.
        extra: how many tokens longer than its source an output may be.
        batch: sources searched together, those of like length.

    Raises:
        ValueError: a source longer than the model's block_size, saying which.
    """
    if beam < 1:
        raise ValueError(f"beam must be at least 1: got {beam}")
    for i, ids in enumerate(sources):
        if len(ids) >= model.config.block_size:
            raise ValueError(
                f"source {i} has {len(ids)} tokens; this model reads no more than "
                f"{model.config.block_size - 1}"
            )
    order = sorted(range(len(sources)), key=lambda i: len(sources[i]))
    found: dict[int, Hypothesis] = {}
    for first in range(0, len(order), batch):
        some = order[first : first + batch]
        with no_grad():
            best = _search(model, [sources[i] for i in some], beam, alpha, extra)
        found.update(zip(some, best))
    return [found[i] for i in range(len(sources))]


def _search(
    model: Any, sources: list[Sequence[int]], beam: int, alpha: float, extra: int
) -> list[Hypothesis]:
    """One batch; row b · beam + j is hypothesis j of source b."""
    c, n = model.config, len(sources)
    length = max(map(len, sources)) + 1
    x, _ = filled([(s, []) for s in sources], length, bos=c.bos, eos=c.eos, pad=c.pad)
    memory = model.encode(from_numpy(np.ascontiguousarray(x[:, 0]))).rows(np.repeat(range(n), beam))
    scores = np.full((n, beam), -np.inf)
    scores[:, 0] = 0.0  # all hypotheses are the empty one: only one of them counts
    ids = np.full((n * beam, 1), c.bos, np.int64)
    most = [min(len(s) + extra, c.block_size - 1) for s in sources]
    ended: list[list[Hypothesis]] = [[] for _ in sources]
    while True:
        logits = model.decode(from_numpy(ids[:, -1:].copy()), memory, keep=True)
        logp = _log_softmax(logits.array[:, 0], c.pad).reshape(n, beam, -1)  # n k V
        total = scores[:, :, None] + logp
        at = _largest(total.reshape(n, -1), 2 * beam)  # enough, though k of them may end
        parents, words = np.divmod(at, logp.shape[2])
        values = np.take_along_axis(total.reshape(n, -1), at, 1)
        rows, tokens = np.zeros((n, beam), int), np.full((n, beam), c.pad)
        scores = np.full((n, beam), -np.inf)
        for b in range(n):
            if len(ended[b]) >= beam:
                continue
            j = 0
            for parent, word, value in zip(parents[b], words[b], values[b]):
                row = b * beam + int(parent)
                last = memory.length > most[b]  # only the end may follow
                if not np.isfinite(value) or j == beam:
                    continue
                if word == c.eos or last:
                    out = ids[row, 1:].tolist()
                    score = float(value) / ((5 + len(out) + 1) / 6) ** alpha
                    ended[b].append(Hypothesis(score, out, bool(word == c.eos)))
                    continue
                rows[b, j], tokens[b, j], scores[b, j] = row, word, value
                j += 1
        if all(len(e) >= beam or not np.isfinite(s).any() for e, s in zip(ended, scores)):
            return [max(e, key=lambda h: (h.ended, h.score)) for e in ended]
        flat = rows.reshape(-1)
        memory = memory.rows(flat)
        ids = np.concatenate([ids[flat], tokens.reshape(-1, 1)], 1)


def _log_softmax(logits: np.ndarray, pad: int) -> np.ndarray:
    """float64 log probabilities; padding is never written."""
    z = logits.astype(np.float64)
    z[:, pad] = -np.inf
    z -= z.max(1, keepdims=True)
    return z - np.log(np.exp(z).sum(1, keepdims=True))


def _largest(x: np.ndarray, k: int) -> np.ndarray:
    """Places of the k largest of every row, the largest first; of equals the first."""
    k = min(k, x.shape[1])
    at = np.sort(np.argpartition(-x, k - 1, 1)[:, :k], 1)
    order = np.argsort(-np.take_along_axis(x, at, 1), 1, kind="stable")
    return np.take_along_axis(at, order, 1)
