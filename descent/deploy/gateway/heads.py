"""What the gateway reads in a request's headers."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

__all__ = ["Head", "new_id"]

_ID = re.compile(rb"[\x21-\x7e]{1,128}")
_ids: list[str] = []


def new_id() -> str:
    """32 random hexadecimal digits; the system is asked for 256 of them at a time."""
    try:
        return _ids.pop()
    except IndexError:
        text = os.urandom(16 * 256).hex()
        _ids.extend(text[i : i + 32] for i in range(0, len(text), 32))
        return _ids.pop()


class Head:
    """`length`: what Content-Length announces, 0 for no body, None when the body is chunked."""

    __slots__ = ("_known", "length", "request_id")

    def __init__(self, headers: Sequence[tuple[bytes, bytes]]) -> None:
        self._known = known = dict(headers)
        self.length: int | None = 0
        if (length := known.get(b"content-length")) is not None:
            self.length = int(length) if length.isdigit() else None
        if b"transfer-encoding" in known:
            self.length = None
        given = known.get(b"x-request-id")
        if given is not None and _ID.fullmatch(given):
            self.request_id = given.decode("ascii")
        else:
            self.request_id = new_id()

    @property
    def host(self) -> bytes:
        """As it was sent."""
        return self._known.get(b"host", b"")

    @property
    def trace(self) -> str | None:
        """W3C's traceparent."""
        given = self._known.get(b"traceparent")
        return None if given is None else given.decode("latin-1")

    @property
    def wants_websocket(self) -> bool:
        """Is it the beginning of one?"""
        return self._known.get(b"upgrade", b"").lower() == b"websocket"
