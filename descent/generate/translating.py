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
            best = _Search(model, [sources[i] for i in some], beam, alpha, extra).run()
        found.update(zip(some, best))
    return [found[i] for i in range(len(sources))]


class _Search:
    """One batch; row b · beam + j of the model's batch is hypothesis j of source b."""

    def __init__(
        self, model: Any, sources: list[Sequence[int]], beam: int, alpha: float, extra: int
    ) -> None:
        c, n = model.config, len(sources)
        self.model, self.beam, self.alpha = model, beam, alpha
        length = max(map(len, sources)) + 1
        x, _ = filled([(s, []) for s in sources], length, bos=c.bos, eos=c.eos, pad=c.pad)
        memory = model.encode(from_numpy(np.ascontiguousarray(x[:, 0])))
        self.memory = memory.rows(np.repeat(range(n), beam))
        self.ids = np.full((n * beam, 1), c.bos, np.int64)
        self.scores = np.full((n, beam), -np.inf)
        self.scores[:, 0] = 0.0  # all hypotheses are the empty one: only one of them counts
        self.most = [min(len(s) + extra, c.block_size - 1) for s in sources]
        self.ended: list[list[Hypothesis]] = [[] for _ in sources]

    def run(self) -> list[Hypothesis]:
        """The best of every source."""
        while not all(self._over(b) for b in range(len(self.ended))):
            self._lengthen()
        return [max(e, key=lambda h: (h.ended, h.score)) for e in self.ended]

    def _over(self, b: int) -> bool:
        return len(self.ended[b]) >= self.beam or not np.isfinite(self.scores[b]).any()

    def _lengthen(self) -> None:
        """One token more for all."""
        n, k, pad = len(self.ended), self.beam, self.model.config.pad
        last = from_numpy(np.ascontiguousarray(self.ids[:, -1:]))
        logits = self.model.decode(last, self.memory, keep=True)
        logp = _log_softmax(logits.array[:, 0], pad).reshape(n, k, -1)  # n k V
        total = (self.scores[:, :, None] + logp).reshape(n, -1)
        at = _largest(total, 2 * k)  # enough, though k of them may end
        values = np.take_along_axis(total, at, 1)
        rows, words = np.zeros((n, k), int), np.full((n, k), pad)
        over = [self._over(b) for b in range(n)]
        self.scores = np.full((n, k), -np.inf)
        for b in range(n):
            if not over[b]:
                parents, tokens = np.divmod(at[b], logp.shape[2])
                self._keep(b, b * k + parents, tokens, values[b], rows[b], words[b])
        flat = rows.reshape(-1)
        self.memory = self.memory.rows(flat)
        self.ids = np.concatenate([self.ids[flat], words.reshape(-1, 1)], 1)

    def _keep(self, b: int, parents: Any, tokens: Any, values: Any, rows: Any, words: Any) -> None:
        """Sort the candidates of source b, the best first, into ended and living ones."""
        living = 0
        for parent, token, value in zip(parents, tokens, values):
            if living == self.beam or not np.isfinite(value):
                break
            ends = token == self.model.config.eos
            if ends or self.memory.length > self.most[b]:  # then only the end may follow
                out = self.ids[parent, 1:].tolist()
                score = float(value) / ((5 + len(out) + 1) / 6) ** self.alpha
                self.ended[b].append(Hypothesis(score, out, bool(ends)))
            else:
                rows[living], words[living], self.scores[b, living] = parent, token, value
                living += 1


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
