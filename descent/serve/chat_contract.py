"""The body of `POST /v1/chat/completions`: messages, tools, and what is checked of them.

    role ∈ system, developer, user, assistant, tool      content: text or parts of {"type": "text"}

Reference: OpenAI API, "Create chat completion". `developer` is read as `system`; `functions`
and `function_call` (before tools) are refused. Left out: images, audio and files in the content
(400), and answers of other kinds than text.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from descent.serve.settings import GenerationRequest

__all__ = ["ChatRequest", "Messages"]

_ROLES = ("system", "developer", "user", "assistant", "tool")
_MAX_MESSAGES = 2048


def _messages(value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not value:
        raise ValueError("messages must be a list of at least one message")
    if len(value) > _MAX_MESSAGES:
        raise ValueError(f"messages holds {len(value)}; at most {_MAX_MESSAGES} are taken")
    return [_message(item, f"messages[{i}]") for i, item in enumerate(value)]


def _message(value: Any, where: str) -> dict[str, Any]:
    """One message as chat templates expect it: text content, arguments of calls as objects."""
    role = value.get("role") if isinstance(value, dict) else None
    if role not in _ROLES:
        raise ValueError(f"{where}.role must be one of {', '.join(_ROLES)}, not {role!r}")
    calls = value.get("tool_calls") or []
    content = _content(value.get("content"), f"{where}.content")
    if content is None and not (role == "assistant" and calls):
        raise ValueError(f"{where}.content is missing")
    made: dict[str, Any] = {"role": "system" if role == "developer" else role}
    made["content"] = content or ""
    for key in ("name", "tool_call_id"):
        if isinstance(value.get(key), str):
            made[key] = value[key]
    if calls:
        made["tool_calls"] = [
            _call(call, f"{where}.tool_calls[{i}]") for i, call in enumerate(calls)
        ]
    return made


def _content(value: Any, where: str) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if not isinstance(value, list):
        raise ValueError(f"{where} must be a text or a list of parts")
    texts = []
    for i, part in enumerate(value):
        kind = part.get("type") if isinstance(part, dict) else None
        text = part.get("text", part.get("refusal")) if isinstance(part, dict) else None
        if kind not in ("text", "refusal") or not isinstance(text, str):
            raise ValueError(
                f"{where}[{i}] is of type {kind!r}; the models served here read text alone"
            )
        texts.append(text)
    return "\n".join(texts)


def _call(value: Any, where: str) -> dict[str, Any]:
    function = value.get("function") if isinstance(value, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise ValueError(f"{where} must hold a function with a name")
    arguments = function.get("arguments") or {}
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except (ValueError, RecursionError):
            raise ValueError(f"{where}.function.arguments is not JSON") from None
    function = {"name": function["name"], "arguments": arguments}
    return {"id": str(value.get("id", "")), "type": "function", "function": function}


def _tools(value: Any) -> Any:
    if value is None:
        return None
    if not isinstance(value, list):
        raise ValueError("tools must be a list")
    for i, tool in enumerate(value):
        function = tool.get("function") if isinstance(tool, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise ValueError(f"tools[{i}] must be of type function, with a function.name")
        if not isinstance(function.get("parameters", {}), dict):
            raise ValueError(f"tools[{i}].function.parameters must be a JSON schema")
    return value


Messages = Annotated[list[dict[str, Any]], BeforeValidator(_messages)]


class ChatRequest(GenerationRequest):
    """What a client may ask of `/v1/chat/completions`."""

    messages: Messages
    max_completion_tokens: int | None = Field(default=None, ge=0)
    logprobs: bool | None = None
    top_logprobs: int | None = Field(default=None, ge=0, le=20)
    tools: Annotated[list[dict[str, Any]] | None, BeforeValidator(_tools)] = None
    tool_choice: Literal["none", "auto", "required"] | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    add_generation_prompt: bool = True

    @field_validator("max_completion_tokens", "top_logprobs", mode="before")
    @classmethod
    def _counts(cls, value: Any) -> Any:
        return cls._no_booleans(value)

    @model_validator(mode="after")
    def _agree(self) -> ChatRequest:
        if self.top_logprobs is not None and not self.logprobs:
            raise ValueError("top_logprobs is only allowed when logprobs is true")
        for old in ("functions", "function_call"):
            if (self.model_extra or {}).get(old):
                raise ValueError(f"{old} is not supported: use tools and tool_choice")
        if self.tool_choice not in (None, "none") and not self.tools:
            raise ValueError("tool_choice is only allowed when tools are given")
        if isinstance(self.tool_choice, dict) and self.forced_tool is None:
            names = ", ".join(tool["function"]["name"] for tool in self.tools or [])
            raise ValueError(f"tool_choice names no tool that is given: {names}")
        return self

    @property
    def forced_tool(self) -> dict[str, Any] | None:
        """The tool that `tool_choice` names."""
        if not isinstance(self.tool_choice, dict):
            return None
        function = self.tool_choice.get("function")
        name = function.get("name") if isinstance(function, dict) else None
        found = [t for t in self.tools or [] if t["function"]["name"] == name]
        return found[0] if found else None

    @property
    def limit(self) -> int | None:
        """`max_completion_tokens`, or the older `max_tokens`."""
        given = self.max_completion_tokens
        return self.max_tokens if given is None else given

    @property
    def usable_tools(self) -> list[dict[str, Any]] | None:
        """The tools the template is told of."""
        return None if self.tool_choice == "none" else self.tools or None
