"""What the gateway reads in a request's headers, in one walk over them."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable

__all__ = ["Head", "new_id"]

_ID = re.compile(rb"[\x21-\x7e]{1,128}")
_WANTED = frozenset((b"x-request-id", b"content-length", b"traceparent", b"upgrade", b"host"))
_bits = random.Random().getrandbits  # seeded by the system; ids need to differ, not to be secret


def new_id() -> str:
    """32 hexadecimal digits."""
    return f"{_bits(128):032x}"


class Head:
    """`length`: what Content-Length announces, 0 for no body, None when the body is chunked."""

    __slots__ = ("host", "length", "request_id", "trace", "upgrade")

    def __init__(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        self.request_id = ""
        self.length: int | None = 0
        self.trace: str | None = None
        self.upgrade = self.host = b""
        for name, value in headers:
            if name in _WANTED:
                self._note(name, value)
            elif name == b"transfer-encoding":
                self.length = None
        if not self.request_id:
            self.request_id = new_id()

    def _note(self, name: bytes, value: bytes) -> None:
        if name == b"host":
            self.host = value
        elif name == b"content-length":
            self.length = int(value) if value.isdigit() else None
        elif name == b"x-request-id":
            if _ID.fullmatch(value):
                self.request_id = value.decode("ascii")
        elif name == b"traceparent":
            self.trace = value.decode("latin-1")
        else:
            self.upgrade = value.lower()
