"""What a request's settings and its text so far do to a row of logits, before anything is drawn.

    l'_j = (l_j + bias_j) · or ÷ r  − c_j·frequency − [c_j > 0]·presence;   −∞ where j is banned

r divides positive and multiplies negative logits of tokens seen in prompt or completion (Keskar et
al. 2019, arXiv:1909.05858, §4.1); c_j counts j in the completion alone, as OpenAI documents it.
Banned are: what is not allowed, ends before `min_tokens`, the last token of a bad word, and what
would repeat an n-gram (Paulus et al. 2017, arXiv:1705.04304, §2.5). Left out: constraints on the
whole text (`constrain/`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from copy import copy

import numpy as np

from descent.generate.sampling import Sampling

__all__ = ["Adjuster"]


class Adjuster:
    """The settings of one sequence and what they need to remember of its text.

    Args:
        prompt_ids: counted by `repetition_penalty` and `no_repeat_ngram_size`.
        end_ids: what ends the completion; banned before `min_tokens`.
        bad_words: the words as ids (the strings among `sampling.bad_words` encoded).
        vocab_size: V; ids outside 0…V−1 are an error that names the setting.
    """

    def __init__(
        self,
        sampling: Sampling,
        prompt_ids: Sequence[int],
        *,
        end_ids: Collection[int],
        bad_words: Sequence[Sequence[int]],
        vocab_size: int,
    ) -> None:
        _check_ids("logit_bias", sampling.logit_bias, vocab_size)
        _check_ids("allowed_token_ids", sampling.allowed_token_ids or (), vocab_size)
        _check_ids("stop_token_ids", sampling.stop_token_ids, vocab_size)
        self.sampling = sampling
        self.ids = list(prompt_ids)
        self.counts: Counter[int] = Counter()  # of the completion
        self.n_generated = 0
        self._bias = _pairs(sampling.logit_bias) if sampling.logit_bias else None
        self._allowed = None
        if sampling.allowed_token_ids is not None:
            self._allowed = np.array(sorted(set(sampling.allowed_token_ids)), np.intp)
        self._ends = np.array(sorted(end_ids), np.intp)
        self._bad_words = [tuple(word) for word in bad_words]
        self._seen = set(self.ids) if sampling.repetition_penalty != 1.0 else set()
        self._followers: dict[tuple[int, ...], list[int]] = {}
        self._n = sampling.no_repeat_ngram_size
        if self._n:
            for end in range(self._n, len(self.ids) + 1):
                self._note_ngram(end)
        self.idle = not (
            self._bias or self._bad_words or self._n or self._allowed is not None
            or sampling.repetition_penalty != 1.0
            or sampling.presence_penalty or sampling.frequency_penalty
            or (sampling.min_tokens and self._ends.size)
        )  # fmt: skip

    def fork(self) -> Adjuster:
        """A second one with the same past."""
        twin = copy(self)
        twin.ids, twin.counts, twin._seen = list(self.ids), self.counts.copy(), set(self._seen)
        twin._followers = {start: list(ids) for start, ids in self._followers.items()}
        return twin

    def accept(self, id: int) -> None:
        """`id` has been generated."""
        self.ids.append(id)
        self.n_generated += 1
        if self.idle:
            return
        self.counts[id] += 1
        if self.sampling.repetition_penalty != 1.0:
            self._seen.add(id)
        if self._n and len(self.ids) >= self._n:
            self._note_ngram(len(self.ids))

    def _note_ngram(self, end: int) -> None:
        *start, last = self.ids[end - self._n : end]
        self._followers.setdefault(tuple(start), []).append(last)

    def adjusted(self, logits: np.ndarray) -> np.ndarray:
        """The row [V] to draw from: `logits` themselves where nothing applies, else a copy."""
        if self.idle:
            return logits
        logits = logits.copy()
        if self._bias:
            ids, bias = self._bias
            logits[ids] += bias
        self._penalise(logits)
        banned = self._banned()
        if banned:
            logits[banned] = -np.inf
        if self.n_generated < self.sampling.min_tokens:
            logits[self._ends] = -np.inf
        if self._allowed is not None:
            only = np.full_like(logits, -np.inf)
            only[self._allowed] = logits[self._allowed]
            logits = only
        return logits

    def _penalise(self, logits: np.ndarray) -> None:
        s = self.sampling
        if self._seen:
            seen = np.fromiter(self._seen, np.intp, len(self._seen))
            row = logits[seen]
            penalty = max(s.repetition_penalty, 1e-20)  # a smaller one is 0 in float32
            logits[seen] = np.where(row > 0, row / penalty, row * penalty)
        if self.counts and (s.presence_penalty or s.frequency_penalty):
            ids, counts = _pairs(self.counts)
            logits[ids] -= (s.presence_penalty + counts * s.frequency_penalty).astype(logits.dtype)

    def _banned(self) -> list[int]:
        banned = []
        for word in self._bad_words:
            start = len(word) - 1
            if start == 0 or (start <= len(self.ids) and (*self.ids[-start:],) == word[:-1]):
                banned.append(word[-1])
        if self._n and len(self.ids) >= self._n - 1:
            start = tuple(self.ids[len(self.ids) - self._n + 1 :])
            banned += self._followers.get(start, [])
        return banned


def _pairs(values) -> tuple[np.ndarray, np.ndarray]:
    ids = np.fromiter(values.keys(), np.intp, len(values))
    return ids, np.fromiter(values.values(), np.float64, len(values))


def _check_ids(name: str, ids: Collection[int], vocab_size: int) -> None:
    for id in ids:
        if not 0 <= id < vocab_size:
            raise ValueError(f"{name} names token {id}; the vocabulary is 0…{vocab_size - 1}")
