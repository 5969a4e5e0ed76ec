"""Beam search: keep the k likeliest beginnings, and the k best finished texts.

    score(y) = Σ_t log p(y_t | y_<t) / |y|^length_penalty

As transformers counts it, so that the same weights give the same texts: each turn takes the
max(2, 1 + ends)·k likeliest continuations of all beams; those among the first k that end are
finished, the first k that do not end go on. It stops when k are finished and no running beam can
beat the worst of them (`early_stopping` False judges by the length so far, "never" by the longest
length), or, with `early_stopping` True, as soon as k are finished. Beams share the cache blocks of
what they have in common. Left out: sampled and diverse beams, constraints.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from descent.generate.adjusting import Adjuster
from descent.generate.drawing import check_logits, log_softmax, top_ids
from descent.generate.engine.handle import Handle
from descent.generate.engine.pool import BlockPool
from descent.generate.engine.sequence import SequenceState
from descent.generate.engine.tasks import Task
from descent.generate.lexicon import Lexicon
from descent.generate.sampling import Sampling
from descent.generate.writing import Writer

__all__ = ["BeamTask"]


@dataclass
class _Beam:
    """A running text: its score is the plain sum of log-probabilities."""

    sequence: SequenceState
    adjuster: Adjuster
    score: float = 0.0
    logprobs: list[float] = field(default_factory=list)


class _Candidate(NamedTuple):
    score: float
    beam: _Beam
    id: int
    logprob: float


class _Finished(NamedTuple):
    score: float
    ids: list[int]
    logprobs: list[float]


class BeamTask(Task):
    """A search of `sampling.beams` beams; its handles get the best finished texts, best first."""

    def __init__(
        self,
        handles: list[Handle],
        sequence: SequenceState,
        lexicon: Lexicon,
        sampling: Sampling,
        *,
        context: int,
        hidden: int = 0,
        echo: bool = False,
    ) -> None:
        self.handles, self.sequences = handles, [sequence]
        self.lexicon, self.sampling = lexicon, sampling
        self.n_prompt = len(sequence.ids)
        self.end_ids = lexicon.end_ids(sampling)
        self.prompt = sequence.ids[hidden:]
        self.echo = echo
        self.most = min(sampling.max_tokens, context - self.n_prompt + 1)
        adjuster = Adjuster(
            sampling,
            sequence.ids,
            end_ids=self.end_ids,
            bad_words=lexicon.bad_words(sampling),
            vocab_size=lexicon.vocab_size,
        )
        self.running = [_Beam(sequence, adjuster)]
        self.finished: list[_Finished] = []
        if self.most < 1:
            self._tell()

    def take(self, rows: list[np.ndarray], guesses: list[list[int]], pool: BlockPool) -> None:
        """One more token for every beam."""
        k = self.sampling.beams
        candidates = self._candidates([row[-1] for row in rows])
        if not candidates:
            raise ValueError("the settings leave no token that could follow")
        length = len(self.running[0].logprobs) + 1
        ends = [c.id in self.end_ids or length >= self.most for c in candidates]
        for candidate, end in zip(candidates[:k], ends):
            if end:
                self._finish(candidate, length)
        self.finished = sorted(self.finished, key=lambda f: -f.score)[:k]
        going = [c for c, end in zip(candidates, ends) if not end][:k]
        if not going or not self._worth_it(going[0].score, length):
            self._tell()
            return
        self._follow(going, pool)

    def _candidates(self, rows: list[np.ndarray]) -> list[_Candidate]:
        """The likeliest continuations of all beams, likeliest first."""
        n = max(2, 1 + len(self.end_ids)) * self.sampling.beams
        found = []
        for beam, row in zip(self.running, rows):
            logp = log_softmax(check_logits(row, self.lexicon.vocab_size))
            adjusted = beam.adjuster.adjusted(logp)
            for id in top_ids(adjusted, n):
                if math.isfinite(adjusted[id]):
                    score = beam.score + float(adjusted[id])
                    found.append(_Candidate(score, beam, int(id), float(logp[id])))
        found.sort(key=lambda c: -c.score)  # stable: equals in the order of beams and ids
        return found[:n]

    def _finish(self, candidate: _Candidate, length: int) -> None:
        beam = candidate.beam
        self.finished.append(
            _Finished(
                candidate.score / length**self.sampling.length_penalty,
                [*beam.adjuster.ids[self.n_prompt :], candidate.id],
                [*beam.logprobs, candidate.logprob],
            )
        )

    def _worth_it(self, best: float, length: int) -> bool:
        """Whether going on may still improve on what is finished."""
        s = self.sampling
        if len(self.finished) < s.beams:
            return True
        if s.early_stopping is True:
            return False
        longest = self.most if s.early_stopping == "never" and s.length_penalty > 0.0 else length
        return best / longest**s.length_penalty > self.finished[-1].score

    def _follow(self, going: list[_Candidate], pool: BlockPool) -> None:
        """The chosen continuations become the beams; a beam chosen twice is forked."""
        uses = Counter(id(c.beam) for c in going)
        for beam in self.running:
            if not uses[id(beam)]:
                beam.sequence.drop(pool)
        beams = []
        for candidate in going:
            beam = candidate.beam
            uses[id(beam)] -= 1
            last_use = uses[id(beam)] == 0
            sequence = beam.sequence if last_use else beam.sequence.fork(pool)
            adjuster = beam.adjuster if last_use else beam.adjuster.fork()
            beams.append(
                _Beam(sequence, adjuster, candidate.score, [*beam.logprobs, candidate.logprob])
            )
        for beam, candidate in zip(beams, going):  # after the forks: those copy what they find
            beam.sequence.ids.append(candidate.id)
            beam.adjuster.accept(candidate.id)
        self.running = beams
        self.sequences = [beam.sequence for beam in beams]

    def _tell(self) -> None:
        """Write the best texts to the handles."""
        settings = replace(self.sampling, logprobs=None, prompt_logprobs=None)
        for handle, text in zip(self.handles, self.finished):
            writer = Writer(self.lexicon, settings)
            steps = [writer.prompt_step(id) for id in self.prompt]
            steps = steps if self.echo else []
            for at, (id, logprob) in enumerate(zip(text.ids, text.logprobs), start=1):
                reason = "stop" if id in self.end_ids else "length" if at == len(text.ids) else None
                made = writer.generated(id, np.empty(0), reason)
                if self.sampling.logprobs is not None:
                    at_end = len(made) - 1
                    made = [
                        replace(s, logprob=logprob) if i == at_end else s
                        for i, s in enumerate(made)
                    ]
                steps += made
                if made and made[-1].finish_reason:
                    break
            handle.put(steps)
        self.end()
