"""The body of `POST /v1/completions`: OpenAI's fields and limits, and what pydantic makes of them.

Reference: OpenAI API, "Create completion (legacy)"; further fields in `settings.py`. Replies are
built in `replies.py`.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, field_validator, model_validator

from descent.serve.settings import MAX_CHOICES, GenerationRequest

__all__ = ["CompletionRequest", "Texts", "prompt_of", "prompts_of"]

MAX_PROMPTS = 1024
Texts = str | list[str] | list[int] | list[list[int]]


def prompt_of(value: Any, name: str = "prompt") -> Any:
    """One clear sentence instead of one error per member of the union."""
    if value is None:
        return ""
    if isinstance(value, str) or _ids(value):
        return value
    if isinstance(value, list) and (
        all(isinstance(item, str) for item in value) or all(map(_ids, value))
    ):
        if len(value) > MAX_PROMPTS:
            raise ValueError(f"a request may hold at most {MAX_PROMPTS} texts, not {len(value)}")
        return value
    raise ValueError(
        f"{name} must be a string, a list of strings, a list of token ids, or a list of such lists"
    )


def prompts_of(prompt: Any) -> list[str] | list[list[int]]:
    """The prompts as a list, whichever of the four forms was sent."""
    return [prompt] if isinstance(prompt, str) or _ids(prompt) else prompt


def _ids(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) > 0
        and all(isinstance(item, int) and not isinstance(item, bool) for item in value)
    )


class CompletionRequest(GenerationRequest):
    """What a client may ask of `/v1/completions`.

    `suffix`: what stands after the completion, for models that fill in the middle.
    """

    prompt: Annotated[str | list[str] | list[int] | list[list[int]], BeforeValidator(prompt_of)] = (
        ""
    )
    suffix: str | None = None
    best_of: int | None = Field(default=None, ge=1, le=MAX_CHOICES)
    logprobs: int | None = Field(default=None, ge=0, le=20)
    prompt_logprobs: int | None = Field(default=None, ge=0, le=20)
    echo: bool | None = None

    @field_validator("logprobs", "prompt_logprobs", "best_of", mode="before")
    @classmethod
    def _counts(cls, value: Any) -> Any:
        return cls._no_booleans(value)

    @model_validator(mode="after")
    def _agree(self) -> CompletionRequest:
        if self.best_of is not None:
            if self.best_of < (self.n or 1):
                raise ValueError(f"best_of ({self.best_of}) must be at least n ({self.n or 1})")
            if self.stream and self.best_of > (self.n or 1):
                raise ValueError("best_of cannot be streamed: the best is known only at the end")
        if self.suffix and self.echo:
            raise ValueError("echo cannot be combined with suffix")
        if self.prompt_logprobs is not None and self.stream:
            raise ValueError("prompt_logprobs cannot be streamed")
        return self

    @property
    def prompts(self) -> list[str] | list[list[int]]:
        """The prompts as a list, whichever of the four forms was sent."""
        return prompts_of(self.prompt)
