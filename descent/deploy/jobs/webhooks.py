"""Tell somebody that a request has ended: a signed POST, repeated until it is received.

    webhook-signature: v1,base64(HMAC-SHA256(secret, id + "." + timestamp + "." + body))
The headers are those of the Standard Webhooks specification (standardwebhooks.com), so its
libraries verify them. `webhook-id` is the same in every try: a receiver that has seen it may pass
it over; the timestamp is the try's own, so that an old copy can be refused. Redirects are not
followed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import time
from typing import Any

__all__ = ["Undelivered", "Webhooks", "secret_from", "sign"]

TIMEOUT_S = 10.0


class Undelivered(Exception):
    """Why a delivery failed; `final` when trying again is of no use (410 Gone)."""

    def __init__(self, message: str, *, final: bool = False):
        super().__init__(message)
        self.final = final


def secret_from(environment: str | None) -> bytes | None:
    """The key in an environment variable: raw text, or "whsec_" and base64. None without one.

    Raises `ValueError` where the variable is named but not set, or its base64 is broken.
    """
    if environment is None:
        return None
    text = os.environ.get(environment)
    if not text:
        raise ValueError(f"webhook.secret_env names {environment}, which is not set")
    if not text.startswith("whsec_"):
        return text.encode()
    try:
        return base64.b64decode(text.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        raise ValueError(f"{environment} begins with whsec_ but is not base64") from None


def sign(secret: bytes, identity: str, timestamp: int, body: bytes) -> str:
    """The value of `webhook-signature`."""
    signed = f"{identity}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()


class Webhooks:
    """Delivers; keeps its connections. `close()` when done."""

    def __init__(self, timeout_s: float = TIMEOUT_S):
        self.timeout_s = timeout_s
        self._client: Any = None

    async def deliver(
        self,
        url: str,
        identity: str,
        body: bytes,
        *,
        secret: bytes | None,
        now: float | None = None,
    ) -> None:
        """POST `body` once. Raises `Undelivered` unless the answer is 2xx."""
        import httpx

        if self._client is None:
            self._client = httpx.AsyncClient(timeout=self.timeout_s, follow_redirects=False)
        timestamp = int(time.time() if now is None else now)
        headers = {
            "content-type": "application/json",
            "user-agent": "descent-webhook/1",
            "webhook-id": identity,
            "webhook-timestamp": str(timestamp),
        }
        if secret is not None:
            headers["webhook-signature"] = sign(secret, identity, timestamp, body)
        try:
            answer = await self._client.post(url, content=body, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Undelivered(f"{url}: {type(error).__name__} {error}".rstrip()) from None
        if not 200 <= answer.status_code < 300:
            raise Undelivered(
                f"{url} answered {answer.status_code}", final=answer.status_code == 410
            )

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()
            self._client = None
