"""Ids to steps: bytes to characters, offsets, and text held back while it may become a stop string.

A step's text never ends inside a UTF-8 character: bytes wait for the token that completes them.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass, replace

import numpy as np

from descent.generate.lexicon import Alternative, Lexicon
from descent.generate.sampling import Sampling
from descent.generate.stopping import StopStrings

__all__ = ["Step", "Writer"]


@dataclass(frozen=True, slots=True)
class Step:
    """One token of the prompt (when echoed) or of the completion.

    `token` shows the token alone; `text` is what it adds to the text, "" while a character is
    incomplete or for an end token; `offset` is where that text begins, in characters from the
    start of the prompt. `finish_reason` ("stop" or "length") stands on the last step only.
    """

    id: int
    token: str
    text: str
    offset: int
    logprob: float | None = None
    top: tuple[Alternative, ...] = ()
    prompt: bool = False
    finish_reason: str | None = None


class Writer:
    """Turns the ids of one text into steps, in order."""

    def __init__(self, lexicon: Lexicon, sampling: Sampling) -> None:
        self.lexicon = lexicon
        self.sampling = sampling
        self.stops = StopStrings(sampling.stop)
        self.decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self.offset = 0
        self.pending: list[Step] = []
        self._n_generated = 0
        # What the tokenizer itself put before a text is no part of it.
        self._drop: int = getattr(lexicon.tokenizer, "drop_spaces", 0)
        self._silent = frozenset() if sampling.include_stop_str_in_output else (
            frozenset(sampling.stop_token_ids)
        )  # fmt: skip

    def _step(
        self, id: int, logits: np.ndarray | None, n: int | None, *, prompt: bool, final: bool
    ) -> Step:
        silent = not prompt and id in self._silent
        text = self.decoder.decode(b"" if silent else self.lexicon.bytes(id), final)
        if self._drop and text:
            spaces = len(text[: self._drop]) - len(text[: self._drop].lstrip(" "))
            text, self._drop = text[spaces:], 0
        logprob, top = None, ()
        if n is not None and logits is not None:
            logprob, top = self.lexicon.alternatives(logits, id, n)
        step = Step(id, self.lexicon.show(id), text, self.offset, logprob, top, prompt)
        self.offset += len(text)
        return step

    def prompt_step(self, id: int, logits: np.ndarray | None = None) -> Step:
        """A token of the prompt; `logits` are the row that predicted it, None for the first."""
        n = self.sampling.prompt_logprobs
        n = self.sampling.logprobs if n is None else n
        return self._step(id, logits, n, prompt=True, final=False)

    def generated(self, id: int, logits: np.ndarray, reason: str | None) -> list[Step]:
        """The steps that may be sent now that `id` is known, in order; maybe none."""
        n = self.sampling.logprobs
        self._n_generated += 1
        self.pending.append(self._step(id, logits, n, prompt=False, final=reason is not None))
        text = "".join(step.text for step in self.pending)
        if self._n_generated >= self.sampling.min_tokens:
            found = self.stops.find(text)
            if found is not None:
                begin, end = found
                return self._cut(end if self.sampling.include_stop_str_in_output else begin)
        if reason is not None:
            released, self.pending = self.pending, []
            released[-1] = replace(released[-1], finish_reason=reason)
            return released
        safe, released = len(text) - self.stops.held(text), []
        while self.pending and len(self.pending[0].text) <= safe:
            safe -= len(self.pending[0].text)
            released.append(self.pending.pop(0))
        return released

    def _cut(self, stop_at: int) -> list[Step]:
        """All pending steps with their text cut off at `stop_at`; the last one finishes."""
        released, at = [], stop_at
        start = self.pending[0].offset
        for step in self.pending:
            kept = step.text[: max(at, 0)]
            at -= len(step.text)
            released.append(replace(step, text=kept, offset=min(step.offset, start + stop_at)))
        self.pending = []
        released[-1] = replace(released[-1], finish_reason="stop")
        return released
