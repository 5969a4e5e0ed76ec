"""The HTTP application: OpenAI's routes, health, metrics, and the page at `/`.

Routes: POST /v1/completions, /v1/chat/completions, /v1/embeddings, /tokenize, /detokenize,
/apply-template, /infill · GET /v1/models[/{id}] · /healthz (alive) · /readyz and /health (takes
requests) · /version · /metrics (Prometheus) · / (the page) · /openapi.json. More may be passed in
as `extra_routes`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute

from descent import __version__
from descent.generate.completer import Completer
from descent.serve import chat, completions, embeddings, infill, tokens
from descent.serve.errors import ApiError, from_status, from_validation
from descent.serve.middleware import Surroundings
from descent.serve.replies import model_card
from descent.serve.service import Limits, Service

__all__ = ["make_app"]

_STATIC = files("descent.serve") / "static"


def make_app(
    completers: Sequence[Completer],
    *,
    limits: Limits | None = None,
    extra_routes: Sequence[BaseRoute] = (),
    api_key: str | None = None,
    allowed_hosts: Collection[str] | None = None,
) -> FastAPI:
    """An ASGI application that serves `completers`; `app.state.service` is the service behind it.

    `api_key` guards all that runs or shows a model; `allowed_hosts` are the names answered for
    (None: any).
    """
    service = Service(completers, limits or Limits())

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        service.start()
        try:
            yield
        finally:
            service.stop()

    app = FastAPI(
        title="Descent",
        version=__version__,
        lifespan=lifespan,
        docs_url=None,  # FastAPI's documentation pages load scripts from elsewhere
        redoc_url=None,
    )
    app.state.service = service
    app.state.embedding_turn = asyncio.Semaphore(1)
    for part in (completions, chat, embeddings, tokens, infill):
        app.include_router(part.router)
    _add_models(app, service)
    _add_health(app, service)
    app.router.routes.extend(extra_routes)
    _add_page(app)
    _add_errors(app)
    app.add_middleware(
        Surroundings,
        metrics=service.metrics,
        max_body_bytes=service.limits.max_body_bytes,
        api_key=api_key,
        allowed_hosts=allowed_hosts,
    )
    return app


def _add_models(app: FastAPI, service: Service) -> None:
    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        cards = [model_card(completer) for completer in service.completers.values()]
        return {"object": "list", "data": cards}

    @app.get("/v1/models/{model:path}")
    async def model(model: str) -> dict[str, Any]:
        return model_card(service.completer(model))


def _add_health(app: FastAPI, service: Service) -> None:
    @app.get("/healthz")
    async def alive() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz")
    async def ready() -> JSONResponse:
        if service.draining:
            return JSONResponse({"status": "draining"}, 503, headers={"retry-after": "5"})
        return JSONResponse({"status": "ready", "models": list(service.completers)})

    @app.get("/health")
    async def health() -> JSONResponse:
        """What vLLM, llama.cpp and `transformers serve` answer: 503 when work would not be done."""
        if service.draining or not service.working:
            return JSONResponse({"status": "error"}, 503)
        return JSONResponse({"status": "ok"})

    @app.get("/version")
    async def version() -> dict[str, str]:
        return {"version": __version__}

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(service.metrics.render(), media_type="text/plain; version=0.0.4")


def _add_page(app: FastAPI) -> None:
    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(str(_STATIC / "index.html"), headers={"cache-control": "no-cache"})

    app.mount("/static", StaticFiles(directory=str(_STATIC)), name="static")


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(ApiError)
    async def api_error(request: Request, error: ApiError) -> JSONResponse:
        return JSONResponse(error.body, error.status, headers=error.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return await api_error(request, from_validation(error.errors()))

    @app.exception_handler(HTTPException)
    async def framework(request: Request, error: HTTPException) -> JSONResponse:
        cause = error.__cause__
        if isinstance(cause, ApiError):  # FastAPI wraps what goes wrong while it reads the body
            return await api_error(request, cause)
        path, method = request.url.path, request.method
        return await api_error(
            request, from_status(error.status_code, str(error.detail), path, method)
        )
