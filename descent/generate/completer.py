"""A completer: what a run folder loads into and what is served: a model, its tokenizer, its end.

    ids = [begin] + encode(prompt);  text = decode(complete(model, ids))

Left out: loading (each goal knows its own run folder) and HTTP (`descent.serve`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Any, Literal

import numpy as np

from descent.generate.engine import Completion, Engine
from descent.generate.engine.reports import best
from descent.generate.lexicon import Lexicon
from descent.generate.protocols import LanguageModel, Tokenizer
from descent.generate.sampling import Sampling
from descent.generate.stream import Step, continued
from descent.generate.streams import Streams

__all__ = ["Completer", "Prompt", "PromptError"]


class PromptError(ValueError):
    """A prompt or setting this completer cannot take; `param` names the field at fault."""

    def __init__(self, message: str, *, param: str, code: str | None = None) -> None:
        super().__init__(message)
        self.param = param
        self.code = code


@dataclass(frozen=True)
class Prompt:
    """Token ids ready to feed; the first `hidden` of them are not part of the user's text."""

    ids: tuple[int, ...]
    hidden: int

    @property
    def n_tokens(self) -> int:
        """Tokens the user sent (a begin token put in front is not counted)."""
        return len(self.ids) - self.hidden


@dataclass
class Completer:
    """A named model that continues text.

    `created`: unix seconds. `eos_ids` end a completion. `bos_id`, where given, is put before every
    text prompt. `info`: JSON-able facts shown by `GET /v1/models` (`kind`, `parameters`, `explain`
    …).
    `defaults`: what a request that says nothing gets. `overflow`: "refuse" answers an error when
    prompt + max_tokens exceed `model.context`; "slide" lets the model forget the oldest tokens,
    which is right for n-grams and other models of a short window. `chat`: renders messages to a
    prompt (`data.tokenizers.chat.ChatTemplate`). `embed`: ids to the float32 [T, C] outputs of the
    final norm.
    """

    name: str
    created: int
    model: LanguageModel
    tokenizer: Tokenizer
    eos_ids: Sequence[int] = ()
    bos_id: int | None = None
    info: dict[str, Any] = field(default_factory=dict)
    defaults: Sampling = field(default_factory=Sampling)
    overflow: Literal["refuse", "slide"] = "refuse"
    chat: Any = None
    embed: Callable[[Sequence[int]], np.ndarray] | None = None

    def __post_init__(self) -> None:
        self._lock = Lock()
        self._lexicon: Lexicon | None = None
        self._engine: tuple[Engine | None] | None = None
        size = self.model.vocab_size
        for id in [*self.eos_ids, *([] if self.bos_id is None else [self.bos_id])]:
            if not 0 <= id < size:
                raise ValueError(f"{self.name}: special token id {id} is outside 0…{size - 1}")
        if self.tokenizer.vocab_size > size:
            raise ValueError(
                f"{self.name}: the tokenizer makes {self.tokenizer.vocab_size} different ids, "
                f"the model knows {size}; they belong to different runs"
            )

    @property
    def special(self) -> dict[int, str]:
        """Ids that have no text of their own, with the name they are shown by."""
        known = getattr(self.tokenizer, "special_tokens", None) or {}
        own = {id: name for name, id in known.items()}
        names = {} if self.bos_id is None else {self.bos_id: own.get(self.bos_id, "<|begin|>")}
        return names | {id: own.get(id, "<|endoftext|>") for id in self.eos_ids}

    def encode(
        self, prompt: str | Sequence[int], *, begin: bool = True, special: bool = False
    ) -> Prompt:
        """Text or ids to a `Prompt`. An empty one starts from begin, end, or a line break.

        `begin` False puts no begin token before a text; `special` reads the names of special
        tokens in it as those tokens.
        """
        if isinstance(prompt, str):
            ids = self.text_ids(prompt, special=special)
            hidden = () if self.bos_id is None or not begin else (self.bos_id,)
        else:
            ids, hidden = tuple(prompt), ()
            for position, id in enumerate(ids):
                if not 0 <= id < self.model.vocab_size:
                    raise PromptError(
                        f"token {id} at position {position} of prompt is outside the vocabulary "
                        f"0…{self.model.vocab_size - 1} of {self.name}",
                        param="prompt",
                    )
        if not ids and not hidden:
            hidden = self._start()
        return Prompt(hidden + ids, len(hidden))

    def text_ids(self, text: str, *, special: bool = False) -> tuple[int, ...]:
        """The ids of `text` alone; `PromptError` where the vocabulary cannot spell it."""
        encode: Any = self.tokenizer.encode
        named = special and getattr(self.tokenizer, "special_tokens", None)
        try:
            return tuple(encode(text, allowed_special="all") if named else encode(text))
        except (KeyError, ValueError) as error:  # a character vocabulary lacks most of Unicode
            reason = error.args[0] if error.args else error
            raise PromptError(
                f"{self.name} cannot read the prompt: {reason}", param="prompt"
            ) from error

    def _start(self) -> tuple[int, ...]:
        if self.bos_id is not None:
            return (self.bos_id,)
        if self.eos_ids:
            return (self.eos_ids[0],)
        start = tuple(self.tokenizer.encode("\n"))  # a text begins where a line has just ended
        if not start:
            raise PromptError(f"{self.name} needs a prompt: it has no begin token", param="prompt")
        return start

    def fit(self, prompt: Prompt, max_tokens: int, keep: int | None = None) -> Prompt:
        """`prompt` if it and `max_tokens` more fit the context; else a `PromptError`.

        `keep` n cuts the prompt to its last n tokens first; −1 to as many as leave room, and the
        window may slide after that.
        """
        context = self.model.context
        if keep is not None and keep < 0:
            if context is None:
                return prompt
            room = max(context - max_tokens, context // 2, 1 + prompt.hidden)
            return _last(prompt, room - prompt.hidden)
        if keep is not None:
            prompt = _last(prompt, keep)
        total = len(prompt.ids) + max_tokens
        if self.overflow == "refuse" and context is not None and total > context:
            too_long = len(prompt.ids) > context
            raise PromptError(
                f"{self.name} has a context of {context} tokens, but {total} were asked for "
                f"({len(prompt.ids)} in the prompt, {max_tokens} for the completion); shorten the "
                "prompt, lower max_tokens, or set truncate_prompt_tokens to -1",
                param="prompt" if too_long else "max_tokens",
                code="context_length_exceeded",
            )
        return prompt

    @property
    def lexicon(self) -> Lexicon:
        """The tokenizer as generation uses it, with compiled constraints, made once."""
        with self._lock:
            if self._lexicon is None:
                size = self.model.vocab_size
                self._lexicon = Lexicon(self.tokenizer, size, self.eos_ids, self.special)
            return self._lexicon

    @property
    def engine(self) -> Engine | None:
        """What batches the requests of a model that has a `decoder`; None: one at a time."""
        lexicon = self.lexicon
        with self._lock:
            if self._engine is None:
                decoder = getattr(self.model, "decoder", None)
                self._engine = (Engine(decoder, lexicon) if decoder is not None else None,)
            return self._engine[0]

    @property
    def made_engine(self) -> Engine | None:
        """The engine if there is one already; asking makes none."""
        return self._engine[0] if self._engine else None

    def check(self, sampling: Sampling) -> None:
        """Refuse settings that this model cannot keep to, before a request stands in line.

        Raises:
            PromptError: a constraint that cannot be kept, or beams where there is no engine.
        """
        try:
            self.lexicon.guide(sampling)
        except ValueError as error:
            raise PromptError(str(error), param=sampling.constraint or "sampling") from error
        if sampling.beams > 1 and self.engine is None:
            raise PromptError(f"{self.name} has no beam search; set beams to 1", param="beams")

    def stream(
        self, prompt: Prompt, sampling: Sampling, *, echo: bool = False, choice: int = 0
    ) -> Iterator[Step]:
        """The steps of one completion; see `descent.generate.stream.complete`."""
        more: dict[str, Any] = {"hidden": prompt.hidden, "echo": echo, "choice": choice}
        if self.engine is not None:
            return self.engine.submit(prompt.ids, self._placed(sampling), **more)
        return continued(self.model, self.lexicon, prompt.ids, sampling, **more)

    def _placed(self, sampling: Sampling) -> Sampling:
        """With an overflow: `fit` has been asked whether the prompt may slide."""
        return sampling if sampling.overflow else replace(sampling, overflow="slide")

    def streams(
        self, prompts: Sequence[Prompt], sampling: Sampling, *, n: int = 1, echo: bool = False
    ) -> Streams:
        """`n` completions of each prompt as `(index, Step)`: computed together by an engine, else
        one after another. Index: prompt 0's completions, then prompt 1's …"""
        choices = [(prompt, choice) for prompt in prompts for choice in range(n)]

        def start() -> list[Iterator[Step]]:
            engine = self.engine
            if engine is None:
                return [self.stream(p, sampling, echo=echo, choice=c) for p, c in choices]
            settings = replace(self._placed(sampling), n=n, best_of=None)
            handles: list[Iterator[Step]] = []
            for prompt in prompts:
                more = {"hidden": prompt.hidden, "echo": echo}
                handles += engine.submit_all(prompt.ids, settings, **more)
            return handles

        return Streams(start)

    def generate(
        self, prompts: Sequence[str | Sequence[int]], sampling: Sampling | None = None
    ) -> list[list[Completion]]:
        """The `n` completions of each prompt, computed together where the model has an engine.

        Prompts too long for the context lose their beginning unless `sampling.overflow` says
        "refuse".

        Raises:
            PromptError: a prompt or setting that cannot be taken.
        """
        sampling = sampling or self.defaults
        self.check(sampling)
        n = sampling.n if sampling.beams > 1 else sampling.best_of or sampling.n
        if n > sampling.n and sampling.logprobs is None:
            sampling = replace(sampling, logprobs=0)  # needed to tell which is best
        keep = None if sampling.overflow == "refuse" else -1
        ready = [self.fit(self.encode(p), sampling.max_tokens, keep) for p in prompts]
        steps: list[list[Step]] = [[] for _ in range(n * len(ready))]
        for index, step in self.streams(ready, sampling, n=n):
            steps[index].append(step)
        made = [Completion.of(group) for group in steps]
        return [best(made[i : i + n], sampling.n) for i in range(0, len(made), n)]

    def complete_text(self, prompt: str = "", **settings: Any) -> str:
        """The continuation of `prompt` as text; `settings` are fields of `Sampling`."""
        sampling = replace(self.defaults, **settings)
        ready = self.fit(self.encode(prompt), sampling.max_tokens, keep=-1)
        return "".join(step.text for step in self.stream(ready, sampling))


def _last(prompt: Prompt, n: int) -> Prompt:
    """The prompt with its begin token and no more than its last `n` tokens."""
    begin, rest = prompt.ids[: prompt.hidden], prompt.ids[prompt.hidden :]
    return Prompt(begin + rest[max(len(rest) - n, 0) :], prompt.hidden)
