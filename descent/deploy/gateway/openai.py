"""OpenAI's routes for all text services of a node: `/v1/…` goes to the API that the body's `model`
names, `/v1/models` lists them.

    client = openai.OpenAI(base_url="http://127.0.0.1:8080/v1", api_key="-")

A service that speaks OpenAI says so in its signature ("paths" has one that begins with /v1). Its
own model names are asked for once per version; `model` may be the API's name or one of those.
Errors have OpenAI's form.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from weakref import WeakKeyDictionary

from starlette.types import Receive, Scope, Send

from descent.deploy.asking import ask
from descent.deploy.errors import HttpError
from descent.deploy.gateway.answers import only, send_json
from descent.deploy.gateway.heads import new_id
from descent.deploy.gateway.replays import given, read_body
from descent.deploy.gateway.routes import Route
from descent.deploy.gateway.served import Served
from descent.deploy.pool import Context
from descent.serve.errors import error_body

if TYPE_CHECKING:
    from descent.deploy.gateway.app import Gateway

__all__ = ["OpenAI"]

MAX_BODY_BYTES = 32 * 2**20


class OpenAI:
    """The ASGI app under `/v1`."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._cards: WeakKeyDictionary[Served, list[dict[str, Any]]] = WeakKeyDictionary()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            if scope["path"].rstrip("/") == "/v1/models":
                await self._list(scope, send)
            elif scope["path"].startswith("/v1/models/"):
                await self._one(scope, send)
            else:
                await self._forward(scope, receive, send)
        except HttpError as error:
            body = error_body(error.status, error.message, param=error.field, code=error.code)
            kept = [h for h in error.headers() if h[0] != b"content-type"]
            await send_json(send, body, error.status, kept)
        except ConnectionError:
            return

    async def _list(self, scope: Scope, send: Send) -> None:
        found = []
        for route in self._speaking():
            cards = await self._cards_of(route)
            first = cards[0] if cards else {"object": "model", "owned_by": "descent", "created": 0}
            found.append({**first, "id": route.name, "root": first.get("id", route.name)})
            found += [c for c in cards if c["id"] not in self._gateway.routes.by_name]
        await send_json(send, {"object": "list", "data": found})

    async def _one(self, scope: Scope, send: Send) -> None:
        name = scope["path"].removeprefix("/v1/models/")
        route, own = await self._find(name)
        cards = {card["id"]: card for card in await self._cards_of(route)}
        card = cards.get(own) or {"object": "model", "owned_by": "descent", "created": 0}
        await send_json(send, {**card, "id": name})

    async def _forward(self, scope: Scope, receive: Receive, send: Send) -> None:
        only(scope, "POST")
        body = await read_body(receive, MAX_BODY_BYTES)
        try:
            asked = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise HttpError(400, "bad_json", f"the body is not valid JSON: {error}") from None
        name = asked.get("model") if isinstance(asked, dict) else None
        if not isinstance(name, str):
            raise HttpError(400, "missing", "'model' must name a model; see /v1/models",
                            field="model")  # fmt: skip
        route, own = await self._find(name)
        if own != name:
            body = json.dumps({**asked, "model": own}, ensure_ascii=False).encode()
        headers = [
            h for h in scope["headers"] if h[0] not in (b"content-length", b"transfer-encoding")
        ]
        headers.append((b"content-length", str(len(body)).encode()))
        path = route.endpoint + scope["path"]
        inner = {**scope, "path": path, "raw_path": quote(path).encode(), "headers": headers}
        await self._gateway.dispatch(route, inner, given(body, receive), send)

    async def _find(self, name: str) -> tuple[Route, str]:
        """The route and the service's own name of a model; the API's name means its first."""
        speaking = self._speaking()
        for route in speaking:
            if route.name == name:
                cards = await self._cards_of(route)
                ids = [card["id"] for card in cards]
                return route, name if name in ids or not ids else ids[0]
        for route in speaking:
            if any(card["id"] == name for card in await self._cards_of(route)):
                return route, name
        names = ", ".join(route.name for route in speaking) or "none"
        raise HttpError(404, "model_not_found", f"no model '{name}' is served here; there are: "
                        f"{names}", field="model")  # fmt: skip

    def _speaking(self) -> list[Route]:
        """Routes whose service has OpenAI's paths."""
        return [r for r in self._gateway.routes.by_name.values() if _speaks(r)]

    async def _cards_of(self, route: Route) -> list[dict[str, Any]]:
        served = route.served
        if served is None:
            return []
        cards = self._cards.get(served)
        if cards is None:
            context = Context(new_id(), served.api, served.version)
            answer = await ask(
                served.app, "/v1/models", method="GET", context=context, root_path=route.endpoint
            )
            if answer.status != 200:
                return []  # for now: it is asked again
            cards = self._cards[served] = json.loads(answer.body).get("data", [])
        return cards


def _speaks(route: Route) -> bool:
    signature = (route.served.signature if route.served else None) or {}
    return any(path.startswith("/v1/") for path in signature.get("paths") or ())
