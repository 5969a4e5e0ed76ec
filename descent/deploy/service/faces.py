"""What an API shows of itself: its page, its description, a client; and those of the whole node.

    GET /sorter/               the page (Accept: text/html), else the signature as JSON
    GET /sorter/openapi.json   this API in OpenAPI 3.1     GET /openapi.json   every API
    GET /sorter/-/client.py    a typed client              GET /sorter/-/…     the page's files

The gateway asks `Faces.of(route, scope)` before a GET enters the API: no slot is taken, nothing is
counted. An application that has a page of its own keeps it. The page and its files are public; what
tells of the API asks for a key where the API does (the page sends the one after `/sorter/#key=`).
"""

from __future__ import annotations

import json
import mimetypes
from collections.abc import Callable, Iterable, Mapping
from importlib.resources import files
from typing import Any, Protocol

from starlette.types import ASGIApp, Receive, Scope, Send

from descent.deploy.service.curl import curl_line, python_line
from descent.deploy.service.openapi import Described, document
from descent.deploy.service.typed_client import client_source

__all__ = ["Faces", "RouteLike"]

_FILES = files("descent.deploy.service") / "demo"
_STATIC = {"page.js", "fields.js", "show.js", "style.css", "icon.svg"}
_JOBS = ("AsyncAPI", "BatchAPI", "TaskAPI")
_POLICY = (
    "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; base-uri 'none';"
    " form-action 'self'; frame-ancestors 'none'"
)


class RouteLike(Protocol):
    """What is asked of a gateway's route."""

    name: str
    kind: str
    endpoint: str


class Faces:
    """The faces of a node's APIs.

    Args:
        routes: every route there is, now.
        signature: of a route, as its pool has it; None while nothing is loaded.
        control: the control API's own document, shown in the node's.
        keys: whether requests need an API key.
        admit: raises `HttpError` where who asks (a scope) may not see this route.
    """

    def __init__(
        self,
        routes: Callable[[], Iterable[RouteLike]],
        signature: Callable[[RouteLike], Mapping[str, Any] | None],
        *,
        control: Mapping[str, Any] | None = None,
        keys: Callable[[], bool] = lambda: False,
        admit: Callable[[Scope, RouteLike], None] = lambda scope, route: None,
    ) -> None:
        self._routes, self._signature = routes, signature
        self._control, self._keys, self._admit = control, keys, admit

    def of(self, route: RouteLike, scope: Scope) -> ASGIApp | None:
        """Who answers this GET or HEAD; None: the API itself."""
        below = scope["path"][len(route.endpoint) :]
        signature = self._signature(route) or {}
        own = _answers_itself(signature)
        served = getattr(route, "served", None)  # None: a splitter, which chooses
        if own and self._keys() and served is not None and _is_public(signature, below):
            return _straight_to(route)
        if below in ("", "/"):
            asked = _accept(scope)
            if own or scope.get("query_string") or (route.kind in _JOBS and "html" not in asked):
                return None
            if below == "":
                return _moved(route.endpoint.rpartition("/")[2] + "/")
            if "html" in asked:
                return self._page
            self._admit(scope, route)
            return self._about(route, signature)
        return self._below(route, signature, below, scope)

    def _below(
        self, route: RouteLike, signature: Mapping[str, Any], below: str, scope: Scope
    ) -> ASGIApp | None:
        own = _answers_itself(signature)
        if below == "/openapi.json" and not (own and not signature.get("paths")):
            self._admit(scope, route)
            return self._described(route, signature)
        if below.startswith("/-/") and not own:
            return self._file(route, signature, below[3:], scope)
        return None

    async def node(self, scope: Scope, receive: Receive, send: Send) -> None:
        """`/openapi.json`: every API, and the control API."""
        apis = [self._api(route, self._signature(route)) for route in self._routes()]
        made = document(apis, title="A Descent node", keys=self._keys(), more=self._control)
        await _send_json(send, made, scope)

    def _api(self, route: RouteLike, signature: Mapping[str, Any] | None) -> Described:
        return Described(route.name, route.kind, route.endpoint, signature)

    def _described(self, route: RouteLike, signature: Mapping[str, Any]) -> ASGIApp:
        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            made = document([self._api(route, signature)], title=route.name, keys=self._keys())
            await _send_json(send, made, scope)

        return answer

    def _about(self, route: RouteLike, signature: Mapping[str, Any]) -> ASGIApp:
        """The signature, and how to call it."""

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            url = _origin(scope) + route.endpoint
            await _send_json(
                send,
                {
                    "name": route.name,
                    "kind": route.kind,
                    "endpoint": route.endpoint,
                    **{key: signature.get(key) for key in _SHOWN},
                    "curl": curl_line(url, signature, kind=route.kind, key=self._keys()),
                    "python": python_line(url, signature, kind=route.kind),
                    "keys": self._keys(),
                },
                scope,
            )

        return answer

    async def _page(self, scope: Scope, receive: Receive, send: Send) -> None:
        await _send_file(send, "index.html", scope)

    def _file(
        self, route: RouteLike, signature: Mapping[str, Any], name: str, scope: Scope
    ) -> ASGIApp | None:
        if name in ("about.json", "client.py"):
            self._admit(scope, route)
        if name == "about.json":
            return self._about(route, signature)
        if name == "client.py":

            async def client(scope: Scope, receive: Receive, send: Send) -> None:
                url = _origin(scope) + route.endpoint
                source = client_source(route.name, url, signature, kind=route.kind)
                await _send(send, source.encode(), "text/x-python; charset=utf-8", scope)

            return client
        if name not in _STATIC:
            return None

        async def file(scope: Scope, receive: Receive, send: Send) -> None:
            await _send_file(send, name, scope)

        return file


_SHOWN = ("input", "output", "input_type", "output_type", "stream", "examples", "summary",
          "endpoints")  # fmt: skip


def _answers_itself(signature: Mapping[str, Any]) -> bool:
    """Is it a whole application, with paths and pages of its own?"""
    return bool(signature.get("paths")) or (
        signature.get("input_type") == "*/*" and signature.get("output_type") == "*/*"
    )


def _is_public(signature: Mapping[str, Any], below: str) -> bool:
    """Does the application say that this path shows nothing of anybody's?"""
    return any(
        (below or "/") == path or (path.endswith("/") and path != "/" and below.startswith(path))
        for path in signature.get("public") or ()
    )


def _straight_to(route: Any) -> ASGIApp:
    """The application itself, without the key that the gateway would ask for."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        scope["root_path"] = route.endpoint
        await route.served.app(scope, receive, send)

    return answer


def _accept(scope: Scope) -> str:
    return next((v.decode("latin-1") for k, v in scope["headers"] if k == b"accept"), "")


def _origin(scope: Scope) -> str:
    """The address the client used."""
    host = next((v.decode("latin-1") for k, v in scope["headers"] if k == b"host"), "")
    if not host:
        server = scope.get("server") or ("127.0.0.1", 80)
        host = f"{server[0]}:{server[1]}"
    return f"{scope.get('scheme', 'http')}://{host}"


def _moved(to: str) -> ASGIApp:
    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"location", to.encode()), (b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 307, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    return answer


async def _send_json(send: Send, value: Any, scope: Scope) -> None:
    await _send(send, json.dumps(value, ensure_ascii=False).encode(), "application/json", scope)


async def _send_file(send: Send, name: str, scope: Scope) -> None:
    kind = mimetypes.guess_type(name)[0] or "text/plain"
    kind = "text/javascript" if name.endswith(".js") else kind
    await _send(send, (_FILES / name).read_bytes(), f"{kind}; charset=utf-8", scope)


async def _send(send: Send, body: bytes, media: str, scope: Scope) -> None:
    headers = [
        (b"content-type", media.encode()),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-cache"),
        (b"content-security-policy", _POLICY.encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"no-referrer"),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
