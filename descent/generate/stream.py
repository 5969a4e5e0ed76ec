"""Generate token by token: feed, draw, decode, stop; a `Step` per token once its text is safe.

    logits = session.feed(prompt);  repeat: id ~ p(logits);  logits = session.feed([id])

A step's text never ends inside a UTF-8 character (bytes wait for the token that completes them) and
is held back while it may be the beginning of a stop string. Left out: several sequences at once.
"""

from __future__ import annotations

import codecs
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from descent.generate.protocols import LanguageModel, Tokenizer
from descent.generate.sampling import (
    Sampling,
    check_logits,
    generator,
    log_softmax,
    sample,
    top_ids,
)
from descent.generate.stopping import StopStrings

__all__ = ["Alternative", "Step", "TokenText", "complete"]


class Alternative(NamedTuple):
    """A token that could have stood here. `logprob` is natural, of the untempered distribution."""

    id: int
    token: str
    logprob: float


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


class TokenText:
    """How single tokens are shown, and their bytes; `special` ids have a name and no bytes."""

    def __init__(self, tokenizer: Tokenizer, special: Mapping[int, str] | None = None) -> None:
        self._tokenizer = tokenizer
        self.special = dict(special or {})

    def bytes(self, id: int) -> bytes:
        return b"" if self._name(id) is not None else self._tokenizer.token_bytes(id)

    def _name(self, id: int) -> str | None:
        # A model's vocabulary may be padded beyond the tokenizer's; such ids stand for nothing.
        padding = f"<|{id}|>" if id >= self._tokenizer.vocab_size else None
        return self.special.get(id, padding)

    def show(self, id: int) -> str:
        """The token's text, its special name, or `bytes:\\xe2` where it is not UTF-8 alone."""
        name = self._name(id)
        if name is not None:
            return name
        raw = self._tokenizer.token_bytes(id)
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            return "bytes:" + "".join(f"\\x{byte:02x}" for byte in raw)

    def alternatives(self, logits: np.ndarray, chosen: int, n: int) -> tuple[float, tuple]:
        """The chosen token's log-probability and the n likeliest alternatives, likeliest first."""
        logp = log_softmax(logits)
        top = tuple(
            Alternative(int(i), self.show(int(i)), float(logp[i])) for i in top_ids(logits, n)
        )
        return float(logp[chosen]), top


def complete(
    model: LanguageModel,
    tokenizer: Tokenizer,
    prompt_ids: Sequence[int],
    sampling: Sampling,
    *,
    eos_ids: Collection[int] = (),
    special: Mapping[int, str] | None = None,
    hidden: int = 0,
    echo: bool = False,
    choice: int = 0,
) -> Iterator[Step]:
    """Continue `prompt_ids` (at least one id); yields the steps of the completion, one per token.

    `hidden`: how many leading ids (a begin token) are not part of the text. `echo` yields the
    prompt's own steps first. `choice` selects an independent stream of the same seed. Closing the
    iterator stops generation; nothing runs ahead of the consumer.
    """
    if not prompt_ids:
        raise ValueError("the prompt has no tokens; give at least a begin token")
    writer = _Writer(TokenText(tokenizer, special), sampling)
    session = model.session()
    if echo and sampling.logprobs is not None:
        logits = None
        for position, id in enumerate(prompt_ids):
            step = writer.prompt_step(id, logits, shown=position >= hidden)
            if step is not None:
                yield step
            logits = check_logits(session.feed([id]), model.vocab_size)
    else:
        for position, id in enumerate(prompt_ids):
            step = writer.prompt_step(id, None, shown=position >= hidden)
            if echo and step is not None:
                yield step
        # A completion of no tokens needs no logits: nothing is fed.
        fed = session.feed(prompt_ids) if sampling.max_tokens else None
        logits = None if fed is None else check_logits(fed, model.vocab_size)

    rng, counts = generator(sampling.seed, choice), Counter()
    for count in range(1, sampling.max_tokens + 1):
        assert logits is not None
        id = sample(logits, sampling, rng, counts)
        counts[id] += 1
        reason = "stop" if id in eos_ids else "length" if count == sampling.max_tokens else None
        steps = writer.generated(id, logits, reason)
        yield from steps
        if steps and steps[-1].finish_reason:
            return
        logits = check_logits(session.feed([id]), model.vocab_size)


class _Writer:
    """Turns ids into steps: decodes bytes, keeps offsets, holds steps back for stop strings."""

    def __init__(self, names: TokenText, sampling: Sampling) -> None:
        self.names = names
        self.sampling = sampling
        self.stops = StopStrings(sampling.stop)
        self.decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self.offset = 0
        self.pending: list[Step] = []

    def _step(self, id: int, logits: np.ndarray | None, *, prompt: bool, final: bool) -> Step:
        text = self.decoder.decode(self.names.bytes(id), final)
        logprob, top = None, ()
        if self.sampling.logprobs is not None and logits is not None:
            logprob, top = self.names.alternatives(logits, id, self.sampling.logprobs)
        step = Step(id, self.names.show(id), text, self.offset, logprob, top, prompt)
        self.offset += len(text)
        return step

    def prompt_step(self, id: int, logits: np.ndarray | None, *, shown: bool) -> Step | None:
        return self._step(id, logits, prompt=True, final=False) if shown else None

    def generated(self, id: int, logits: np.ndarray, reason: str | None) -> list[Step]:
        """The steps that may be sent now that `id` is known, in order; maybe none."""
        self.pending.append(self._step(id, logits, prompt=False, final=reason is not None))
        text = "".join(step.text for step in self.pending)
        stop_at = self.stops.find(text)
        if stop_at is not None:
            return self._cut(stop_at)
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
