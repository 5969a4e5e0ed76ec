"""What goes over the wire between a client and a node: bodies, answers, errors, events."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from descent.deploy.errors import DeployError

__all__ = [
    "RequestError", "bearer", "body", "events", "failure", "result", "retry_after_s",
]  # fmt: skip


class RequestError(DeployError):
    """What a node or a service answered instead of a result; `body` is the answer."""

    def __init__(self, message: str, status: int, code: str | None, body: Any) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.body = body


def bearer(token: str | None) -> dict[str, str]:
    """The header that shows a token; none without one."""
    return {} if token is None else {"authorization": f"Bearer {token}"}


def body(value: Any, headers: Mapping[str, str] | None) -> dict[str, Any]:
    """A value as httpx sends it: bytes as they are, anything else as JSON, None as nothing."""
    kept = dict(headers or {})
    if value is None:
        return {"headers": kept}
    if isinstance(value, bytes | bytearray | memoryview):
        kept.setdefault("content-type", "application/octet-stream")
        return {"content": bytes(value), "headers": kept}
    kept.setdefault("content-type", "application/json")
    return {"content": json.dumps(value).encode(), "headers": kept}


def result(answer: Any) -> Any:
    """What an answer says: JSON as a value, text as text, anything else as bytes."""
    kind = answer.headers.get("content-type", "").partition(";")[0]
    if kind == "application/json" or kind.endswith("+json"):
        return answer.json()
    return answer.text if kind.startswith("text/") else answer.content


def failure(answer: Any) -> RequestError:
    """An answer that is an error, as the exception for it."""
    try:
        sent = answer.json()
        said = sent["error"]
        message, code = said["message"], said.get("code")
        if request_id := said.get("request_id"):
            message += f" (request {request_id})"
    except (ValueError, KeyError, TypeError):
        sent, code = answer.text, None
        message = f"{answer.status_code}: {answer.text[:500] or answer.reason_phrase}"
    return RequestError(message, answer.status_code, code, sent)


def retry_after_s(answer: Any) -> float | None:
    """What Retry-After says, in seconds."""
    text = answer.headers.get("retry-after", "")
    return float(text) if text.isdigit() else None


def events(lines: Iterator[str]) -> Iterator[Any]:
    """Values of a text/event-stream; an `error` event is raised."""
    for line in lines:
        if not line.startswith("data:"):
            continue
        text = line[5:].strip()
        if text == "[DONE]":
            return
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        if isinstance(value, dict) and set(value) == {"error"}:
            said = value["error"]
            message = said.get("message", str(said)) if isinstance(said, dict) else str(said)
            raise RequestError(message, 200, None, value)
        yield value
