"""The keys that are worth something, in memory, and the check that each request passes.

A secret is `dsk_` and 43 random characters (256 bits). Kept is its SHA-256: what is random already
needs no slow hash, and a look-up by hash tells a guesser nothing by its time. The node's own token
opens everything. Left out: keys of several tenants, OAuth.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import logging
import secrets
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.types import Scope

from descent.deploy.errors import DeployError, HttpError
from descent.deploy.gateway.routes import Route
from descent.deploy.jobs.store.keys import Key, Keys
from descent.deploy.keys.bucket import Bucket
from descent.deploy.keys.scopes import allows, check_scopes, wanted_of
from descent.deploy.pool import Context

__all__ = ["KeyRing", "Made"]

PREFIX = "dsk_"
REFRESH_S = 15.0  # another node of the same store may have changed them
log = logging.getLogger("descent.deploy.node")


@dataclass(frozen=True)
class Made:
    """A new key; its secret is said this once."""

    key: Key
    secret: str


class KeyRing:
    """Keys over their store. `required`: requests without a key are refused."""

    def __init__(self, keys: Keys, token: str, *, required: bool) -> None:
        self.required = required
        self.requests: Counter[tuple[str, str]] = Counter()  # (key's name, outcome) → requests
        self._keys, self._token = keys, token.encode()
        self._known: dict[str, Key] = {}
        self._buckets: dict[str, Bucket] = {}
        self._touched: set[str] = set()
        self._refreshing: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Read the keys, and again every few seconds."""
        await self.load()
        self._refreshing = asyncio.create_task(self._refresh())

    async def close(self) -> None:
        """Note which keys were used."""
        if self._refreshing is not None:
            self._refreshing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._refreshing
            await self._note()

    async def _refresh(self) -> None:
        while True:
            await asyncio.sleep(REFRESH_S)
            try:
                await self._note()
                await self.load()
            except Exception as error:
                log.warning("the API keys could not be read: %s", error)

    async def load(self) -> None:
        """What the store has now."""
        self._known = {key.hash: key for key in await self._keys.all(revoked=False)}
        ids = {key.id for key in self._known.values()}
        self._buckets = {id: bucket for id, bucket in self._buckets.items() if id in ids}

    async def _note(self) -> None:
        if touched := sorted(self._touched):
            self._touched.clear()
            await self._keys.used(touched)

    # making and ending

    async def all(self) -> list[Key]:
        """Every key there is or was, the oldest first."""
        await self._note()
        return await self._keys.all()

    async def create(
        self,
        name: str,
        scopes: Sequence[str],
        *,
        per_s: float | None = None,
        burst: int | None = None,
        expires_s: float | None = None,
    ) -> Made:
        """A new key. `per_s`, `burst`: requests it may make; None: as many as it likes.

        Raises `DeployError` for a name, a scope or a limit that makes no sense.
        """
        if not (0 < len(name) <= 100 and name.isprintable()):
            raise DeployError(f"a key's name is 1 to 100 printable characters, not {name!r}")
        scopes = check_scopes(scopes)
        limits: dict[str, Any] = {}
        if per_s is not None:
            if not 0.001 <= per_s <= 1e6:
                raise DeployError(f"{per_s:g} requests a second; 0.001 to 1,000,000 are possible")
            burst = max(1, round(2 * per_s)) if burst is None else burst
            if not 1 <= burst <= 1e6:
                raise DeployError(f"{burst} requests at once; 1 to 1,000,000 are possible")
            limits |= {"per_s": float(per_s), "burst": int(burst)}
        elif burst is not None:
            raise DeployError("a burst needs a rate: --rate 10 --burst 20")
        if expires_s is not None:
            if not 0 < expires_s < 1e10:
                raise DeployError(f"a key that ends in {expires_s:g} s is worth nothing")
            limits["expires"] = self._keys.now() + expires_s
        secret = PREFIX + secrets.token_urlsafe(32)
        id = secrets.token_hex(4)
        key = await self._keys.add(id, name, _hash(secret), scopes, limits)
        self._known[key.hash] = key
        return Made(key, secret)

    async def revoke(self, id: str) -> bool:
        """Worth nothing from now on; False where there was no such key."""
        done = await self._keys.revoke(id)
        await self.load()
        return done

    # the check

    def guard(self, scope: Scope, route: Route, context: Context) -> None:
        """`Gateway.guard`: who asks (`context.key`), and may they? Raises 401, 403 or 429."""
        given = _given(scope["headers"])
        if not self.required or route.public:
            if given is None or not given.startswith(b"dsk_"):
                return  # another system's key: OpenAI's clients always send one
        context.key = self._admit(given, wanted_of(route.kind, route.name))

    def admit(self, headers: Iterable[tuple[bytes, bytes]], wanted: str) -> str:
        """The name of the key (or "node" for the token) that asks for `wanted`."""
        return self._admit(_given(headers), wanted)

    def identify(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Raises 401 for whoever has no key at all; its scopes and its rate are not looked at."""
        self._key_of(_given(headers))

    def _key_of(self, given: bytes | None) -> Key | None:
        """The key; None for the node's token."""
        if given is None:
            raise _unauthorised("send a key as 'Authorization: Bearer dsk_…' or 'X-API-Key: dsk_…'")
        if hmac.compare_digest(given, self._token):
            return None
        key = self._known.get(hashlib.sha256(given).hexdigest())
        if key is None:
            raise _unauthorised("this key is not known, or it was revoked")
        if (expires := key.rate.get("expires")) is not None and self._keys.now() >= expires:
            raise _unauthorised(f"the key '{key.name}' has expired")
        return key

    def _admit(self, given: bytes | None, wanted: str) -> str:
        key = self._key_of(given)
        if key is None:
            return "node"
        if not allows(key.scopes, wanted):
            self.requests[key.name, "forbidden"] += 1
            said = f"the key '{key.name}' has the scopes {', '.join(key.scopes)}; wanted: {wanted}"
            raise HttpError(403, "forbidden", said)
        self._limit(key)
        self.requests[key.name, "admitted"] += 1
        self._touched.add(key.id)
        return key.name

    def _limit(self, key: Key) -> None:
        per_s = key.rate.get("per_s")
        if per_s is None:
            return
        now = time.monotonic()
        bucket = self._buckets.get(key.id)
        if bucket is None:
            bucket = self._buckets[key.id] = Bucket(per_s, key.rate["burst"], now)
        if wait_s := bucket.take(now):
            self.requests[key.name, "limited"] += 1
            raise HttpError(
                429, "rate_limited",
                f"the key '{key.name}' may make {per_s:g} requests a second, "
                f"{key.rate['burst']} at once",
                retry_after_s=wait_s,
            )  # fmt: skip

    def collect(self) -> Iterator[Any]:
        """For Prometheus: descent_key_requests_total{key, outcome}."""
        from prometheus_client.core import CounterMetricFamily

        family = CounterMetricFamily(
            "descent_key_requests",
            "Requests with an API key: admitted, forbidden (scope), limited (rate)",
            labels=["key", "outcome"],
        )
        for labels, n in sorted(self.requests.items()):
            family.add_metric(list(labels), n)
        yield family


def _given(headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """The secret that was sent, by either header."""
    found = None
    for name, value in headers:
        if name == b"authorization" and value[:7].lower() == b"bearer ":
            return value[7:].strip()
        if name == b"x-api-key":
            found = value.strip()
    return found


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _unauthorised(said: str) -> HttpError:
    return HttpError(401, "unauthorised", said, headers=((b"www-authenticate", b"Bearer"),))
