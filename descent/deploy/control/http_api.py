"""The control API, mounted under /-/: what the command line and the client call.

    GET  /-/info  /-/apis  /-/apis/{name}[/versions|logs|errors|series|decisions|jobs]
    POST /-/deploy  /-/apis/{name}/{refresh,rollback,promote}    PUT /-/apis/{name}/weights
    DELETE /-/apis/{name}  /-/apis/{name}/jobs/{id}              GET /-/openapi.json
    GET, POST /-/keys      DELETE /-/keys/{id}                   GET /-/ (the operator's page)

Every path but openapi.json and the page's files asks for the node's token as a bearer, or a key
with the scope control:read (GET) or control:write; keys are made with the token alone. Errors are
those of `descent.deploy.errors`. Cortex' operator paths are mapped in docs/deploy/control.md.
"""

from __future__ import annotations

import asyncio
import errno
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route as Path
from starlette.routing import Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from descent.deploy.control.controlling import NoSuchApi
from descent.deploy.control.describing import Description
from descent.deploy.control.journals import Reader, last_lines
from descent.deploy.control.key_paths import create_key, list_keys, revoke_key
from descent.deploy.control.openapi import document
from descent.deploy.control.orders import read_body, read_order
from descent.deploy.control.records import as_dict
from descent.deploy.control.splitting import all_to
from descent.deploy.errors import DeployError, HttpError, send_error
from descent.deploy.jobs.store import StoreFull, StoreUnavailable
from descent.deploy.keys import KeyRing
from descent.deploy.page import Page
from descent.deploy.spec import SpecError

__all__ = ["ControlApp"]

_POLL_S = 0.2
log = logging.getLogger("descent.deploy.node")
Answer = Callable[[Request], Awaitable[Response]]


class ControlApp:
    """ASGI application for paths below "/-"."""

    def __init__(self, description: Description, keys: KeyRing, *, work_folder: Any) -> None:
        self.description = description
        self.controller = description.controller
        self.keys = keys
        self.page = Page()
        self.work_folder = work_folder
        self.closing = False  # the node ends: so do those who follow logs
        self._app: ASGIApp = Router(routes=self._routes(), redirect_slashes=False)

    def _routes(self) -> list[Path]:
        one = "/-/apis/{name}"
        table: list[tuple[str, str, Answer]] = [
            ("GET", "/-/info", self.info),
            ("GET", "/-/apis", self.list_apis),
            ("POST", "/-/deploy", self.deploy),
            ("GET", one, self.describe),
            ("DELETE", one, self.delete),
            ("GET", f"{one}/versions", self.versions),
            ("POST", f"{one}/refresh", self.refresh),
            ("POST", f"{one}/rollback", self.rollback),
            ("POST", f"{one}/promote", self.promote),
            ("PUT", f"{one}/weights", self.weights),
            ("GET", f"{one}/logs", self.logs),
            ("GET", f"{one}/errors", self.errors),
            ("GET", f"{one}/series", self.series),
            ("GET", f"{one}/decisions", self.decisions),
            ("GET", f"{one}/jobs", self.jobs),
            ("GET", f"{one}/jobs/{{job}}", self.job),
            ("DELETE", f"{one}/jobs/{{job}}", self.stop_job),
            ("GET", "/-/keys", self.list_keys),
            ("POST", "/-/keys", self.create_key),
            ("DELETE", "/-/keys/{id}", self.revoke_key),
        ]
        return [Path(path, answer, methods=[method]) for method, path, answer in table]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = scope.get("state", {}).get("request_id")
        begun = False

        async def sending(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            if scope["path"] == "/-/openapi.json":
                await JSONResponse(document())(scope, receive, sending)
                return
            if scope["method"] in ("GET", "HEAD") and self.page.has(scope["path"]):
                await self.page(scope, sending)
                return
            self._admit(scope)
            scope["app"] = self  # the router raises what it would otherwise answer as plain text
            await self._app(scope, receive, sending)
        except Exception as error:
            said = _told(error, scope)
            if said.status == 500:
                log.exception("%s %s failed", scope["method"], scope["path"])
            if not begun:
                await send_error(send, said, request_id)

    def _admit(self, scope: Scope) -> None:
        looking = scope["method"] in ("GET", "HEAD")
        who = self.keys.admit(scope["headers"], "control:read" if looking else "control:write")
        if scope["path"].startswith("/-/keys") and who != "node":
            raise HttpError(403, "forbidden", "keys are seen and made with the node's token alone")

    # reading

    async def info(self, request: Request) -> Response:
        return JSONResponse(self.description.info())

    async def list_apis(self, request: Request) -> Response:
        return JSONResponse({"apis": await self.description.summaries()})

    async def describe(self, request: Request) -> Response:
        return JSONResponse(await self.description.api(request.path_params["name"]))

    async def versions(self, request: Request) -> Response:
        limit = min(1000, max(1, _whole(request, "limit", 100)))
        history = await self.controller.history(request.path_params["name"], limit)
        return JSONResponse({"versions": history})

    async def errors(self, request: Request) -> Response:
        name = self.controller.api(request.path_params["name"]).name
        return JSONResponse({"errors": self.controller.gateway.recent_errors(name)})

    async def series(self, request: Request) -> Response:
        name = self.controller.api(request.path_params["name"]).name
        seconds = _whole(request, "seconds", 900)
        return JSONResponse({"series": self.controller.gateway.series(name, seconds)})

    async def decisions(self, request: Request) -> Response:
        name = self.controller.api(request.path_params["name"]).name
        return JSONResponse({"decisions": self.description.decisions(name)})

    # changing

    async def deploy(self, request: Request) -> Response:
        body = await read_body(request)
        return await _unbroken(self._deploy(request, body))  # what was unpacked stays meanwhile

    async def _deploy(self, request: Request, body: bytes) -> Response:
        by, force = _who(request), _flag(request, "force")
        kind = request.headers.get("content-type", "")
        async with read_order(body, kind, self.work_folder) as (specs, base):
            if _flag(request, "dry_run"):
                self.controller.check(specs)
                return JSONResponse({"specs": [s.model_dump(mode="json") for s in specs]})
            done = await self.controller.deploy(specs, by, base, force=force)
        results = [self.description.result(each) for each in done]
        status = 422 if any(each.error for each in done) else 200
        answer: dict[str, Any] = {"results": results}
        if status == 422:
            said = "; ".join(each.error for each in done if each.error)
            answer["error"] = {"code": "load_failed", "message": said}
        return JSONResponse(answer, status)

    async def refresh(self, request: Request) -> Response:
        api = self.controller.api(request.path_params["name"])
        return JSONResponse(as_dict(await _unbroken(api.refresh())))

    async def rollback(self, request: Request) -> Response:
        api = self.controller.api(request.path_params["name"])
        number = (await _json(request)).get("version")
        if number is not None and type(number) is not int:
            raise HttpError(400, "bad_request", f"version is {number!r}; a whole number is needed",
                            field="version")  # fmt: skip
        return JSONResponse(as_dict(await _unbroken(api.rollback(number))))

    async def delete(self, request: Request) -> Response:
        name = request.path_params["name"]
        keep_jobs, force = _flag(request, "keep_jobs"), _flag(request, "force")
        await _unbroken(self.controller.delete(name, keep_jobs=keep_jobs, force=force))
        return JSONResponse({"message": f"deleted {name}"})

    async def promote(self, request: Request) -> Response:
        name, chosen = request.path_params["name"], (await _json(request)).get("api")

        def change(spec: Any) -> dict[str, Any]:
            if chosen not in {split.name for split in spec.apis if not split.shadow}:
                raise HttpError(400, "bad_request", f"'{name}' has no target {chosen!r}",
                                field="api")  # fmt: skip
            return {"apis": all_to(spec.apis, str(chosen))}

        return await self._weigh(request, change)

    async def weights(self, request: Request) -> Response:
        name, given = request.path_params["name"], (await _json(request)).get("weights")
        if not isinstance(given, dict):
            raise HttpError(400, "bad_request", "weights should be {api: percent}", field="weights")

        def change(spec: Any) -> dict[str, Any]:
            names = {split.name for split in spec.apis if not split.shadow}
            if unknown := sorted(set(given) - names):
                raise HttpError(400, "bad_request", f"'{name}' has no target {unknown[0]!r}",
                                field=f"weights.{unknown[0]}")  # fmt: skip
            return {"apis": [_split(s, given.get(s.name, s.weight)) for s in spec.apis]}

        return await self._weigh(request, change)

    async def _weigh(self, request: Request, change: Any) -> Response:
        name = request.path_params["name"]
        if self.controller.api(name).kind != "TrafficSplitter":
            raise HttpError(409, "refused", f"'{name}' is no TrafficSplitter")
        version = await _unbroken(self.controller.change(name, _who(request), change))
        return JSONResponse(as_dict(version))

    # keys

    async def list_keys(self, request: Request) -> Response:
        return JSONResponse(await list_keys(self.keys))

    async def create_key(self, request: Request) -> Response:
        return JSONResponse(await create_key(self.keys, await _json(request)), 201)

    async def revoke_key(self, request: Request) -> Response:
        return JSONResponse(await revoke_key(self.keys, request.path_params["id"]))

    # logs and jobs

    async def logs(self, request: Request) -> Response:
        name = self.controller.api(request.path_params["name"]).name
        lines, job = _whole(request, "lines", 100), request.query_params.get("job")
        version = _whole(request, "version", 0) or self._last_version(name)
        path = self.description.log_file(name, version, job)
        if not _flag(request, "follow"):
            body = "".join(line + "\n" for line in await asyncio.to_thread(last_lines, path, lines))
            return Response(body, media_type="application/x-ndjson")
        fixed = bool(request.query_params.get("version")) or job is not None
        follow = self._follow(request, name, version, job, lines, fixed)
        return StreamingResponse(follow, media_type="application/x-ndjson")

    async def _follow(
        self,
        request: Request,
        name: str,
        version: int,
        job: str | None,
        lines: int,
        fixed: bool,
    ) -> AsyncIterator[str]:
        """The last lines, then what comes; goes over to a new version's log when there is one."""
        path = self.description.log_file(name, version, job)
        reader = Reader(path)
        try:
            for line in await asyncio.to_thread(last_lines, path, lines):
                yield line + "\n"
            while name in self.controller.apis and not self.closing:
                if await request.is_disconnected():  # sending nothing, one is told of nothing
                    break
                for line in reader.read():
                    yield line + "\n"
                newest = version if fixed else self._last_version(name)
                if newest != version:
                    reader.close()
                    version = newest
                    reader = Reader(self.description.log_file(name, version, None), from_end=False)
                    continue
                await asyncio.sleep(_POLL_S)
        finally:  # who follows may be cut off anywhere above
            reader.close()

    def _last_version(self, name: str) -> int:
        api = self.controller.api(name)
        return api.loading or api.newest

    async def jobs(self, request: Request) -> Response:
        query = request.url.query
        return JSONResponse(
            {"jobs": await self.description.jobs(request.path_params["name"], query)}
        )

    async def job(self, request: Request) -> Response:
        name, job = request.path_params["name"], request.path_params["job"]
        return JSONResponse(await self.description.job(name, job))

    async def stop_job(self, request: Request) -> Response:
        name, job = request.path_params["name"], request.path_params["job"]
        return JSONResponse(await self.description.stop_job(name, job))


def _told(error: Exception, scope: Scope) -> HttpError:
    """An exception as what the client is told."""
    match error:
        case HttpError():
            return error
        case HTTPException():
            code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "refused")
            said = f"{scope['method']} {scope['path']}: {error.detail.lower()}"
            return HttpError(error.status_code, code, said)
        case NoSuchApi():
            return HttpError(404, "not_found", str(error))
        case SpecError():
            return HttpError(400, "bad_spec", str(error), field=error.field or None)
        case StoreFull():
            return HttpError(507, "disk_full", str(error))
        case StoreUnavailable():
            return HttpError(503, "store_unavailable", str(error), retry_after_s=5)
        case DeployError():
            return HttpError(409, "refused", str(error))
        case OSError(errno=errno.ENOSPC | errno.EDQUOT):
            said = "the disk is full; nothing was changed: make room and do it again"
            return HttpError(507, "disk_full", said)
        case OSError():
            said = f"{error.strerror or error}: {error.filename or scope['path']}"
            return HttpError(409, "refused", said)
    return HttpError(500, "internal_error", "the node made a mistake; node.log says which")


async def _unbroken(work: Awaitable[Any]) -> Any:
    """Finish a change even when its client goes away halfway."""
    return await asyncio.shield(asyncio.ensure_future(work))


def _split(split: Any, weight: Any) -> dict[str, Any]:
    written = split.model_dump(mode="json", exclude_unset=True)
    return written if split.shadow else {**written, "weight": weight}


def _who(request: Request) -> str:
    return request.query_params.get("by", "")[:100] or "unknown"


def _flag(request: Request, name: str) -> bool:
    return request.query_params.get(name, "").lower() in ("1", "true", "yes")


def _whole(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise HttpError(400, "bad_request", f"{name} is {text!r}; a whole number is needed",
                        field=name)  # fmt: skip
    return int(text)


async def _json(request: Request) -> dict[str, Any]:
    body = await request.body()
    if not body:
        return {}
    try:
        value = json.loads(body)
    except ValueError as error:
        raise HttpError(400, "bad_request", f"the body is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise HttpError(400, "bad_request", "the body should be a JSON object")
    return value
