"""Read a body, give it again, and catch an answer: what routes that look into bodies need."""

from __future__ import annotations

from starlette.types import Message, Receive

from descent.deploy.gateway.exchange import too_large

__all__ = ["Caught", "given", "read_body"]


async def read_body(receive: Receive, limit: int) -> bytes:
    """All of it; raises `HttpError` 413 past `limit`, ConnectionError when the client went away."""
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError("the client went away")
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise too_large(limit)
        parts.append(part)
        if not message.get("more_body"):
            return b"".join(parts)


def given(body: bytes, then: Receive) -> Receive:
    """A `receive` that gives `body` first, then what the server has to say."""
    waiting = [body]

    async def receive() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await then()

    return receive


class Caught:
    """A `send` that keeps the answer."""

    def __init__(self) -> None:
        self.status = 500
        self.headers: list[tuple[bytes, bytes]] = []
        self._parts: list[bytes] = []

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], list(message.get("headers", ()))
        else:
            self._parts.append(bytes(message.get("body", b"")))

    @property
    def body(self) -> bytes:
        """All of it."""
        return b"".join(self._parts)
