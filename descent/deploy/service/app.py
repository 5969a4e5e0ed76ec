"""The ASGI application around a service: body → decode → predict → encode → answer.

    POST /  predict        POST /path  an @endpoint        GET /  what it takes and gives
    504 its deadline is over    499 its client went away    400 its input    500 its own mistake

The same for every backend: this process, a child, a replica of Ray's. Admission (how many at once)
is the gateway's; a request counts as running until its code has really ended, answered or not.
"""

from __future__ import annotations

import asyncio
import inspect
import time
import traceback
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from descent.deploy import tracing
from descent.deploy.errors import HttpError, send_error
from descent.deploy.pool import Context
from descent.deploy.service import signature
from descent.deploy.service.base import JOB_COMPLETE, endpoints_of
from descent.deploy.service.batched import BatchedMethod
from descent.deploy.service.calls import until_ended
from descent.deploy.service.counting import ServiceCounts
from descent.deploy.service.inflight import InFlight, current
from descent.deploy.service.lifespan import Lifespan
from descent.deploy.service.methods import Method, takes_nothing, without_input
from descent.deploy.service.streaming import Groups, send_stream
from descent.deploy.service.threads import Workers

if TYPE_CHECKING:
    from descent.deploy.spec import Spec

__all__ = ["ServiceApp", "asgi_of"]

Log = Callable[..., None]
_JOB_THREADS = 64
_LAST_S = 0.5  # for threads to notice that they have been stopped


class ServiceApp:
    """Answers with `instance`, within the limits of `spec`.

    `log(line, **fields)` is told of failures: level, request_id, traceback. `signature` is a pool's
    (pool.py). Raises TypeError for a service that cannot work (no predict, annotations without a
    JSON form, batching of a stream).
    """

    def __init__(
        self, instance: Any, spec: Spec, log: Log, counts: ServiceCounts | None = None
    ) -> None:
        self.instance = instance
        self.spec = spec
        self.last_failure: str | None = None  # the latest exception that became a 500
        self.counts = ServiceCounts() if counts is None else counts
        stoppable = getattr(instance, "stoppable", True)
        self.workers = Workers(_threads(spec), name=spec.name, stoppable=stoppable)
        self._log = log
        self._asgi = asgi_of(instance)
        self._lifespan = None if self._asgi is None else Lifespan(self._asgi)
        self._requests: set[InFlight] = set()
        self._methods: dict[str, dict[str, Method]] = {}
        if self._asgi is not None:
            known = getattr(instance, "signature", None)
            if not isinstance(known, signature.Signature):
                known = signature.of_app(self._asgi)
            self.signature: dict[str, Any] = known.as_json()
        else:
            predict = self._predict_method()
            self._methods = {"": {"POST": predict}, "/": {"POST": predict}}
            self.signature = predict.signature.as_json()
            self._add_endpoints()

    @property
    def in_flight(self) -> int:
        """Requests whose code has not ended."""
        return len(self._requests)

    async def start(self) -> None:
        """Before the first request: a mounted application's own start."""
        if self._lifespan is not None:
            await self._lifespan.start()

    async def close(self, grace_s: float = 5.0) -> None:
        """Wait `grace_s` for requests that are under way, stop those that still are (503), and end
        the threads; one that cannot be stopped is left behind."""
        until = time.monotonic() + grace_s
        while self._requests and time.monotonic() < until:
            await asyncio.sleep(0.005)
        for request in self._requests:
            said = "The service was stopped while it worked on this; try again."
            request.end(HttpError(503, "stopped", said, retry_after_s=1))
        if self._lifespan is not None:
            try:
                async with asyncio.timeout(max(_LAST_S, until - time.monotonic())):
                    await self._lifespan.stop()
            except (RuntimeError, TimeoutError) as error:  # the rest must end all the same
                why = str(error) or "it takes too long"
                self._log(f"the application's shutdown failed: {why}", level="error")
        left = await self.workers.close(max(_LAST_S, until - time.monotonic()))
        for methods in self._methods.values():
            for method in methods.values():
                method.close()
        if left:
            self._log(f"{left} threads still run a request's code; they are left", level="warning")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._other_than_http(scope, receive, send)
        if tracing.active is not None and not tracing.inside(scope):
            return await tracing.active.service(self, scope, receive, send)
        context = scope.get("descent") or self._context(scope)
        request = InFlight(scope, receive, context)
        token = current.set(request)
        self._requests.add(request)
        try:
            if self._asgi is not None:
                await self._mounted(self._asgi, request, send)
            else:
                await self._answer(request, send)
        finally:
            self._requests.discard(request)
            current.reset(token)

    async def _answer(self, request: InFlight, send: Send) -> None:
        request.hold()
        try:
            method = self._find(request.scope)
            await request.read(self.spec.max_body_bytes)
            result = await method(request)
            if type(result) is not tuple:
                return await self._answer_otherwise(result, method, request, send)
            request.let_go()
            request.answering = True
            await _send(*result, send)
        except BaseException as error:
            if request.answering or (said := self._said_of(error, request)) is None:
                raise
            await send_error(send, said, request.context.request_id)
        finally:
            request.let_go()
            if request.work is not None and not request.work.ended:
                await until_ended(request.work)

    async def _answer_otherwise(
        self, result: Any, method: Method, request: InFlight, send: Send
    ) -> None:
        """A stream, or a response of the service's own making."""

        async def sending(message: Message) -> None:
            request.answering = True
            await send(message)

        if isinstance(result, Response):
            return await result(request.scope, request.receive, sending)
        accept, media = request.header(b"accept"), method.signature.output_type
        groups = self._counted(result, request.since)
        await send_stream(groups, accept, media, sending, lambda e: self._said_of(e, request))

    async def _counted(self, groups: Groups, since: float) -> Groups:
        first = True
        try:
            async for group in groups:
                now = time.perf_counter()
                self.counts.group(len(group), now - since, first=first)
                since, first = now, False
                yield group
        finally:
            await groups.aclose()

    def _said_of(self, error: BaseException, request: InFlight) -> HttpError | None:
        """What the client is told; None: nothing, the request was cancelled from outside."""
        if isinstance(error, asyncio.CancelledError):
            if request.cancelled_by_others():
                return None
            if request.why is not None:
                return request.why
            error = RuntimeError("the service cancelled its own request")
        if isinstance(error, HttpError):
            return error
        status, detail = getattr(error, "status_code", None), getattr(error, "detail", None)
        if isinstance(status, int) and isinstance(detail, str):  # Starlette's and FastAPI's
            return HttpError(status, "error", detail)
        if isinstance(error, KeyboardInterrupt | GeneratorExit):
            return None
        self.last_failure = f"{type(error).__name__}: {error}"
        self._log(
            self.last_failure,
            level="error",
            request_id=request.context.request_id,
            traceback="".join(traceback.format_exception(error)),
        )
        said = "The service failed; its log says why, under this request's id."
        return HttpError(500, "internal_error", said)

    def _find(self, scope: Scope) -> Method:
        path: str = scope["path"]
        root: str = scope.get("root_path", "")
        if root and path.startswith(root):
            path = path[len(root) :]
        methods = self._methods.get(path)
        if methods is None:
            known = ", ".join(sorted(found for found in self._methods if found != "/") or "/")
            raise HttpError(
                404, "not_found", f"There is nothing at '{path}'; there is: '', {known}"
            )
        method = methods.get(scope["method"])
        if method is None:
            allowed = ", ".join(methods)
            raise HttpError(
                405, "method_not_allowed", f"'{path}' answers {allowed}, not {scope['method']}.",
                headers=[(b"allow", allowed.encode())],
            )  # fmt: skip
        return method

    def _predict_method(self) -> Method:
        instance, batching = self.instance, self.spec.batching
        examples = self.spec.warm_up
        known = signature.of(instance, batched=batching is not None, examples=examples)
        if batching is not None:
            return BatchedMethod(instance, known, self.workers, batching, self.counts.batch)
        predict = getattr(instance, "predict", instance)
        decode, encode = getattr(instance, "decode", None), getattr(instance, "encode", None)
        return Method(predict, known, self.workers, decode=decode, encode=encode)

    def _add_endpoints(self) -> None:
        for path, verbs, function in endpoints_of(self.instance):
            nothing = takes_nothing(function)
            known = signature.of(without_input(function) if nothing else function)
            method = Method(function, known, self.workers, reads=not nothing)
            if path != JOB_COMPLETE:  # the jobs ask it, nobody else
                shown = {"path": path, "methods": list(verbs), **known.as_json()}
                self.signature.setdefault("endpoints", []).append(shown)
            for verb in verbs:
                self._methods.setdefault(path, {})[verb] = method

    def _context(self, scope: Scope) -> Context:
        """Where no gateway stands before it: the id asked for, the spec's own time limit."""
        headers = dict(scope["headers"])
        asked = headers.get(b"x-request-id", b"").decode("latin-1")
        limit = self.spec.timeout_s
        deadline = None if limit is None else asyncio.get_running_loop().time() + limit
        return Context(asked or uuid.uuid4().hex, api=self.spec.name, deadline=deadline)

    async def _mounted(self, app: ASGIApp, request: InFlight, send: Send) -> None:
        """The application's own affair, but for the end of the version it belongs to."""
        scope = request.scope
        if self._lifespan is not None and self._lifespan.state:
            scope["state"] = {**self._lifespan.state, **scope.get("state", {})}

        async def sending(message: Message) -> None:
            request.answering = True
            await send(message)

        request.hold(watch=False)
        try:
            await app(scope, request.receive, sending)
        except asyncio.CancelledError as error:
            if request.why is None or request.cancelled_by_others():
                raise
            if request.answering:
                raise request.why from error  # the server breaks the connection off
            await send_error(send, request.why, request.context.request_id)
        finally:
            request.let_go()

    async def _other_than_http(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._asgi is not None and scope["type"] == "websocket":
            return await self._asgi(scope, receive, send)
        if scope["type"] == "websocket":
            await receive()
            return await send({"type": "websocket.close", "code": 1003})
        while True:  # lifespan: the server starts and ends us
            message = await receive()
            ending = message["type"] == "lifespan.shutdown"
            await (self.close() if ending else self.start())
            await send({"type": message["type"] + ".complete"})
            if ending:
                return


def _threads(spec: Spec) -> int:
    """As many as requests are let in at once; of a batch job's, as many as it has workers."""
    return _JOB_THREADS if spec.kind == "BatchAPI" else spec.pod.max_concurrency


async def _send(body: bytes, media: str, send: Send) -> None:
    headers = [(b"content-type", media.encode()), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def asgi_of(instance: Any) -> ASGIApp | None:
    """The ASGI application that a service is, or has as `asgi`; None if it has `predict`."""
    asgi = getattr(instance, "asgi", None)
    if asgi is not None:
        return asgi
    if hasattr(instance, "predict") or not callable(instance) or isinstance(instance, type):
        return None
    called: Any = instance if inspect.isroutine(instance) else type(instance).__call__
    names = [name for name in inspect.signature(called).parameters if name != "self"]
    app: Any = instance
    return app if names[:3] == ["scope", "receive", "send"] else None
