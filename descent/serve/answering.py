"""A request being answered: whole or as server-sent events, ended when the client goes away.

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

from fastapi import Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from descent.generate.stream import Step
from descent.serve.errors import ApiError
from descent.serve.replies import event
from descent.serve.service import Plan, Service

__all__ = ["Answer", "Item", "as_api_error", "respond", "unless_gone"]

log = logging.getLogger("descent.serve")
T = TypeVar("T")
Item = tuple[int, Step]


class Answer:
    """One planned request, queued: reads its job. A subclass words the reply and its chunks."""

    prefix = "cmpl"
    end = b"data: [DONE]\n\n"

    def __init__(self, service: Service, plan: Plan) -> None:
        self.service = service
        self.plan = plan
        self.id = f"{self.prefix}-{uuid.uuid4().hex}"
        self.created = int(time.time())
        self.job = service.submit(plan)
        self._items = aiter(self.job)

    async def reply(self) -> dict[str, Any]:
        """The whole answer, as JSON."""
        raise NotImplementedError

    def pieces(self, items: AsyncIterator[Item]) -> AsyncIterator[bytes]:
        """The events of the stream for the steps as they come, without the end."""
        raise NotImplementedError

    async def first(self) -> Item | None:
        """The first step; failing here can still be told by the status."""
        return await anext(self._items, None)

    async def kept(self) -> tuple[list[list[Step]], int]:
        """The steps of each choice that is kept (the `n` best of `best_of`), and how many tokens
        all the choices have."""
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
        return kept, sum(not step.prompt for steps in made for step in steps)

    async def chunks(self, first: Item | None) -> AsyncIterator[bytes]:
        """The events of the stream; an exception becomes the last one."""

        async def items() -> AsyncIterator[Item]:
            if first is not None:
                yield first
                async for item in self._items:
                    yield item

        try:
            async for piece in self.pieces(items()):
                yield piece
        except Exception as error:
            yield event(as_api_error(error).body)
            return
        yield self.end

    def done(self) -> None:
        """Nobody reads on."""
        self.service.done(self.job)


async def respond(request: Request, answer: Answer, *, stream: bool) -> Response:
    """Send `answer` in the form asked for; its job ends however the connection ends."""
    try:
        if stream:
            first = await unless_gone(request, answer.first())
            return _EventStream(answer, first)
        whole = await unless_gone(request, answer.reply())
    except _ClientGoneError:
        answer.done()
        return Response(status_code=499)
    except Exception as error:
        answer.done()
        raise as_api_error(error) from error
    answer.done()
    return JSONResponse(whole)


class _ClientGoneError(Exception):
    pass


async def unless_gone(request: Request, work: Awaitable[T]) -> T:
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


def as_api_error(error: Exception) -> ApiError:
    """What to answer when generating has failed; the cause goes to the log."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, TimeoutError):
        return ApiError(504, f"The request was stopped: {error}.", code="timeout")
    log.error("completion failed", exc_info=error)
    # A message may hold paths or weights' names of the server.
    return ApiError(500, f"The model failed while generating ({type(error).__name__}).")


def _mean_logprob(steps: Sequence[Step]) -> float:
    values = [step.logprob for step in steps if not step.prompt and step.logprob is not None]
    return sum(values) / len(values) if values else 0.0


class _EventStream(StreamingResponse):
    """Server-sent events that end their job however the connection ends."""

    def __init__(self, answer: Answer, first: Item | None) -> None:
        headers = {"cache-control": "no-cache", "x-accel-buffering": "no"}
        super().__init__(answer.chunks(first), headers=headers, media_type="text/event-stream")
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._answer.done()
