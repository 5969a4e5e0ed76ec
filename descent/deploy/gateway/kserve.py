"""KServe's Open Inference Protocol, version 2, over the same services.

GET /v2 · /v2/health/live · /v2/health/ready · /v2/models/{m}[/versions/{v}][/ready]
POST /v2/models/{m}[/versions/{v}]/infer with JSON tensors (`tensors.py`). Errors are
`{"error": "message"}` as the protocol says. Left out: the binary tensor extension, gRPC.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from starlette.types import Receive, Scope, Send

from descent.deploy.errors import HttpError
from descent.deploy.gateway.answers import only, send_json
from descent.deploy.gateway.replays import Caught, given, read_body
from descent.deploy.gateway.routes import Route
from descent.deploy.gateway.tensors import metadata, tensors_of, value_of

if TYPE_CHECKING:
    from descent.deploy.gateway.app import Gateway

__all__ = ["KServe"]

_PASSED_ON = (b"x-request-id", b"retry-after")


class KServe:
    """The ASGI app under `/v2`."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._answer(scope, receive, send)
        except HttpError as error:
            kept = [h for h in error.headers() if h[0] != b"content-type"]
            await send_json(send, {"error": error.message}, error.status, kept)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        match scope["path"].rstrip("/").split("/")[2:]:
            case []:
                only(scope, "GET", "HEAD")
                await send_json(send, _server())
            case ["health", "live"]:
                only(scope, "GET", "HEAD")
                await send_json(send, {"live": True})
            case ["health", "ready"]:
                only(scope, "GET", "HEAD")
                ready = self._gateway.not_ready is None
                await send_json(send, {"ready": ready}, 200 if ready else 503)
            case ["models", name, "versions", version, *rest]:
                await self._model(name, version, rest, scope, receive, send)
            case ["models", name, *rest]:
                await self._model(name, None, rest, scope, receive, send)
            case _:
                raise HttpError(404, "not_found", f"nothing is at '{scope['path']}'")

    async def _model(
        self, name: str, version: str | None, rest: list[str], scope: Scope, receive: Receive,
        send: Send,
    ) -> None:  # fmt: skip
        route = self._route(name, version)
        if rest == ["ready"]:
            only(scope, "GET", "HEAD")
            ready = route.served is not None or route.choose is not None
            await send_json(send, {"name": name, "ready": ready}, 200 if ready else 503)
        elif not rest:
            only(scope, "GET", "HEAD")
            await send_json(send, _described(route))
        elif rest == ["infer"]:
            only(scope, "POST")
            await self._infer(route, scope, receive, send)
        else:
            raise HttpError(404, "not_found", f"nothing is at '{scope['path']}'")

    def _route(self, name: str, version: str | None) -> Route:
        route = self._gateway.routes.by_name.get(name)
        if route is None or route.kind not in ("RealtimeAPI", "TrafficSplitter"):
            named = sorted(
                r.name for r in self._gateway.routes.by_name.values() if r.kind == "RealtimeAPI"
            )
            raise HttpError(404, "not_found", f"no model '{name}'; there are {named}")
        if version is not None and version != _version(route):
            raise HttpError(
                404, "not_found", f"'{name}' serves version {_version(route)}, not {version}"
            )
        return route

    async def _infer(self, route: Route, scope: Scope, receive: Receive, send: Send) -> None:
        limit = route.served.limits.max_body_bytes if route.served else 10 * 2**20
        try:
            asked = json.loads(await read_body(receive, limit))
        except ConnectionError:
            return
        except (ValueError, RecursionError) as error:
            raise HttpError(400, "bad_json", f"the body is not valid JSON: {error}") from None
        if not isinstance(asked, dict) or not isinstance(asked.get("inputs"), list):
            raise HttpError(400, "bad_tensor", "the body must be an object with a list 'inputs'")
        chosen = asked.get("outputs") or []
        if not isinstance(chosen, list) or not all(isinstance(o, dict) for o in chosen):
            raise HttpError(400, "bad_tensor", "'outputs' must be a list of objects with a name")
        value = value_of(asked["inputs"], _signature(route).get("input") or {})
        caught = await self._called(route, json.dumps(value).encode(), scope, receive)
        kept = [h for h in caught.headers if h[0].lower() in _PASSED_ON]
        try:
            answer = json.loads(caught.body)
        except ValueError:
            answer = caught.body.decode("utf-8", "replace")
        if caught.status >= 400:
            return await send_json(send, {"error": _message(answer)}, caught.status, kept)
        outputs = tensors_of(answer)
        if wanted := [o.get("name") for o in chosen]:
            outputs = [o for o in outputs if o["name"] in wanted]
        said = {"model_name": route.name, "model_version": _version(route), "outputs": outputs}
        if "id" in asked:
            said["id"] = asked["id"]
        await send_json(send, said, 200, kept)

    async def _called(self, route: Route, body: bytes, scope: Scope, receive: Receive) -> Caught:
        """The service's answer to `body`, asked for as a client of the API itself would."""
        dropped = (b"content-length", b"transfer-encoding", b"content-type", b"accept")
        headers = [h for h in scope["headers"] if h[0] not in dropped]
        headers += [
            (b"content-length", str(len(body)).encode()),
            (b"content-type", b"application/json"),
            (b"accept", b"application/json"),
        ]
        path = route.endpoint
        inner = {**scope, "path": path, "raw_path": path.encode(), "headers": headers}
        caught = Caught()
        await self._gateway.dispatch(route, inner, given(body, receive), caught)
        return caught


def _server() -> dict[str, Any]:
    from descent import __version__

    return {"name": "descent", "version": __version__, "extensions": []}


def _described(route: Route) -> dict[str, Any]:
    signature = _signature(route)
    return {
        "name": route.name,
        "versions": [_version(route)],
        "platform": "descent",
        "inputs": metadata(signature.get("input") or {}, "input"),
        "outputs": metadata(signature.get("output") or {}, "output"),
    }


def _signature(route: Route) -> dict[str, Any]:
    return (route.served.signature if route.served else None) or {}


def _version(route: Route) -> str:
    return str(route.served.version) if route.served else "1"


def _message(answer: Any) -> str:
    error = answer.get("error") if isinstance(answer, dict) else None
    found = error.get("message") if isinstance(error, dict) else error
    return str(found if found else answer)
