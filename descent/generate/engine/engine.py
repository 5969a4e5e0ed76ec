"""Many sequences, one model: each turn computes the next token of all of them in one call.

    turn:  plan (who, which tokens, which blocks) → decoder.step → each task takes its logits

Continuous batching (Yu et al. 2022, Orca): sequences join and leave between any two tokens. A turn
is taken by whoever needs a step (`next(handle)`), or by the engine's own thread between `start` and
`stop`. What a request draws depends on its own seed and text alone. Left out: several models (one
engine each), priorities.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from descent.generate.engine.handle import Handle
from descent.generate.engine.pool import BlockPool
from descent.generate.engine.reports import Completion, Stats, best
from descent.generate.engine.scheduler import Feed, Scheduler
from descent.generate.engine.sequence import SequenceState
from descent.generate.engine.tasks import CompletionTask, Task, fitted
from descent.generate.lexicon import Lexicon
from descent.generate.protocols import Tokenizer
from descent.generate.sampling import Sampling

__all__ = ["Engine"]


class Engine:
    """Batches every request to one `decoder` (see `decoder/`).

    Args:
        tokenizer: a `Tokenizer`, or a `Lexicon`, which knows `eos_ids` and `special` already.
        max_running: sequences computed together at most.
        turn_tokens: tokens of one turn, about: how long prompts may delay running sequences.
        prefix_cache: whether prompts take up what is known of their beginning.
    """

    def __init__(
        self,
        decoder: Any,
        tokenizer: Tokenizer | Lexicon,
        eos_ids: Collection[int] = (),
        special: Mapping[int, str] | None = None,
        *,
        max_running: int = 64,
        turn_tokens: int = 256,
        prefix_cache: bool = True,
    ) -> None:
        if max_running < 1 or turn_tokens < 1:
            raise ValueError("max_running and turn_tokens must be at least 1")
        self.decoder = decoder
        if not isinstance(tokenizer, Lexicon):
            tokenizer = Lexicon(tokenizer, decoder.vocab_size, eos_ids, special)
        self.lexicon = tokenizer
        self.scheduler = Scheduler(
            BlockPool(decoder.n_blocks), decoder.copy_block, decoder.context,
            max_running, turn_tokens, prefix_cache,
        )  # fmt: skip
        self._inbox: deque[Task] = deque()
        self._turn = threading.RLock()
        self._work = threading.Condition()
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._counts = dict.fromkeys(("prompt", "generated", "guessed", "accepted", "turns"), 0)

    # Requests

    def submit(
        self,
        prompt_ids: Sequence[int],
        sampling: Sampling,
        *,
        hidden: int = 0,
        echo: bool = False,
        choice: int = 0,
    ) -> Handle:
        """Queue one completion of `prompt_ids`; safe from any thread.

        `hidden` leading ids are not part of the text; `echo` yields the prompt's steps first;
        `choice` selects an independent stream of the same seed.

        Raises:
            ValueError: settings that cannot be kept, or a prompt that does not fit the context.
        """
        return self._submit(prompt_ids, sampling, [choice], hidden, echo)[0]

    def submit_all(
        self, prompt_ids: Sequence[int], sampling: Sampling, *, hidden: int = 0, echo: bool = False
    ) -> list[Handle]:
        """Queue all `best_of` (or `n`) completions of a prompt, which is computed once."""
        n = sampling.n if sampling.beams > 1 else sampling.best_of or sampling.n
        return self._submit(prompt_ids, sampling, range(n), hidden, echo)

    def _submit(
        self,
        prompt_ids: Sequence[int],
        sampling: Sampling,
        choices: Sequence[int],
        hidden: int,
        echo: bool,
    ) -> list[Handle]:
        context, overflow = self.decoder.context, sampling.overflow or "refuse"
        self._check(prompt_ids)
        ids = fitted(prompt_ids, sampling, context, overflow, hidden)
        hidden = hidden if ids[:hidden] == list(prompt_ids[:hidden]) else 0
        shown = {"context": context, "hidden": hidden, "echo": echo}

        def start() -> SequenceState:
            return SequenceState(ids, self.decoder.block_tokens)

        def handle() -> Handle:
            return Handle(self._advance, self._let_go)

        tasks: list[Task] = []
        if sampling.beams > 1:
            from descent.generate.engine.beams import BeamTask

            handles = [handle() for _ in choices]
            tasks = [BeamTask(handles, start(), self.lexicon, sampling, **shown)]
        else:
            more = {**shown, "overflow": overflow}
            for choice in choices:
                more["choice"] = choice
                tasks.append(CompletionTask(handle(), start(), self.lexicon, sampling, **more))
            for task in tasks[1:]:
                task.after = tasks[0]
        self._counts["prompt"] += len(ids)
        with self._work:
            self._inbox.extend(task for task in tasks if not task.done)
            self._work.notify_all()
        return [handle for task in tasks for handle in task.handles]

    def _check(self, ids: Sequence[int]) -> None:
        size = self.lexicon.vocab_size
        for position, id in enumerate(ids):
            if not 0 <= id < size:
                raise ValueError(
                    f"token {id} at position {position} of the prompt is outside the vocabulary "
                    f"0…{size - 1}"
                )

    def generate(
        self,
        prompts: Sequence[str | Sequence[int]],
        sampling: Sampling | None = None,
        *,
        echo: bool = False,
    ) -> list[list[Completion]]:
        """The completions of each prompt (text or ids), all computed together.

        With `best_of` > `n` the n of the highest mean log-probability, best first.
        """
        sampling = sampling or Sampling()
        ranked = sampling.beams == 1 and sampling.best_of is not None
        if ranked and sampling.best_of != sampling.n and sampling.logprobs is None:
            sampling = replace(sampling, logprobs=0)
        encode = self.lexicon.tokenizer.encode
        groups = [
            self.submit_all(encode(p) if isinstance(p, str) else p, sampling, echo=echo)
            for p in prompts
        ]
        made = [[Completion.of(list(handle)) for handle in group] for group in groups]
        return [best(group, sampling.n) if ranked else group for group in made]

    # Turns

    def turn(self) -> bool:
        """Compute one token for everyone; False when there was nothing to do."""
        with self._turn:
            with self._work:
                while self._inbox:
                    self.scheduler.waiting.append(self._inbox.popleft())
            feeds = self.scheduler.plan()
            if not feeds:
                return False
            self._counts["turns"] += 1
            try:
                self._compute(feeds)
            except Exception as error:  # the decoder's failure belongs to those it computed for
                for feed in feeds:
                    feed.task.end(error)
            self.scheduler.sweep()
            return True

    def _compute(self, feeds: list[Feed]) -> None:
        tokens, positions, rows_of, starts, wanted = [], [], [], [], []
        for number, (task, sequence, n, guesses) in enumerate(feeds):
            starts.append(sequence.computed)
            at, first = sequence.computed, len(tokens)
            tokens += [*sequence.ids[at : at + n], *guesses]
            positions += range(at, at + n + len(guesses))
            rows_of += [number] * (n + len(guesses))
            whole = at + n == len(sequence.ids)
            begin = first if task.scores_prompt else first + n - 1 if whole else len(tokens)
            wanted.append(range(begin, len(tokens)))
        logits = self.decoder.step(
            np.array(tokens, np.int32),
            np.array(positions, np.int32),
            np.array(rows_of, np.int32),
            _tables([feed.sequence.table for feed in feeds]),
            np.array([row for rows in wanted for row in rows], np.int32),
        )
        rows, at = [], 0
        for group in wanted:
            rows.append(logits[at : at + len(group)])
            at += len(group)
        self._hand_out(feeds, starts, rows)

    def _hand_out(self, feeds: list[Feed], starts: list[int], rows: list[np.ndarray]) -> None:
        """The tokens are in the cache; every task takes the logits of its sequences."""
        pool = self.scheduler.pool
        by_task: dict[int, list[int]] = {}
        for number, feed in enumerate(feeds):
            feed.sequence.computed += feed.n
            by_task.setdefault(id(feed.task), []).append(number)
        for numbers in by_task.values():
            task = feeds[numbers[0]].task
            try:
                self._hand_to(task, [feeds[i] for i in numbers], starts, rows, numbers)
            except Exception as error:  # unusable logits or settings: this request's alone
                task.end(error)
            else:
                for number in numbers:
                    if feeds[number].sequence in task.sequences:
                        feeds[number].sequence.register(pool)

    def _hand_to(
        self,
        task: Task,
        feeds: list[Feed],
        starts: list[int],
        rows: list[np.ndarray],
        numbers: list[int],
    ) -> None:
        if task.scores_prompt:
            number = numbers[0]
            task.prompt_rows(starts[number], rows[number])
        if task.done or any(sequence.uncomputed for sequence in task.sequences):
            return
        guesses = [feed.guesses for feed in feeds]
        last = [rows[i][-1 - len(g) :] for i, g in zip(numbers, guesses)]
        before = [len(sequence.ids) for sequence in task.sequences]
        task.take(last, guesses, self.scheduler.pool)
        made = sum(max(len(s.ids) - n, 0) for s, n in zip(task.sequences, before))
        n_guessed = sum(map(len, guesses))
        self._counts["generated"] += made
        self._counts["guessed"] += n_guessed
        self._counts["accepted"] += max(made - len(feeds), 0) if n_guessed else 0

    def hidden(self, ids: Sequence[int]) -> np.ndarray:
        """The last norm's output for each token of one text, float32 [T, C].

        Taken in pieces between the turns of what is running.

        Raises:
            RuntimeError: every block of the cache is held.
        """
        self._check(ids)
        pool, size, at_once = self.scheduler.pool, self.decoder.block_tokens, 64
        table: list[int] = []
        pieces: list[np.ndarray] = []
        try:
            for start in range(0, len(ids), at_once):
                piece = np.array(ids[start : start + at_once], np.int32)
                rows = np.arange(len(piece), dtype=np.int32)
                with self._turn:
                    while len(table) * size < start + len(piece):
                        block = pool.take()
                        if block is None:
                            raise RuntimeError("the key-value cache is full; try again later")
                        table.append(block)
                    tables = _tables([table])
                    at = self.decoder.hidden(piece, rows + start, 0 * rows, tables, rows)
                pieces.append(np.array(at))
        finally:
            with self._turn:
                pool.release(table)
        return np.concatenate(pieces)

    # Threads

    def start(self) -> None:
        """Take turns in a thread of one's own until `stop`; sleeps while there is nothing to do."""
        with self._work:
            if self._thread is not None:
                return
            self._stopping = False
            self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the thread after its current turn; what is running stays and can be gone on with."""
        with self._work:
            thread, self._stopping = self._thread, True
            self._work.notify_all()
        if thread is not None:
            thread.join()
        self._thread = None

    def _run(self) -> None:
        while not self._stopping:
            if not self.turn():
                with self._work:
                    self._work.wait_for(lambda: self._inbox or self._stopping, timeout=1.0)

    def _advance(self, handle: Handle) -> None:
        """Called by a handle that has nothing to show: wait for the thread, or take a turn."""
        if self._thread is not None and threading.current_thread() is not self._thread:
            handle.wait(timeout_s=1.0)
            return
        with self._turn:
            if handle.has_news or self.turn() or handle.has_news:
                return
            if not self.scheduler.waiting:
                raise RuntimeError("the engine has nothing to do, but a request is not complete")
        time.sleep(0.001)  # blocks are lent to `hidden`, which needs the lock to give them back

    def _let_go(self) -> None:
        """Called when a handle is cancelled: free its blocks now, unless a turn will anyway."""
        if self._turn.acquire(blocking=False):
            try:
                self.scheduler.sweep()
            finally:
                self._turn.release()

    @property
    def stats(self) -> Stats:
        """A snapshot, for metrics."""
        s, counts = self.scheduler, self._counts
        return Stats(
            running=len(s.running),
            waiting=len(s.waiting) + len(self._inbox),
            cache_use=s.pool.n_held / s.pool.n_blocks,
            prefix_tokens_asked=s.n_prefix_asked,
            prefix_tokens_found=s.n_prefix_found,
            preempted=s.n_preempted,
            prompt_tokens=counts["prompt"],
            generated_tokens=counts["generated"],
            guessed_tokens=counts["guessed"],
            accepted_guesses=counts["accepted"],
            turns=counts["turns"],
        )


def _tables(tables: Sequence[Sequence[int]]) -> np.ndarray:
    """Block tables as one int32 array [S, most], padded with 0."""
    out = np.zeros((len(tables), max(map(len, tables))), np.int32)
    for row, table in zip(out, tables):
        row[: len(table)] = table
    return out
