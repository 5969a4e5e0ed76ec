"""The body of `POST /v1/completions`: OpenAI's fields and limits, and what pydantic makes of them.

Reference: OpenAI API, "Create completion (legacy)". Fields of vLLM served beyond it: `top_k`,
`min_p`, `truncate_prompt_tokens`, `return_token_ids`. Unknown fields are ignored and logged.
`suffix` is refused: no model here is trained to fill the middle. Replies are built in `replies.py`.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from descent.generate.sampling import Sampling

__all__ = ["CompletionRequest", "StreamOptions"]

MAX_CHOICES = 128
MAX_PROMPTS = 1024


def _prompt(value: Any) -> Any:
    """One clear sentence instead of one error per member of the union."""
    if value is None:
        return ""
    if isinstance(value, str) or _ids(value):
        return value
    if isinstance(value, list) and (
        all(isinstance(item, str) for item in value) or all(map(_ids, value))
    ):
        if len(value) > MAX_PROMPTS:
            raise ValueError(f"a request may hold at most {MAX_PROMPTS} prompts, not {len(value)}")
        return value
    raise ValueError(
        "prompt must be a string, a list of strings, a list of token ids, or a list of such lists"
    )


def _ids(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) > 0
        and all(isinstance(item, int) and not isinstance(item, bool) for item in value)
    )


def _stop(value: Any) -> Any:
    if value is None:
        return []
    stops = [value] if isinstance(value, str) else value
    if not isinstance(stops, list) or not all(isinstance(stop, str) for stop in stops):
        raise ValueError("stop must be a string or a list of strings")
    if not all(stops):
        raise ValueError("a stop string must have at least one character")
    if len(stops) > 16:
        raise ValueError(f"at most 16 stop strings are taken, not {len(stops)}")
    return stops


class StreamOptions(BaseModel):
    """`include_usage`: one more chunk with the token counts before `[DONE]`."""

    model_config = ConfigDict(extra="allow")
    include_usage: bool = False


class CompletionRequest(BaseModel):
    """What a client may ask. None means: the completer's default, which is OpenAI's unless
    changed."""

    model_config = ConfigDict(extra="allow")

    model: str | None = None
    prompt: Annotated[str | list[str] | list[int] | list[list[int]], BeforeValidator(_prompt)] = ""
    suffix: str | None = None
    max_tokens: int | None = Field(default=None, ge=0)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    n: int | None = Field(default=None, ge=1, le=MAX_CHOICES)
    best_of: int | None = Field(default=None, ge=1, le=MAX_CHOICES)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    logprobs: int | None = Field(default=None, ge=0, le=20)
    echo: bool | None = None
    stop: Annotated[list[str], BeforeValidator(_stop)] = Field(default_factory=list)
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    logit_bias: dict[int, Annotated[float, Field(ge=-100, le=100)]] | None = None
    seed: int | None = Field(default=None, ge=-(2**63), lt=2**64)
    user: str | None = None
    top_k: int | None = Field(default=None, ge=-1)
    min_p: float | None = Field(default=None, ge=0, le=1)
    truncate_prompt_tokens: int | None = Field(default=None, ge=-1)
    return_token_ids: bool | None = None

    @field_validator("logprobs", "max_tokens", "n", "best_of", "top_k", "seed", mode="before")
    @classmethod
    def _no_booleans(cls, value: Any) -> Any:
        if isinstance(value, bool):  # JSON's true would pass for 1
            raise ValueError("Input should be a valid integer, not true or false")
        return value

    @field_validator("suffix")
    @classmethod
    def _no_suffix(cls, value: str | None) -> str | None:
        if value:
            raise ValueError("suffix is not supported: the models served here only continue a text")
        return value

    @model_validator(mode="after")
    def _agree(self) -> CompletionRequest:
        if self.stream_options is not None and not self.stream:
            raise ValueError("stream_options is only allowed when stream is true")
        if self.best_of is not None:
            if self.best_of < (self.n or 1):
                raise ValueError(f"best_of ({self.best_of}) must be at least n ({self.n or 1})")
            if self.stream and self.best_of > (self.n or 1):
                raise ValueError("best_of cannot be streamed: the best is known only at the end")
        return self

    @property
    def prompts(self) -> list[str] | list[list[int]]:
        """The prompts as a list, whichever of the four forms was sent."""
        prompt = self.prompt
        if isinstance(prompt, str):
            return [prompt]
        if prompt and isinstance(prompt[0], int):
            return [prompt]  # type: ignore[list-item]
        return prompt  # type: ignore[return-value]

    def sampling(self, defaults: Sampling) -> Sampling:
        """The request's settings over the completer's `defaults`."""

        def pick(name: str) -> Any:
            value = getattr(self, name)
            return getattr(defaults, name) if value is None else value

        return Sampling(
            max_tokens=pick("max_tokens"),
            temperature=pick("temperature"),
            top_k=max(0, pick("top_k")),  # vLLM writes "off" as −1
            top_p=pick("top_p"),
            min_p=pick("min_p"),
            presence_penalty=pick("presence_penalty"),
            frequency_penalty=pick("frequency_penalty"),
            logit_bias=pick("logit_bias"),
            stop=tuple(self.stop) or defaults.stop,
            seed=self.seed,
            logprobs=self.logprobs,
        )
