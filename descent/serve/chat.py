"""`POST /v1/chat/completions`: messages through the model's chat template, and an answer's forms.

    messages → template → prompt → steps → content and tool calls → message, or deltas

The first delta carries the role, the last one the finish reason. A model without a template answers
400: nothing is guessed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from descent.generate.completer import Completer, Prompt
from descent.generate.stream import Step
from descent.serve.answering import Answer, Item, respond
from descent.serve.chat_contract import ChatRequest
from descent.serve.chat_replies import chat_logprobs, chat_reply, chunk_choice
from descent.serve.errors import ApiError
from descent.serve.planning import encoded, note_unknown, plan_of, settings_of
from descent.serve.replies import event, usage
from descent.serve.service import Plan, Service
from descent.serve.tool_calls import ToolReader, forced_call, forced_calls, forced_schema

__all__ = ["chat_prompt", "plan_chat", "router"]

router = APIRouter()


@router.post("/v1/chat/completions")
async def chat_completions(request: Request, body: ChatRequest) -> Response:
    """Answer a conversation, OpenAI's contract."""
    service: Service = request.app.state.service
    plan = await asyncio.to_thread(plan_chat, service, body)
    return await respond(request, _Chat(service, plan, body), stream=bool(body.stream))


def plan_chat(service: Service, request: ChatRequest) -> Plan:
    """The plan of a conversation; without a limit the answer may fill the context."""
    completer = service.completer(request.model)
    note_unknown(request)
    prompt = chat_prompt(
        completer, request.messages, request.usable_tools, request.add_generation_prompt
    )
    more: dict[str, Any] = {"max_tokens": _limit(service, completer, request, prompt)}
    more["logprobs"] = (request.top_logprobs or 0) if request.logprobs else None
    if request.usable_tools and (request.forced_tool or request.tool_choice == "required"):
        more["json_schema"] = forced_schema(request.usable_tools, request.forced_tool)
    sampling = settings_of(service, completer, request, **more)
    return plan_of(service, completer, request, [prompt], sampling, best_of=request.n or 1)


def _limit(service: Service, completer: Completer, request: ChatRequest, prompt: Prompt) -> int:
    if request.limit is not None:
        return request.limit
    context = completer.model.context
    most = service.limits.max_tokens
    if context is None:
        return most
    room = context - len(prompt.ids)
    return min(most, room if room > 0 else max(1, context // 2))


def chat_prompt(
    completer: Completer,
    messages: Sequence[dict[str, Any]],
    tools: Sequence[dict[str, Any]] | None = None,
    add_generation_prompt: bool = True,
) -> Prompt:
    """The ids of a rendered conversation; the template itself writes any begin token."""
    text = render(completer, messages, tools, add_generation_prompt)
    return encoded(completer, text, begin=False, param="messages")


def render(
    completer: Completer,
    messages: Sequence[dict[str, Any]],
    tools: Sequence[dict[str, Any]] | None = None,
    add_generation_prompt: bool = True,
) -> str:
    """The conversation as the text the model is given."""
    if completer.chat is None:
        raise ApiError(
            400,
            f"{completer.name} has no chat template: it only continues a text; use "
            "/v1/completions, or serve a model trained for conversations.",
            param="messages",
            code="no_chat_template",
        )
    try:
        return completer.chat.render(
            messages, add_generation_prompt=add_generation_prompt, tools=tools or None
        )
    except ValueError as error:  # the template's own raise_exception, and what it cannot bear
        why = str(error).removeprefix("chat template: ")
        raise ApiError(
            400, f"{completer.name}'s chat template refuses the messages: {why}", param="messages"
        ) from error


class _Chat(Answer):
    """`chat.completion` objects and their chunks."""

    prefix = "chatcmpl"

    def __init__(self, service: Service, plan: Plan, body: ChatRequest) -> None:
        super().__init__(service, plan)
        self.body = body
        self.template = str(getattr(plan.completer.chat, "source", ""))

    def _reader(self) -> ToolReader:
        forced = self.body.tool_choice == "required" or self.body.forced_tool is not None
        return ToolReader.of(self.template, None if forced else self.body.usable_tools)

    async def reply(self) -> dict[str, Any]:
        kept, tokens = await self.kept()
        choices = [self._choice(i, steps) for i, steps in enumerate(kept)]
        answer = chat_reply("chat.completion", self.id, self.plan.completer, self.created, choices)
        return answer | {"usage": usage(self.plan.prompt_tokens, tokens)}

    def _choice(self, index: int, steps: Sequence[Step]) -> dict[str, Any]:
        reader = self._reader()
        text = "".join(reader.feed(_text(step, reader)) for step in steps) + reader.finish()
        calls = reader.calls
        reason = (steps[-1].finish_reason if steps else None) or "length"
        if forced := self._forced(text, reason):
            text, calls = "", forced
        message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None}
        if calls:
            message |= {"content": text.strip() or None, "tool_calls": calls}
            reason = "tool_calls" if reason == "stop" else reason
        made: dict[str, Any] = {
            "index": index,
            "message": message,
            "logprobs": self._logprobs(steps),
            "finish_reason": reason,
        }
        if self.body.return_token_ids:
            made["token_ids"] = [step.id for step in steps]
        return made

    def _forced(self, text: str, reason: str) -> list[dict[str, Any]] | None:
        """The calls where `tool_choice` left the model no other way, and it came to an end."""
        if self.body.usable_tools and (only := self.body.forced_tool) and reason == "stop":
            return forced_call(only, text)
        if self.body.tool_choice == "required":
            return forced_calls(text)
        return None

    def _logprobs(self, steps: Sequence[Step]) -> dict[str, Any] | None:
        return chat_logprobs(self.plan.completer, steps) if self.body.logprobs else None

    async def pieces(self, items: AsyncIterator[Item]) -> AsyncIterator[bytes]:
        body, plan = self.body, self.plan
        with_usage = body.stream_options is not None and body.stream_options.include_usage
        extra = {"usage": None} if with_usage else {}

        def chunk(index: int, delta: dict, steps: Sequence[Step], reason: str | None) -> bytes:
            made = chunk_choice(index, delta, self._logprobs(steps) if steps else None, reason)
            if body.return_token_ids:
                made["token_ids"] = [step.id for step in steps]
            kind = "chat.completion.chunk"
            return event(chat_reply(kind, self.id, plan.completer, self.created, [made]) | extra)

        streams = [_Deltas(self) for _ in range(plan.n)]
        for index in range(plan.n):
            yield chunk(index, {"role": "assistant", "content": ""}, [], None)
        tokens = 0
        async for index, step in items:
            tokens += 1
            for delta, steps, reason in streams[index].of(step):
                yield chunk(index, delta, steps, reason)
        for index, stream in enumerate(streams):
            if not stream.ended:  # an answer of no tokens
                yield chunk(index, {}, [], "length")
        if with_usage:
            kind = "chat.completion.chunk"
            last = chat_reply(kind, self.id, plan.completer, self.created, [])
            yield event(last | {"usage": usage(plan.prompt_tokens, tokens)})


Delta = tuple[dict[str, Any], Sequence[Step], str | None]


class _Deltas:
    """One streamed choice: steps to deltas, text held back where a tool call may be coming."""

    def __init__(self, answer: _Chat) -> None:
        self.answer = answer
        self.reader = answer._reader()
        body = answer.body
        self.whole = body.tool_choice == "required" or body.forced_tool is not None
        self.ended = False
        self.waiting: list[Step] = []  # steps whose text is held back; they go with the next
        self.text = ""
        self.sent = 0

    def of(self, step: Step) -> list[Delta]:
        """What can be sent now that `step` is known."""
        self.waiting.append(step)
        text = self.reader.feed(_text(step, self.reader))
        if step.finish_reason:
            text += self.reader.finish()
        if self.whole:
            self.text += text
            return self._end(self.text, step.finish_reason) if step.finish_reason else []
        deltas: list[Delta] = []
        if text or (self.answer.body.logprobs and self.reader.form is None):
            deltas.append(({"content": text}, self._take(), None))
        deltas += self._calls()
        if step.finish_reason:
            deltas += self._finish(step.finish_reason)
        return deltas

    def _take(self) -> list[Step]:
        waiting, self.waiting = self.waiting, []
        return waiting

    def _calls(self) -> list[Delta]:
        new = self.reader.calls[self.sent :]
        made: list[Delta] = [
            ({"tool_calls": [{"index": self.sent + i, **call}]}, self._take(), None)
            for i, call in enumerate(new)
        ]
        self.sent += len(new)
        return made

    def _finish(self, reason: str) -> list[Delta]:
        self.ended = True
        reason = "tool_calls" if self.sent and reason == "stop" else reason
        return [({}, self._take(), reason)]

    def _end(self, text: str, reason: str) -> list[Delta]:
        """A forced call is known at its end."""
        calls = self.answer._forced(text, reason)
        if calls is None:
            return [({"content": text}, self._take(), None), *self._finish(reason)]
        self.reader.calls = calls
        return [*self._calls(), *self._finish(reason)]


def _text(step: Step, reader: ToolReader) -> str:
    """A step's text; the marker of a tool call may be a special token, which has no text."""
    if step.text or reader.form is None or step.finish_reason:
        return step.text
    markers = ("<tool_call>", "</tool_call>", "[TOOL_CALLS]", "<|python_tag|>")
    return step.token if step.token in markers else ""
