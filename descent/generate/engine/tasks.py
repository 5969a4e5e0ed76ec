"""A task: what one request wants of the cache now, and what it makes of the logits it gets.

A `Task` owns the sequences it advances together (one here; several in `beams.py`). The engine feeds
each sequence's uncomputed ids; when all are computed, the task receives a row of logits each and
appends what comes next. Left out: blocks and order (`scheduler.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from descent.generate.choosing import Chooser
from descent.generate.drawing import check_logits
from descent.generate.engine.guessing import Guesser
from descent.generate.engine.handle import Handle
from descent.generate.engine.pool import BlockPool
from descent.generate.engine.sequence import SequenceState
from descent.generate.lexicon import Lexicon
from descent.generate.sampling import Overflow, Sampling
from descent.generate.writing import Writer

__all__ = ["CompletionTask", "Task", "fitted"]


class Task:
    """What the scheduler and the engine know of a request."""

    handles: list[Handle]
    sequences: list[SequenceState]
    after: Task | None = None  # waits until that one's prompt is in the cache
    done = False
    scores_prompt = False  # wants the logits of every row of its prompt
    n_prompt = 0

    @property
    def cancelled(self) -> bool:
        return all(handle.cancelled for handle in self.handles)

    @property
    def prompt_computed(self) -> bool:
        return self.done or any(s.computed >= self.n_prompt for s in self.sequences)

    def guess(self, sequence: SequenceState, room: int) -> list[int]:
        """Ids to compute ahead of `sequence`."""
        return []

    def prompt_rows(self, start: int, rows: np.ndarray) -> None:
        """The logits [n, V] after the prompt's tokens start … start + n − 1 (if it scores them)."""

    def take(self, rows: list[np.ndarray], guesses: list[list[int]], pool: BlockPool) -> None:
        """Logits [1 + guesses, V] for each of the sequences, which are all computed."""
        raise NotImplementedError

    def end(self, error: BaseException | None = None) -> None:
        """Tell the readers that nothing follows."""
        self.done = True
        for handle in self.handles:
            handle.end(error)

    def drop(self, pool: BlockPool) -> None:
        """Let go of every block."""
        for sequence in self.sequences:
            sequence.drop(pool)


class CompletionTask(Task):
    """One completion, drawn token by token."""

    def __init__(
        self,
        handle: Handle,
        sequence: SequenceState,
        lexicon: Lexicon,
        sampling: Sampling,
        *,
        context: int,
        overflow: Overflow,
        hidden: int = 0,
        echo: bool = False,
        choice: int = 0,
    ) -> None:
        self.handles = [handle]
        self.sequences = [sequence]
        self.sampling = sampling
        self.chooser = Chooser(lexicon, sampling, sequence.ids, choice)
        self.writer = Writer(lexicon, sampling)
        self.context, self.overflow = context, overflow
        self.n_prompt = len(sequence.ids)
        self.vocab_size = lexicon.vocab_size
        self._guesser = Guesser(sampling.speculate) if sampling.speculate else None
        self._hidden = hidden
        self._prompt = list(sequence.ids)
        self._n_told = 0  # tokens of the prompt already passed to the writer
        scored = sampling.prompt_logprobs is not None
        self._shown = echo or scored
        self.scores_prompt = scored or (echo and sampling.logprobs is not None)
        if not self.scores_prompt:
            self._tell(self.n_prompt, None)
        if sampling.max_tokens == 0 and not self.scores_prompt:
            self.end()

    def _tell(self, upto: int, rows: np.ndarray | None) -> None:
        """Pass the prompt's tokens up to `upto`; `rows` are the logits before each of them."""
        steps = []
        for i, position in enumerate(range(self._n_told, upto)):
            if position >= self._hidden:
                row = None if rows is None else check_logits(rows[i], self.vocab_size)
                steps.append(self.writer.prompt_step(self._prompt[position], row))
        self._n_told = max(self._n_told, upto)
        self.scores_prompt = self.scores_prompt and self._n_told < self.n_prompt
        if self._shown:
            self.handles[0].put(steps)

    def prompt_rows(self, start: int, rows: np.ndarray) -> None:
        """Row i, after token start + i, predicts token start + i + 1."""
        if self._n_told == 0:
            self._tell(1, None)  # nothing predicts the first
        known = self._n_told - (start + 1)  # told before the sequence was dropped
        self._tell(min(start + 1 + len(rows), self.n_prompt), rows[max(known, 0) :])
        if self.chooser.left == 0 and self._n_told == self.n_prompt:
            self.end()

    def guess(self, sequence: SequenceState, room: int) -> list[int]:
        if self._guesser is None or not self.chooser.n_generated:
            return []
        return self._guesser.guess(sequence.ids, min(room, self.chooser.left - 1))

    def take(self, rows: list[np.ndarray], guesses: list[list[int]], pool: BlockPool) -> None:
        """Choose, and go on choosing while the guesses are right."""
        sequence, guessed = self.sequences[0], guesses[0]
        right = 0
        for row, guess in zip(rows[0], [*guessed, None]):
            id = self._choose(sequence, row)
            if self.done or id != guess:
                break
            right += 1
            sequence.computed += 1
        if self._guesser is not None:
            self._guesser.learn(len(guessed), right)
        if not self.done and len(sequence.ids) > self.context:
            sequence.forget_oldest(pool, max(self.context // 2, 1))

    def _choose(self, sequence: SequenceState, row: np.ndarray) -> int:
        id = self.chooser.choose(row)
        reason = self.chooser.accept(id)
        if reason is None and len(sequence.ids) >= self.context and self.overflow != "slide":
            reason = "length"  # the model could not read this token
        sequence.ids.append(id)
        steps = self.writer.generated(id, row, reason)
        self.handles[0].put(steps)
        if steps and steps[-1].finish_reason:
            self.end()
        return id


def fitted(
    ids: Sequence[int], sampling: Sampling, context: int, overflow: Overflow, hidden: int
) -> list[int]:
    """The prompt as it can be read: whole, cut at the front, or refused with a ValueError."""
    total = len(ids) + sampling.max_tokens
    if not ids:
        raise ValueError("the prompt has no tokens; give at least a begin token")
    if overflow == "slide":
        return list(ids[-context:])
    if total <= context:
        return list(ids)
    if overflow == "truncate":
        room = max(context - sampling.max_tokens, 1 + hidden)
        if room <= context:
            return [*ids[:hidden], *ids[len(ids) - (room - hidden) :]]
    raise ValueError(
        f"the context is {context} tokens, but {total} were asked for ({len(ids)} in the prompt, "
        f"max_tokens {sampling.max_tokens}); shorten the prompt, lower max_tokens, or set overflow "
        "to 'truncate' or 'slide'"
    )
