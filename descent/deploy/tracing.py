"""Traces, where they are asked for: which way a request or a job's attempt took, and how long.

    POST /sorter (gateway) → service sorter → batch (links to all it answers)
    job nightly (an attempt) → service nightly → …

On with `descent node --traces URL` or OpenTelemetry's own variables (OTEL_EXPORTER_OTLP_ENDPOINT,
OTEL_TRACES_SAMPLER, OTEL_SERVICE_NAME …), sent by OTLP over HTTP. W3C's traceparent is read from
requests and handed on: to children, Ray's replicas, commands, and to what a service calls. Off, a
request pays for one comparison. Reference: W3C Trace Context; OpenTelemetry's HTTP conventions.
Left out: OTLP over gRPC; metrics and logs by OTLP (Prometheus and JSON lines say those).
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from descent.deploy.errors import DeployError
from descent.deploy.pool import Context

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from descent.deploy.jobs.store import Lease

__all__ = ["Traced", "Tracing", "begin", "handed_on", "inside", "variables", "wanted"]

TRACE_HEADERS = (b"traceparent", b"tracestate")
TIMEOUT_S = 5  # for one export; what cannot be sent is dropped, never waited for by requests
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_INSIDE = "descent.span"
log = logging.getLogger("descent.deploy.tracing")

active: Tracing | None = None  # a process's own, as OpenTelemetry's provider is; None: off


class Tracing:
    """Spans of one process, made by `provider` (of OpenTelemetry's SDK)."""

    def __init__(self, provider: Any) -> None:
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._tracer = provider.get_tracer("descent.deploy")
        self._propagator = TraceContextTextMapPropagator()

    async def request(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """A request as it comes from outside; what is behind finds this span in its headers."""
        from opentelemetry.trace import SpanKind

        carrier = {k.decode(): v.decode("latin-1") for k, v in scope["headers"] if _of_trace(k)}
        about = {"http.request.method": scope["method"], "url.path": scope["path"]}
        name = scope["method"]  # what nobody knows must not become a name
        if scope["path"].startswith(_SHARED):
            name += f" {scope['path'][:100]}"
        with self._span(name, carrier, SpanKind.SERVER, about) as span:
            kept = [(k, v) for k, v in scope["headers"] if not _of_trace(k)]
            scope["headers"] = kept + [(k.encode(), v.encode()) for k, v in self.out().items()]
            try:
                await app(scope, receive, _noting(span, send))
            finally:
                context: Context | None = scope.get("descent")
                if context is not None and scope["root_path"]:  # an API's
                    span.update_name(f"{scope['method']} {scope['root_path']}")
                    span.set_attribute("http.route", scope["root_path"])
                    span.set_attributes(_about(context))

    async def service(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """A version at work on a request, in the process in which it does so."""
        context: Context | None = scope.get("descent")
        carrier = {k.decode(): v.decode("latin-1") for k, v in scope["headers"] if _of_trace(k)}
        if context is not None and context.trace:
            carrier["traceparent"] = context.trace
        about = {} if context is None else _about(context)
        with self._span(f"service {about.get('descent.api', '')}", carrier, None, about) as span:
            inner = {**scope, _INSIDE: True}
            if context is not None:
                inner["descent"] = replace(context, trace=self.out().get("traceparent"))
            await app(inner, receive, _noting(span, send))

    @contextmanager
    def attempt(self, lease: Lease) -> Iterator[Callable[[str], None]]:
        """One attempt at a unit of a job, below the request that submitted it where its headers are
        kept (AsyncAPI). What it gives is to be called with the error of one that fails."""
        from opentelemetry.trace import SpanKind, StatusCode

        kept = lease.payload.meta.get("headers", ())
        carrier = {name: value for name, value in kept if _of_trace(name.encode())}
        about = {
            "descent.api": lease.api,
            "descent.job": lease.job,
            "descent.unit": lease.index,
            "descent.attempt": lease.attempt,
        }
        with self._span(f"job {lease.api}", carrier, SpanKind.CONSUMER, about) as span:
            yield lambda error: span.set_status(StatusCode.ERROR, error[:200])

    def here(self) -> Span:
        """The span of whoever asks."""
        from opentelemetry.trace import get_current_span

        return get_current_span()

    @contextmanager
    def batch(self, spans: Sequence[Any]) -> Iterator[None]:
        """One call that answers many requests, whose `spans` are given: it stands below the first
        that is traced, is linked with all, and they with it."""
        from opentelemetry.trace import Link, set_span_in_context

        traced = [s for s in spans if s is not None and s.is_recording()]
        parent = set_span_in_context(traced[0]) if traced else None
        links = [Link(span.get_span_context()) for span in traced]
        about = {"descent.batch_size": len(spans)}
        if not traced:  # nobody asked for a trace of any of them
            yield
            return
        made = self._tracer.start_as_current_span("batch", parent, links=links, attributes=about)
        with made as batch:
            for span in traced[1:]:
                span.add_link(batch.get_span_context())
            yield

    def _span(self, name: str, carrier: Mapping[str, str], kind: Any, about: Mapping[str, Any]):
        from opentelemetry.context import Context as Empty
        from opentelemetry.trace import SpanKind

        return self._tracer.start_as_current_span(
            name,
            self._propagator.extract(carrier, Empty()),
            kind=kind or SpanKind.INTERNAL,
            attributes=about,  # type: ignore[arg-type]
        )

    def out(self) -> dict[str, str]:
        """The headers that name the current span; none where there is none."""
        carrier: dict[str, str] = {}
        self._propagator.inject(carrier)
        return carrier


class Traced:
    """An application whose requests are traced; probes, `/metrics` and the operator's calls are
    not: they would be most of what is kept."""

    def __init__(self, app: ASGIApp, tracing: Tracing) -> None:
        self.app, self.tracing = app, tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not f"{scope['path']}/".startswith(_UNTRACED):
            return await self.tracing.request(self.app, scope, receive, send)
        await self.app(scope, receive, send)


_SHARED = ("/v1/", "/v2/")
_UNTRACED = ("/livez/", "/readyz/", "/healthz/", "/metrics/", "/-/")


def inside(scope: Scope) -> bool:
    """Whether the service's own span has begun."""
    return _INSIDE in scope


def handed_on(headers: list[tuple[str, str]]) -> tuple[str | None, list[tuple[str, str]]]:
    """The traceparent for a `Context`, and `headers` with the current span's; without one, what
    `headers` say themselves."""
    out = {} if active is None else active.out()
    if out:
        headers = [(k, v) for k, v in headers if not _of_trace(k.encode())] + list(out.items())
    return dict(headers).get("traceparent"), headers


def wanted(env: Mapping[str, str] | None = None) -> bool:
    """Whether OpenTelemetry's variables ask for traces."""
    env = os.environ if env is None else env
    if env.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    return env.get("OTEL_TRACES_EXPORTER") != "none" and any(env.get(name) for name in _ENDPOINTS)


def variables() -> dict[str, str]:
    """What turns traces on in a process that does not inherit this one's variables."""
    return {name: value for name, value in os.environ.items() if name.startswith("OTEL_")}


def begin(url: str | None = None) -> Tracing | None:
    """Turn traces on in this process if they are wanted; sent to `url` or where the variables say.

    Children that this process starts hear of `url` by the variables. Raises `DeployError` where
    `url` is given and the extra is not installed; with the variables alone that is logged.
    """
    global active
    if url:
        os.environ[_ENDPOINTS[0]] = url
    if active is not None or not wanted():
        return active
    try:
        active = Tracing(_provider())
    except ModuleNotFoundError as error:
        said = f"traces need {error.name}: pip install 'descent-ml[traces]'"
        if url:
            raise DeployError(said) from error
        log.warning("%s; going on without", said)
    return active


def _provider() -> Any:
    """The SDK's, made the process's own, so that a service's own spans are sent, too."""
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # pyright: ignore
        OTLPSpanExporter,
    )
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    from descent import __version__

    timeout_s = None if os.environ.get("OTEL_EXPORTER_OTLP_TIMEOUT") else TIMEOUT_S
    about = {"service.version": __version__, "process.pid": os.getpid()}
    if not os.environ.get("OTEL_SERVICE_NAME"):
        about["service.name"] = "descent"
    provider = TracerProvider(resource=Resource.create(about))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(timeout=timeout_s)))
    trace.set_tracer_provider(provider)
    return provider


def _of_trace(name: bytes) -> bool:
    return name in TRACE_HEADERS


def _about(context: Context) -> dict[str, Any]:
    found = {
        "descent.api": context.api,
        "descent.version": context.version,
        "descent.request_id": context.request_id,
        "descent.key": context.key,
        "descent.job": context.job,
    }
    return {name: value for name, value in found.items() if value is not None}


def _noting(span: Any, send: Send) -> Send:
    """`send` that keeps the answer's status in the span."""

    async def noting(message: Message) -> None:
        if message["type"] == "http.response.start":
            span.set_attribute("http.response.status_code", message["status"])
            if message["status"] >= 500:
                from opentelemetry.trace import StatusCode

                span.set_status(StatusCode.ERROR, f"answered {message['status']}")
        await send(message)

    return noting
