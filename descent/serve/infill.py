"""`POST /infill`: write between a prefix and a suffix, in llama.cpp's fields and replies.

    input_prefix · input_suffix · input_extra (other files) · prompt (the beginning of the middle)

Reference: llama.cpp, tools/server/README.md, "POST /infill". Left out: its samplers that Descent
has not (mirostat, DRY, XTC, dynamic temperature), and `id_slot`, `cache_prompt` (ignored).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import Field, model_validator

from descent.data.infill import named_tokens
from descent.generate.completer import Completer, Prompt
from descent.generate.stream import Step
from descent.serve.answering import Answer, Item, respond
from descent.serve.planning import (
    encoded,
    infill_ends,
    infill_prompt,
    note_unknown,
    plan_of,
    settings_of,
)
from descent.serve.replies import event
from descent.serve.service import Plan, Service
from descent.serve.settings import GenerationRequest

__all__ = ["router"]

router = APIRouter()
_DEFAULT_TOKENS = 128


class InfillRequest(GenerationRequest):
    """llama.cpp's names beside those of the other endpoints."""

    input_prefix: str = ""
    input_suffix: str = ""
    input_extra: list[dict[str, Any]] = Field(default_factory=list, max_length=256)
    prompt: str = ""
    n_predict: int | None = Field(default=None, ge=-1)
    repeat_penalty: float | None = Field(default=None, gt=0, le=100)

    @model_validator(mode="after")
    def _known(self) -> InfillRequest:
        for i, extra in enumerate(self.input_extra):
            if not isinstance(extra.get("text"), str):
                raise ValueError(f"input_extra[{i}] must have a text, and may have a filename")
        if self.n is not None and self.n > 1:
            raise ValueError("n must be 1 for /infill")
        return self


@router.post("/infill")
async def infill(request: Request, body: InfillRequest) -> Response:
    """Fill the middle."""
    service: Service = request.app.state.service
    plan = await asyncio.to_thread(_plan, service, body)
    return await respond(request, _Infill(service, plan), stream=bool(body.stream))


def _plan(service: Service, body: InfillRequest) -> Plan:
    completer = service.completer(body.model)
    note_unknown(body)
    wanted = body.n_predict if body.max_tokens is None else body.max_tokens
    if wanted is None or wanted < 0:
        wanted = _DEFAULT_TOKENS
    more: dict[str, Any] = {"max_tokens": wanted, **infill_ends(completer, body)}
    if body.repeat_penalty is not None:
        more["repetition_penalty"] = body.repeat_penalty
    sampling = settings_of(service, completer, body, **more)
    return plan_of(service, completer, body, [_prompt(completer, body)], sampling, best_of=1)


def _prompt(completer: Completer, body: InfillRequest) -> Prompt:
    """Other files first, then prefix and suffix, then how the middle begins."""
    middle = infill_prompt(completer, body.input_prefix, body.input_suffix)
    begin, rest = middle.ids[: middle.hidden], middle.ids[middle.hidden :]
    before: list[int] = []
    known = named_tokens(completer.tokenizer)
    mark = known.get("<|file_sep|>", known.get("<file_sep>"))
    for extra in body.input_extra:
        name = str(extra.get("filename") or "")
        before += [] if mark is None else [mark]
        text = f"{name}\n{extra['text']}\n"
        before += encoded(completer, text, begin=False, param="input_extra").ids
    if before and mark is not None:
        before.append(mark)
    after = encoded(completer, body.prompt, begin=False).ids if body.prompt else ()
    return Prompt((*begin, *before, *rest, *after), len(begin))


class _Infill(Answer):
    """llama.cpp's reply: `content`, how it stopped, counts."""

    prefix = "infill"
    end = b""

    async def reply(self) -> dict[str, Any]:
        (steps,), tokens = await self.kept()
        reason = (steps[-1].finish_reason if steps else None) or "length"
        return self._part("".join(step.text for step in steps), steps, tokens, reason)

    async def pieces(self, items: AsyncIterator[Item]) -> AsyncIterator[bytes]:
        tokens, ended = 0, False
        async for _, step in items:
            tokens += 1
            ended = step.finish_reason is not None
            yield event(self._part(step.text, [step], tokens, step.finish_reason))
        if not ended:
            yield event(self._part("", [], tokens, "length"))

    def _part(
        self, text: str, steps: Sequence[Step], tokens: int, reason: str | None
    ) -> dict[str, Any]:
        made: dict[str, Any] = {
            "index": 0,
            "content": text,
            "tokens": [step.id for step in steps],
            "stop": reason is not None,
            "model": self.plan.completer.name,
            "tokens_predicted": tokens,
            "tokens_evaluated": self.plan.prompt_tokens,
        }
        if reason is not None:
            made["stop_type"] = "limit" if reason == "length" else "eos"
            made["truncated"] = False
        return made
