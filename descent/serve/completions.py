"""`POST /v1/completions`: continue a text, OpenAI's contract."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from descent.generate.stream import Step
from descent.serve.answering import Answer, Item, respond
from descent.serve.contract import CompletionRequest
from descent.serve.planning import plan_completion
from descent.serve.replies import choice, event, prompt_logprobs, reply, usage
from descent.serve.service import Plan, Service

__all__ = ["router"]

router = APIRouter()


@router.post("/v1/completions")
async def completions(request: Request, body: CompletionRequest) -> Response:
    """Continue a text, OpenAI's contract."""
    service: Service = request.app.state.service
    plan = await asyncio.to_thread(plan_completion, service, body)
    return await respond(request, _Completion(service, plan, body), stream=bool(body.stream))


class _Completion(Answer):
    """`text_completion` objects."""

    def __init__(self, service: Service, plan: Plan, body: CompletionRequest) -> None:
        super().__init__(service, plan)
        self.body = body

    def _choice(self, index: int, steps: Sequence[Step], finish_reason: str | None) -> dict:
        shown = steps if self.plan.echo else [step for step in steps if not step.prompt]
        made = choice(
            index,
            shown,
            with_logprobs=self.body.logprobs is not None,
            with_ids=bool(self.body.return_token_ids),
            finish_reason=finish_reason,
        )
        if self.body.prompt_logprobs is not None:
            made["prompt_logprobs"] = prompt_logprobs([step for step in steps if step.prompt])
        return made

    async def reply(self) -> dict[str, Any]:
        kept, completion_tokens = await self.kept()
        choices = [
            # A completion of no tokens has no step to say why it ended.
            self._choice(i, steps, (steps[-1].finish_reason if steps else None) or "length")
            for i, steps in enumerate(kept)
        ]
        answer = reply(self.id, self.plan.completer, self.created, choices)
        return answer | {"usage": usage(self.plan.prompt_tokens, completion_tokens)}

    async def pieces(self, items: AsyncIterator[Item]) -> AsyncIterator[bytes]:
        plan, options = self.plan, self.body.stream_options
        with_usage = options is not None and options.include_usage
        extra = {"usage": None} if with_usage else {}

        def chunk(index: int, steps: Sequence[Step], reason: str | None) -> bytes:
            choices = [self._choice(index, steps, reason)]
            return event(reply(self.id, plan.completer, self.created, choices) | extra)

        tokens, finished = 0, set()
        echoed: dict[int, list[Step]] = {}  # prompts are sent in one chunk
        async for index, step in items:
            if step.prompt:
                echoed.setdefault(index, []).append(step)
                continue
            tokens += 1
            if step.finish_reason:
                finished.add(index)
            yield chunk(index, [*echoed.pop(index, []), step], step.finish_reason)
        for index in range(plan.best_of * len(plan.prompts)):
            if index not in finished:  # a completion of no tokens
                yield chunk(index, echoed.pop(index, []), "length")
        if with_usage:
            last = reply(self.id, plan.completer, self.created, [])
            yield event(last | {"usage": usage(plan.prompt_tokens, tokens)})
