"""`/tokenize`, `/detokenize` and `/apply-template`: what the model is given, without running it.

Bodies and replies of both vLLM (`prompt` → `tokens`, `count`) and llama.cpp (`content` → `tokens`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, model_validator

from descent.generate.completer import Completer
from descent.serve.chat import render
from descent.serve.chat_contract import Messages
from descent.serve.errors import ApiError
from descent.serve.planning import encoded, note_unknown
from descent.serve.service import Service

__all__ = ["router"]

router = APIRouter()


class TokenizeRequest(BaseModel):
    """A text (`prompt`, or llama.cpp's `content`) or a conversation (`messages`)."""

    model_config = ConfigDict(extra="allow")

    model: str | None = None
    prompt: str | None = None
    content: str | None = None
    messages: Messages | None = None
    add_generation_prompt: bool = True
    add_special_tokens: bool = True
    add_special: bool | None = None  # llama.cpp's name for it, and its default of false
    return_token_strs: bool = False
    with_pieces: bool = False

    @model_validator(mode="after")
    def _one(self) -> TokenizeRequest:
        given = [self.prompt, self.content, self.messages]
        if sum(value is not None for value in given) != 1:
            raise ValueError("prompt must be given, or messages (or content), and only one of them")
        return self


@router.post("/tokenize")
async def tokenize(request: Request, body: TokenizeRequest) -> dict[str, Any]:
    """A text's tokens."""
    service: Service = request.app.state.service
    completer = service.completer(body.model)
    note_unknown(body)
    ids = await asyncio.to_thread(_ids, completer, body)
    made: dict[str, Any] = {
        "count": len(ids),
        "max_model_len": completer.model.context,
        "tokens": list(ids),
    }
    if body.with_pieces:
        made["tokens"] = [{"id": id, "piece": _piece(completer, id)} for id in ids]
    if body.return_token_strs:
        made["token_strs"] = [completer.lexicon.show(id) for id in ids]
    return made


def _ids(completer: Completer, body: TokenizeRequest) -> Sequence[int]:
    if body.messages is not None:
        text = render(completer, body.messages, None, body.add_generation_prompt)
        return encoded(completer, text, begin=False, param="messages").ids if text else ()
    text, begin = body.prompt, body.add_special_tokens
    if text is None:
        text, begin = body.content or "", bool(body.add_special)
    if not text:
        return ()
    return encoded(completer, text, begin=begin).ids


def _piece(completer: Completer, id: int) -> str | list[int]:
    """llama.cpp's form: the text, or the bytes where they are no text alone."""
    raw = _bytes(completer, id)
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return list(raw)


def _bytes(completer: Completer, id: int) -> bytes:
    """A token's bytes; a special token's name."""
    return completer.lexicon.bytes(id) or completer.lexicon.show(id).encode()


class DetokenizeRequest(BaseModel):
    model_config = ConfigDict(extra="allow")

    model: str | None = None
    tokens: list[int] = Field(max_length=1_000_000)


@router.post("/detokenize")
async def detokenize(request: Request, body: DetokenizeRequest) -> dict[str, str]:
    """The text of tokens, special ones by their names."""
    service: Service = request.app.state.service
    completer = service.completer(body.model)
    size = completer.model.vocab_size
    for position, id in enumerate(body.tokens):
        if not 0 <= id < size:
            raise ApiError(
                400,
                f"token {id} at position {position} of tokens is outside 0…{size - 1}.",
                param="tokens",
            )
    raw = b"".join(_bytes(completer, id) for id in body.tokens)
    text = raw.decode("utf-8", errors="replace")
    return {"prompt": text, "content": text}


class TemplateRequest(BaseModel):
    model_config = ConfigDict(extra="allow")

    model: str | None = None
    messages: Messages
    tools: list[dict[str, Any]] | None = None
    add_generation_prompt: bool = True


@router.post("/apply-template")
async def apply_template(request: Request, body: TemplateRequest) -> dict[str, str]:
    """A conversation as the text the model is given."""
    service: Service = request.app.state.service
    completer = service.completer(body.model)
    arguments = (completer, body.messages, body.tools, body.add_generation_prompt)
    return {"prompt": await asyncio.to_thread(render, *arguments)}
