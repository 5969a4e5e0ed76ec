"""What every text request can say about how to continue: OpenAI's fields, and those of vLLM.

None means: the completer's default, which is OpenAI's unless changed. Unknown fields are ignored
and logged. The meaning of each setting stands in `descent.generate.sampling.Sampling`.
Left out: `priority`, `logits_processors`, beams (see docs/serving.md).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from descent.generate.sampling import Sampling
from descent.serve.structured import constraint

__all__ = ["MAX_CHOICES", "GenerationRequest", "StreamOptions"]

MAX_CHOICES = 128
_MAX_STOPS = 16
_MAX_LIST = 4096  # ids or words in one list


def _stop(value: Any) -> Any:
    if value is None:
        return []
    stops = [value] if isinstance(value, str) else value
    if not isinstance(stops, list) or not all(isinstance(stop, str) for stop in stops):
        raise ValueError("stop must be a string or a list of strings")
    if not all(stops):
        raise ValueError("a stop string must have at least one character")
    if len(stops) > _MAX_STOPS:
        raise ValueError(f"at most {_MAX_STOPS} stop strings are taken, not {len(stops)}")
    return stops


class StreamOptions(BaseModel):
    """`include_usage`: one more chunk with the token counts before `[DONE]`."""

    model_config = ConfigDict(extra="allow")
    include_usage: bool = False


_Ids = Annotated[list[Annotated[int, Field(ge=0)]], Field(max_length=_MAX_LIST)]


class GenerationRequest(BaseModel):
    """The fields that completions and chat share."""

    model_config = ConfigDict(extra="allow")

    model: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: int | None = Field(default=None, ge=1, le=MAX_CHOICES)
    max_tokens: int | None = Field(default=None, ge=0)
    min_tokens: int | None = Field(default=None, ge=0)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    top_k: int | None = Field(default=None, ge=-1)
    min_p: float | None = Field(default=None, ge=0, le=1)
    typical_p: float | None = Field(default=None, gt=0, le=1)
    repetition_penalty: float | None = Field(default=None, gt=0, le=100)
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    no_repeat_ngram_size: int | None = Field(default=None, ge=0)
    logit_bias: dict[int, Annotated[float, Field(ge=-100, le=100)]] | None = None
    allowed_token_ids: _Ids | None = None
    bad_words: Annotated[list[str], Field(max_length=_MAX_LIST)] | None = None
    seed: int | None = Field(default=None, ge=-(2**63), lt=2**64)
    stop: Annotated[list[str], BeforeValidator(_stop)] = Field(default_factory=list)
    stop_token_ids: _Ids | None = None
    include_stop_str_in_output: bool | None = None
    ignore_eos: bool | None = None
    speculate: int | None = Field(default=None, ge=0, le=64)
    truncate_prompt_tokens: int | None = Field(default=None, ge=-1)
    add_special_tokens: bool | None = None
    return_token_ids: bool | None = None
    response_format: dict[str, Any] | None = None
    structured_outputs: dict[str, Any] | None = None
    guided_json: dict[str, Any] | str | None = None
    guided_regex: str | None = None
    guided_choice: list[str] | None = None
    guided_grammar: str | None = None
    user: str | None = None

    @field_validator(
        "max_tokens", "min_tokens", "n", "top_k", "seed", "no_repeat_ngram_size", "speculate",
        "truncate_prompt_tokens", mode="before",
    )  # fmt: skip
    @classmethod
    def _no_booleans(cls, value: Any) -> Any:
        if isinstance(value, bool):  # JSON's true would pass for 1
            raise ValueError("Input should be a valid integer, not true or false")
        return value

    @model_validator(mode="after")
    def _stream_options(self) -> GenerationRequest:
        if self.stream_options is not None and not self.stream:
            raise ValueError("stream_options is only allowed when stream is true")
        return self

    def sampling(self, defaults: Sampling, **more: Any) -> Sampling:
        """The request's settings over the completer's `defaults`; `more` are settings worked out.

        Raises:
            ValueError: settings that exclude each other, the first word naming one of them.
            ApiError: a constraint on the output that cannot be kept to.
        """
        asked: dict[str, Any] = {}
        for name in _PLAIN:
            if (value := getattr(self, name)) is not None:
                asked[name] = value
        if "top_k" in asked:
            asked["top_k"] = max(0, asked["top_k"])  # vLLM writes "off" as −1
        for name in ("stop", "stop_token_ids", "allowed_token_ids", "bad_words"):
            if value := getattr(self, name):
                asked[name] = tuple(value)
        return replace(defaults, seed=self.seed, **{**asked, **constraint(self), **more})


_PLAIN = (
    "max_tokens", "min_tokens", "temperature", "top_p", "top_k", "min_p", "typical_p",
    "repetition_penalty", "presence_penalty", "frequency_penalty", "no_repeat_ngram_size",
    "logit_bias", "include_stop_str_in_output", "ignore_eos", "speculate",
)  # fmt: skip
