"""A replica's port answers only those who bring the pool's secret."""

from __future__ import annotations

import hmac

from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["SECRET_HEADER", "Guarded", "with_secret"]

SECRET_HEADER = b"x-descent-pool"


class Guarded:
    """`app` for those who bring the secret; others get 403 and no word more."""

    def __init__(self, app: ASGIApp, secret: str) -> None:
        self._app, self._secret = app, secret.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = scope.get("headers", ())
        shown = next((value for name, value in headers if name == SECRET_HEADER), b"")
        if scope["type"] != "http" or not hmac.compare_digest(shown, self._secret):
            if scope["type"] == "http":
                await send({"type": "http.response.start", "status": 403, "headers": []})
                await send({"type": "http.response.body", "body": b""})
            return
        kept = [pair for pair in headers if pair[0] != SECRET_HEADER]
        await self._app({**scope, "headers": kept}, receive, send)


def with_secret(scope: Scope, secret: str) -> Scope:
    """The request with the secret, and with nothing of that name that its client sent."""
    headers = [pair for pair in scope["headers"] if pair[0] != SECRET_HEADER]
    return {**scope, "headers": [*headers, (SECRET_HEADER, secret.encode())]}
