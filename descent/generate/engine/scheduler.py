"""Which tokens the next turn computes: everyone's next token, and pieces of prompts while there is
room.

First come, first served: running tasks in the order of their arrival, then the waiting line. Every
sequence that only needs its next token gets it each turn; what is left of `turn_tokens` goes to
prompts, in pieces (chunked prefill: Agrawal et al. 2023, arXiv:2308.16369), so a long prompt does
not stop the others. When blocks run out, the latest arrival lets go of its own and waits at the
head of the line: its tokens stay, their keys are computed again later. Left out: priorities.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from descent.generate.engine.pool import BlockPool
from descent.generate.engine.sequence import SequenceState
from descent.generate.engine.tasks import Task

__all__ = ["Feed", "Scheduler"]


class Feed(NamedTuple):
    """Compute `n` ids of `sequence` and the guesses after them."""

    task: Task
    sequence: SequenceState
    n: int
    guesses: list[int]


@dataclass
class Scheduler:
    """The waiting line, the running tasks and the blocks they share."""

    pool: BlockPool
    copy_block: Callable[[int, int], None]
    context: int
    max_running: int
    turn_tokens: int
    prefix_cache: bool = True
    waiting: deque[Task] = field(default_factory=deque)
    running: list[Task] = field(default_factory=list)
    n_preempted: int = 0
    n_prefix_asked: int = 0  # tokens of prompts looked up in the prefix cache …
    n_prefix_found: int = 0  # … and found there

    def plan(self) -> list[Feed]:
        """The next turn; empty when there is nothing to do. Blocks are taken for all of it."""
        self.sweep()
        rows = sum(len(t.sequences) for t in self.running if _decoding(t))
        # Prompts always get on, if only by a block, however many sequences are being written.
        self._budget = max(self.turn_tokens - rows, 16)
        feeds: list[Feed] = []
        for task in list(self.running):
            if task in self.running:  # not sent back to the line by an earlier one
                feeds += self._feeds(task)
        while len(self.running) < self.max_running and self._budget > 0:
            task = self._admit()
            if task is None:
                break
            feeds += self._feeds(task)
        return feeds

    def sweep(self) -> None:
        """Forget who is done or has been given up by its reader."""
        for task in [*self.running, *self.waiting]:
            if task.cancelled and not task.done:
                task.end()
            if task.done:
                task.drop(self.pool)
        self.running = [task for task in self.running if not task.done]
        if any(task.done for task in self.waiting):
            self.waiting = deque(task for task in self.waiting if not task.done)

    def _feeds(self, task: Task) -> list[Feed]:
        """What to compute of a running task; nothing if it had to be sent back."""
        feeds: list[Feed] = []
        together = len(task.sequences) > 1
        for sequence in task.sequences:
            n = sequence.uncomputed
            if not _decoding(task):
                if together and not sequence.table:
                    sequence.find_prefix(self.pool)  # what its sisters have in the cache by now
                # The last ids of all are fed in the same turn: their logits belong together.
                n = min(sequence.uncomputed - together, self._budget)
            if n <= 0:
                continue
            if not self._ensure(task, sequence, sequence.computed + n):
                return []
            feeds.append(Feed(task, sequence, n, self._guesses(task, sequence, n)))
            if not _decoding(task):
                self._budget -= n
                break  # the next sister then finds their common beginning
        return feeds

    def _guesses(self, task: Task, sequence: SequenceState, n: int) -> list[int]:
        """Guesses that fit the context and the free blocks: nobody is sent back for a guess."""
        upto = sequence.computed + n
        if upto < len(sequence.ids) or upto >= self.context:
            return []
        guesses = task.guess(sequence, self.context - upto)
        while guesses and sequence.missing(self.pool, upto + len(guesses)) > self.pool.n_available:
            guesses.pop()
        if guesses:
            sequence.make_room(self.pool, upto + len(guesses), self.copy_block)
        return guesses

    def _ensure(self, task: Task, sequence: SequenceState, upto: int) -> bool:
        """Blocks for `upto` tokens, at the cost of later arrivals; False: of `task` itself."""
        while sequence.missing(self.pool, upto) > self.pool.n_available:
            latest = self.running[-1]
            if latest is task and len(self.running) == 1 and self._holds_all(task):
                self.running.remove(task)
                task.end(MemoryError(self._too_small(task, upto)))
                task.drop(self.pool)
                return False
            self._send_back(latest)
            if latest is task:
                return False
        sequence.make_room(self.pool, upto, self.copy_block)
        return True

    def _holds_all(self, task: Task) -> bool:
        """Whether `task` holds every block that is held: nobody else will give one back."""
        own = {block for sequence in task.sequences for block in sequence.table}
        return self.pool.n_held == len(own)

    def _send_back(self, task: Task) -> None:
        self.running.remove(task)
        task.drop(self.pool)
        self.waiting.appendleft(task)
        self.n_preempted += 1

    def _too_small(self, task: Task, upto: int) -> str:
        size = task.sequences[0].block_tokens
        sequences = f"{len(task.sequences)} sequences of " if len(task.sequences) > 1 else ""
        return (
            f"the cache holds {self.pool.n_blocks * size} tokens, too few for {sequences}{upto}; "
            "shorten the prompt or make cache_tokens larger"
        )

    def _admit(self) -> Task | None:
        """The first of the line that may start and whose prompt has room, now running."""
        for task in self.waiting:
            if task.after is not None and not task.after.prompt_computed:
                continue  # the same prompt is being computed: soon it is found in the cache
            if not self._start(task):
                return None  # nobody overtakes one that waits for room
            self.waiting.remove(task)
            self.running.append(task)
            return task
        return None

    def _start(self, task: Task) -> bool:
        known = self.prefix_cache and not task.scores_prompt
        first = task.sequences[0]
        found = first.find_prefix(self.pool) if known else 0
        wanted = first.missing(self.pool, len(first.ids)) + len(task.sequences) - 1
        if wanted > self.pool.n_available and self.running:
            task.drop(self.pool)
            return False
        if known:
            self.n_prefix_asked += len(first.ids)
            self.n_prefix_found += found
            for handle in task.handles:
                handle.n_cached = max(handle.n_cached, min(found, task.n_prompt))
        return True


def _decoding(task: Task) -> bool:
    """Whether the task only needs the next token of each sequence."""
    return all(sequence.uncomputed == 1 for sequence in task.sequences) and (
        task.sequences[0].computed > 0
    )
