"""`POST /v1/completions`: whole replies and server-sent events, ended when the client goes away.

A stream is `data: {chunk}` events and `data: [DONE]`; an error after the first byte is an event
`data: {"error": …}` and the end. Status 499 (in metrics only) means: the client has gone.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Sequence
from typing import Any, TypeVar

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from descent.generate.stream import Step
from descent.serve.contract import CompletionRequest
from descent.serve.errors import ApiError
from descent.serve.replies import choice, event, reply, usage
from descent.serve.service import Plan, Service
from descent.serve.worker import Job

__all__ = ["router"]

log = logging.getLogger("descent.serve")
router = APIRouter()
T = TypeVar("T")


@router.post("/v1/completions")
async def completions(request: Request, body: CompletionRequest) -> Response:
    """Continue a text, OpenAI's contract."""
    service: Service = request.app.state.service
    # Long prompts take a while to encode: not on the event loop.
    plan = await asyncio.to_thread(service.plan, body)
    answer = _Answer(service, plan, body, service.submit(plan))
    try:
        if body.stream:
            first = await _unless_gone(request, answer.first())
            return _EventStream(answer, first)
        whole = await _unless_gone(request, answer.whole())
    except _ClientGoneError:
        service.done(answer.job)
        return Response(status_code=499)
    except Exception as error:
        service.done(answer.job)
        raise _as_api_error(error) from error
    service.done(answer.job)
    return JSONResponse(whole)


class _ClientGoneError(Exception):
    pass


async def _unless_gone(request: Request, work: Awaitable[T]) -> T:
    """`work`'s result, or `_ClientGoneError` as soon as the connection is closed."""

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    task, watch = asyncio.ensure_future(work), asyncio.ensure_future(gone())
    try:
        await asyncio.wait({task, watch}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise _ClientGoneError
        return task.result()
    finally:
        task.cancel()
        watch.cancel()


def _as_api_error(error: Exception) -> ApiError:
    if isinstance(error, ApiError):
        return error
    if isinstance(error, TimeoutError):
        return ApiError(504, f"The request was stopped: {error}.", code="timeout")
    log.error("completion failed", exc_info=error)
    # The cause goes to the log; a message may hold paths or weights' names of the server.
    return ApiError(500, f"The model failed while generating ({type(error).__name__}).")


class _Answer:
    """One request being answered: reads its job, builds the reply or its chunks."""

    def __init__(self, service: Service, plan: Plan, body: CompletionRequest, job: Job) -> None:
        self.service = service
        self.plan = plan
        self.body = body
        self.job = job
        self.id = f"cmpl-{uuid.uuid4().hex}"
        self.created = int(time.time())
        self._items = aiter(job)

    async def first(self) -> tuple[int, Step] | None:
        """The first step; failing here can still be told by the status."""
        return await anext(self._items, None)

    def _choice(self, index: int, steps: Sequence[Step], finish_reason: str | None) -> dict:
        return choice(
            index,
            steps,
            with_logprobs=self.body.logprobs is not None,
            with_ids=bool(self.body.return_token_ids),
            finish_reason=finish_reason,
        )

    async def whole(self) -> dict[str, Any]:
        plan = self.plan
        made: list[list[Step]] = [[] for _ in range(plan.best_of * len(plan.prompts))]
        async for index, step in self._items:
            made[index].append(step)
        kept: list[list[Step]] = []
        for start in range(0, len(made), plan.best_of):
            ranked = made[start : start + plan.best_of]
            if plan.best_of > plan.n:
                ranked = sorted(ranked, key=_mean_logprob, reverse=True)[: plan.n]
            kept += ranked
        choices = [
            # A completion of no tokens has no step to say why it ended.
            self._choice(i, steps, (steps[-1].finish_reason if steps else None) or "length")
            for i, steps in enumerate(kept)
        ]
        completion_tokens = sum(not step.prompt for steps in made for step in steps)
        answer = reply(self.id, plan.completer, self.created, choices)
        return answer | {"usage": usage(plan.prompt_tokens, completion_tokens)}

    async def chunks(self, first: tuple[int, Step] | None) -> AsyncIterator[bytes]:
        """The events of the stream; an exception becomes the last one."""
        try:
            async for chunk in self._chunks(first):
                yield chunk
        except Exception as error:
            yield event(_as_api_error(error).body)
            return
        yield b"data: [DONE]\n\n"

    async def _chunks(self, first: tuple[int, Step] | None) -> AsyncIterator[bytes]:
        plan = self.plan
        with_usage = self.body.stream_options and self.body.stream_options.include_usage
        extra = {"usage": None} if with_usage else {}

        def chunk(index: int, steps: Sequence[Step], reason: str | None) -> bytes:
            choices = [self._choice(index, steps, reason)]
            return event(reply(self.id, plan.completer, self.created, choices) | extra)

        tokens, echoed, finished = 0, [], set()
        item = first
        while item is not None:
            index, step = item
            item = None
            if step.prompt:
                echoed.append(step)  # the whole prompt in one chunk
            else:
                tokens += 1
                if step.finish_reason:
                    finished.add(index)
                yield chunk(index, [*echoed, step], step.finish_reason)
                echoed = []
            item = await anext(self._items, None)
            if echoed and (item is None or item[0] != index):
                finished.add(index)
                yield chunk(index, echoed, "length")
                echoed = []
        for index in range(plan.best_of * len(plan.prompts)):
            if index not in finished:
                yield chunk(index, [], "length")
        if with_usage:
            last = reply(self.id, plan.completer, self.created, [])
            yield event(last | {"usage": usage(plan.prompt_tokens, tokens)})


def _mean_logprob(steps: Sequence[Step]) -> float:
    values = [step.logprob for step in steps if not step.prompt and step.logprob is not None]
    return sum(values) / len(values) if values else 0.0


class _EventStream(StreamingResponse):
    """Server-sent events that end their job however the connection ends."""

    def __init__(self, answer: _Answer, first: tuple[int, Step] | None) -> None:
        headers = {"cache-control": "no-cache", "x-accel-buffering": "no"}
        super().__init__(answer.chunks(first), headers=headers, media_type="text/event-stream")
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._answer.service.done(self._answer.job)
