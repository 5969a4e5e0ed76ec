"""Steps to OpenAI's reply objects: `text_completion`, its `logprobs` arrays, `usage`, and models.

`text_offset` counts characters from the start of the prompt, with or without `echo`, as OpenAI's
does (vLLM's starts at 0 without `echo`). `top_logprobs` holds the n likeliest and always the
chosen token.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from descent.data.infill import infill_tokens
from descent.generate.completer import Completer
from descent.generate.stream import Step

_IMPOSSIBLE = -9999.0

__all__ = [
    "choice",
    "event",
    "finite",
    "logprobs",
    "model_card",
    "prompt_logprobs",
    "reply",
    "usage",
]


def logprobs(steps: Sequence[Step]) -> dict[str, list[Any]]:
    """The four parallel arrays of a choice."""
    return {
        "tokens": [step.token for step in steps],
        "token_logprobs": [finite(step.logprob) for step in steps],
        "top_logprobs": [_top(step) for step in steps],
        "text_offset": [step.offset for step in steps],
    }


def _top(step: Step) -> dict[str, float] | None:
    if step.logprob is None:  # the first token of an echoed prompt: nothing came before it
        return None
    top: dict[str, float] = {}
    for other in step.top:
        if other.logprob > -math.inf:  # masked by the model: no alternative at all
            top.setdefault(other.token, other.logprob)  # two ids may read alike: the likelier stays
    top.setdefault(step.token, max(step.logprob, _IMPOSSIBLE))
    return top


def finite(logprob: float | None) -> float | None:
    """JSON knows no infinity; OpenAI writes −9999 for a token of probability 0."""
    return None if logprob is None else max(logprob, _IMPOSSIBLE)


def prompt_logprobs(steps: Sequence[Step]) -> list[dict[str, Any] | None]:
    """vLLM's form: per token {id: {logprob, rank, decoded_token}}, null for the first."""
    return [None if step.logprob is None else _ranked(step) for step in steps]


def _ranked(step: Step) -> dict[str, Any]:
    rows: list[tuple[int, str, float | None]] = [
        (other.id, other.token, other.logprob) for other in step.top
    ]
    ranks = {id: rank for rank, (id, _, _) in enumerate(rows, 1)}
    if step.id not in ranks:
        rows.append((step.id, step.token, step.logprob))
    return {
        str(id): {"logprob": finite(logprob), "rank": ranks.get(id), "decoded_token": token}
        for id, token, logprob in rows
    }


def choice(
    index: int,
    steps: Sequence[Step],
    *,
    with_logprobs: bool,
    with_ids: bool = False,
    finish_reason: str | None,
) -> dict[str, Any]:
    """One entry of `choices`, of a whole reply or of a streamed chunk."""
    made: dict[str, Any] = {
        "index": index,
        "text": "".join(step.text for step in steps),
        "logprobs": logprobs(steps) if with_logprobs else None,
        "finish_reason": finish_reason,
    }
    if with_ids:
        made["token_ids"] = [step.id for step in steps]
    return made


def usage(prompt_tokens: int, completion_tokens: int) -> dict[str, int]:
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }


def reply(
    id: str, completer: Completer, created: int, choices: list[dict[str, Any]]
) -> dict[str, Any]:
    """The object around `choices`, whole or streamed (OpenAI gives both the same name)."""
    return {
        "id": id,
        "object": "text_completion",
        "created": created,
        "model": completer.name,
        "system_fingerprint": f"{completer.name}@{completer.created}",
        "choices": choices,
    }


def event(data: dict[str, Any]) -> bytes:
    """One server-sent event. JSON on one line, so that no line break needs escaping."""
    return b"data: " + json.dumps(data, ensure_ascii=False, allow_nan=False).encode() + b"\n\n"


def model_card(completer: Completer) -> dict[str, Any]:
    """An entry of `GET /v1/models`; `metadata` is what the page reads."""
    defaults = asdict(completer.defaults)
    can = {
        "completions": True,
        "chat": completer.chat is not None,
        "embeddings": completer.embed is not None,
        "infill": infill_tokens(completer.tokenizer) is not None,
    }
    facts = {
        "explain": False,
        "defaults": defaults,
        "can": [name for name in can if can[name]],
        "ends": [completer.special[id] for id in completer.eos_ids],
    }
    return {
        "id": completer.name,
        "object": "model",
        "created": completer.created,
        "owned_by": "descent",
        "root": completer.name,
        "parent": None,
        "max_model_len": completer.model.context,
        "metadata": facts | completer.info,
    }
