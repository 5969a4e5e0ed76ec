"""Short answers are passed on whole or not at all.

An answer of a known length up to `SHORT_BYTES` is kept until its last byte is here, so that a
replica that dies in the middle of it costs the client a 502 to try again after, not a broken
connection. Streams and long answers are passed on as they come.
"""

from __future__ import annotations

from starlette.types import Message, Send

__all__ = ["SHORT_BYTES", "Whole"]

SHORT_BYTES = 256 * 1024


class Whole:
    """A `send` in front of another. `begun`: something has been passed on."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._start: Message | None = None  # of an answer that is kept
        self._parts: list[bytes] = []
        self.begun = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and _is_short(message):
            self._start = message
        elif self._start is None:
            self.begun = True
            await self._send(message)
        else:
            self._parts.append(message.get("body", b""))
            if not message.get("more_body"):
                self.begun = True
                await self._send(self._start)
                await self._send({"type": "http.response.body", "body": b"".join(self._parts)})


def _is_short(start: Message) -> bool:
    for name, value in start.get("headers", ()):
        if name == b"content-length":
            return value.isdigit() and int(value) <= SHORT_BYTES
    return False
