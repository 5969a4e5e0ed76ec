"""What goes wrong, as clients and the command line are told.

    {"error": {"code": "queue_full", "message": "…", "field": "…", "request_id": "…"}}

`code` is a word that programs may rely on; `message` is one sentence for people. Left out: the
errors of OpenAI's routes, which have OpenAI's own form (`descent/serve/errors.py`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

__all__ = ["DeployError", "HttpError", "send_error"]


class DeployError(Exception):
    """A command or call that cannot be done; the message is one sentence that says what would."""


class HttpError(Exception):
    """Answered as `status` with the JSON body above; `field` names the part of the input at fault.

    `retry_after_s` becomes the header Retry-After, in whole seconds, at least one; `headers` are
    sent as they are (Allow, WWW-Authenticate).
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        field: str | None = None,
        retry_after_s: float | None = None,
        headers: Sequence[tuple[bytes, bytes]] = (),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.field = field
        self.retry_after_s = retry_after_s
        self._headers = headers

    def body(self, request_id: str | None = None) -> bytes:
        """The JSON text; what is not known is left out."""
        said: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.field is not None:
            said["field"] = self.field
        if request_id is not None:
            said["request_id"] = request_id
        return json.dumps({"error": said}, ensure_ascii=False).encode()

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Those that belong to the error itself (not length, not request id)."""
        found = [(b"content-type", b"application/json"), *self._headers]
        if self.retry_after_s is not None:
            whole = max(1, -int(-self.retry_after_s // 1))
            found.append((b"retry-after", str(whole).encode()))
        return found


async def send_error(send: Callable[..., Any], error: HttpError, request_id: str | None) -> None:
    """Answer an ASGI request with `error`."""
    body = error.body(request_id)
    headers = [*error.headers(), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
