"""How to continue one prompt: every setting a request can have, checked once, with its limits.

Names and meanings are those of OpenAI's and vLLM's requests; `typical_p`, `no_repeat_ngram_size`,
`length_penalty` and `early_stopping` those of transformers' GenerationConfig. What the settings do
to a row of logits stands in `adjusting.py` (bias, penalties, bans) and `drawing.py` (temperature
and cuts). Left out: mirostat, DRY, XTC, sampled beams.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["Overflow", "Sampling"]

Overflow = Literal["refuse", "truncate", "slide"]

# field: (least, most); NaN fails both comparisons.
_LIMITS: dict[str, tuple[float, float]] = {
    "max_tokens": (0, math.inf),
    "min_tokens": (0, math.inf),
    "temperature": (0.0, math.inf),
    "top_k": (0, math.inf),
    "top_p": (0.0, 1.0),
    "min_p": (0.0, 1.0),
    "typical_p": (0.0, 1.0),
    "repetition_penalty": (0.0, math.inf),
    "presence_penalty": (-2.0, 2.0),
    "frequency_penalty": (-2.0, 2.0),
    "no_repeat_ngram_size": (0, math.inf),
    "n": (1, math.inf),
    "beams": (1, 64),
    "length_penalty": (-math.inf, math.inf),
    "speculate": (0, 64),
    "logprobs": (0, math.inf),
    "prompt_logprobs": (0, math.inf),
}
_ABOVE_ZERO = {"top_p": "leaves no token", "typical_p": "leaves no token"} | {
    "repetition_penalty": "would divide by zero"
}
_CONSTRAINTS = ("regex", "json_schema", "choice", "json_object")


@dataclass(frozen=True)
class Sampling:
    """How to continue one prompt. The defaults are those of OpenAI's `/v1/completions`.

    Drawing: `temperature` 0 is greedy; `top_k` 0, `top_p` 1, `min_p` 0 and `typical_p` 1 cut
    nothing; `seed` fixes the draws, whatever else is running.
    Penalties: `repetition_penalty` looks at prompt and completion, `presence_penalty` and
    `frequency_penalty` at the completion; `no_repeat_ngram_size` n lets no n tokens occur twice.
    Which tokens: `logit_bias` {id: added}; `allowed_token_ids` None for all; `bad_words`, each a
    text or a sequence of ids, never occur.
    Ending: `min_tokens` before any end; `stop` strings, `stop_token_ids`, the model's own end
    unless `ignore_eos`; `include_stop_str_in_output` leaves the stop in the text.
    Reports: `logprobs` n records the chosen token's and the n likeliest ones' (None: nothing),
    `prompt_logprobs` the same for the prompt.
    Several: `n` completions, the best of `best_of`; `beams` > 1 searches instead of drawing, with
    transformers' `length_penalty` and `early_stopping`.
    Constraint (at most one): the text matches `regex` whole, is JSON of `json_schema`, is a JSON
    object (`json_object`), or is one of `choice`.
    `speculate`: tokens guessed ahead from repetitions in the text; the result stays the same.
    `overflow`: what to do when prompt and `max_tokens` exceed the model's context: "refuse",
    "truncate" the prompt's beginning, or "slide": forget the oldest tokens as the text grows.
    None: the completer's own rule.
    """

    max_tokens: int = 16
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    stop: tuple[str, ...] = ()
    seed: int | None = None
    logprobs: int | None = None
    min_tokens: int = 0
    typical_p: float = 1.0
    repetition_penalty: float = 1.0
    no_repeat_ngram_size: int = 0
    allowed_token_ids: tuple[int, ...] | None = None
    bad_words: tuple[str | tuple[int, ...], ...] = ()
    stop_token_ids: tuple[int, ...] = ()
    include_stop_str_in_output: bool = False
    ignore_eos: bool = False
    prompt_logprobs: int | None = None
    n: int = 1
    best_of: int | None = None
    beams: int = 1
    length_penalty: float = 1.0
    early_stopping: bool | Literal["never"] = False
    speculate: int = 0
    overflow: Overflow | None = None
    regex: str | None = None
    json_schema: Mapping[str, Any] | str | bool | None = None
    json_object: bool = False
    choice: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, (least, most) in _LIMITS.items():
            value = getattr(self, name)
            if value is not None:
                _within(name, value, least, most)
        for name, consequence in _ABOVE_ZERO.items():
            if getattr(self, name) == 0.0:
                raise ValueError(f"{name} is 0, which {consequence}; it must be above 0")
        if any(stop == "" for stop in self.stop):
            raise ValueError("stop holds an empty string, which would stop before the first token")
        if any(len(word) == 0 for word in self.bad_words):
            raise ValueError("bad_words holds an empty word, which nothing could avoid")
        if self.allowed_token_ids is not None and not self.allowed_token_ids:
            raise ValueError("allowed_token_ids is empty, which leaves no token; None allows all")
        self._check_together()

    def _check_together(self) -> None:
        """Settings that exclude or need each other."""
        if self.min_tokens > self.max_tokens:
            raise ValueError(
                f"min_tokens is {self.min_tokens}; it must be at most max_tokens, {self.max_tokens}"
            )
        if self.best_of is not None and self.best_of < self.n:
            raise ValueError(f"best_of is {self.best_of}; it must be at least n, {self.n}")
        if self.overflow not in (None, "refuse", "truncate", "slide"):
            raise ValueError(f"overflow is {self.overflow!r}; use 'refuse', 'truncate' or 'slide'")
        if self.early_stopping not in (True, False, "never"):
            raise ValueError(
                f"early_stopping is {self.early_stopping!r}; it must be True, False or 'never'"
            )
        if self.beams > 1 and self.n > self.beams:
            raise ValueError(f"n is {self.n}; a search of {self.beams} beams finds at most as many")
        asked = [name for name in _CONSTRAINTS if self._set(name)]
        if len(asked) > 1:
            raise ValueError(f"{' and '.join(asked)} are set; a text can keep to only one of them")
        if asked and self.beams > 1:
            raise ValueError(f"{asked[0]} cannot be combined with beams; set beams to 1")

    @property
    def constraint(self) -> str | None:
        """Which of `regex`, `json_schema`, `json_object` and `choice` is set."""
        return next((name for name in _CONSTRAINTS if self._set(name)), None)

    def _set(self, name: str) -> bool:
        return getattr(self, name) not in (None, False, ())


def _within(name: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:  # also false for NaN
        bound = f"at least {least:g}" if most == math.inf else f"from {least:g} to {most:g}"
        raise ValueError(f"{name} is {value}; it must be {bound}")
