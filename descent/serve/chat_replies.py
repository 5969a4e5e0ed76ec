"""Chat reply objects: `chat.completion`, its chunks, and log-probabilities per token with bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from descent.generate.completer import Completer
from descent.generate.stream import Step
from descent.serve.replies import finite

__all__ = ["chat_logprobs", "chat_reply", "chunk_choice"]


def chat_reply(
    kind: str, id: str, completer: Completer, created: int, choices: list[dict[str, Any]]
) -> dict[str, Any]:
    """The object around `choices`; `kind` is "chat.completion" or "chat.completion.chunk"."""
    return {
        "id": id,
        "object": kind,
        "created": created,
        "model": completer.name,
        "system_fingerprint": f"{completer.name}@{completer.created}",
        "choices": choices,
    }


def chunk_choice(
    index: int, delta: dict[str, Any], logprobs: dict[str, Any] | None, reason: str | None
) -> dict[str, Any]:
    return {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": reason}


def chat_logprobs(completer: Completer, steps: Sequence[Step]) -> dict[str, Any]:
    """`{"content": [{token, logprob, bytes, top_logprobs}], "refusal": null}`."""
    return {"content": [_entry(completer, step) for step in steps], "refusal": None}


def _entry(completer: Completer, step: Step) -> dict[str, Any]:
    top = [
        _token(completer, other.id, other.token, other.logprob)
        for other in step.top
        if other.logprob > float("-inf")
    ]
    return _token(completer, step.id, step.token, step.logprob) | {"top_logprobs": top}


def _token(completer: Completer, id: int, token: str, logprob: float | None) -> dict[str, Any]:
    raw = token.encode()
    if token.startswith("bytes:") and id < completer.tokenizer.vocab_size:
        raw = completer.tokenizer.token_bytes(id)  # not UTF-8 alone
    return {"token": token, "logprob": finite(logprob), "bytes": list(raw)}
