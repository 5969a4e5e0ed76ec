"""A RealtimeAPI as a Ray Serve application: what KubeRay's RayService runs.

    import_path: descent.deploy.pools.ray.application:build      args: {spec, folder, version}

Each replica is the "local" backend behind Serve's own proxy, so the service is loaded, warmed and
asked as at home; Serve does routing, admission and scaling with the spec's numbers:

    max_concurrency → max_ongoing_requests     max_queue_length → max_queued_requests (per proxy)
    autoscaling     → autoscaling_config       grace of 60 s    → graceful_shutdown_timeout_s

Cortex' policy has no place in Serve; of its fields those with a counterpart are carried over
(`serve_autoscaling`). Left out: jobs, splitters, API keys and our gateway's metrics, which need a
node (docs/deploy/ray.md).
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from pathlib import Path
from typing import Any

from ray import serve
from starlette.types import Message, Receive, Scope, Send

from descent.deploy.errors import HttpError, send_error
from descent.deploy.pool import Context, LoadError, Start
from descent.deploy.pools.local import LocalBackend, LocalPool
from descent.deploy.spec import Spec, make_spec
from descent.deploy.spec.containers import Compute

__all__ = ["build", "serve_autoscaling", "serve_options"]

log = logging.getLogger("ray.serve.descent")  # below Ray's, so that it is in the replica's log


def build(args: dict[str, Any]) -> serve.Application:
    """The application for a spec; called by Serve on the head. Raises `LoadError`."""
    spec = make_spec(args["spec"])
    if spec.kind != "RealtimeAPI" or spec.service is None:
        raise LoadError(f"'{spec.name}': Serve runs RealtimeAPIs with a `service`")
    written = spec.model_dump(mode="json", exclude_unset=True)
    app = _Served(written, int(args.get("version", 1)), str(args.get("folder", ".")))
    return serve.deployment(serve.ingress(app)(), **serve_options(spec)).bind()


def serve_options(spec: Spec) -> dict[str, Any]:
    """Arguments of `serve.deployment` with the spec's numbers."""
    containers = spec.pod.containers
    compute = containers[0].compute if containers else Compute()
    resources: dict[str, Any] = {"num_cpus": compute.cpu or 0, "num_gpus": compute.gpu}
    if compute.mem is not None:
        resources["memory"] = compute.mem
    options: dict[str, Any] = {
        "name": spec.name,
        "max_ongoing_requests": spec.pod.max_concurrency,
        "max_queued_requests": spec.pod.max_queue_length,
        "ray_actor_options": resources,
        "graceful_shutdown_timeout_s": 60.0,
    }
    bounds = spec.autoscaling
    if bounds.min_replicas == bounds.max_replicas:
        return {**options, "num_replicas": bounds.min_replicas}
    return {**options, "autoscaling_config": serve_autoscaling(spec)}


def serve_autoscaling(spec: Spec) -> dict[str, Any]:
    """Ray's AutoscalingConfig: `ray_autoscaling` as it is, or what Cortex' fields come to there."""
    bounds = spec.autoscaling
    common = {
        "min_replicas": bounds.min_replicas,
        "max_replicas": bounds.max_replicas,
        "initial_replicas": bounds.init_replicas,
    }
    if spec.policy == "ray":
        theirs = spec.ray_autoscaling.model_dump()
        del theirs["metrics_interval_s"]  # deprecated there; its warning helps nobody
        return {**common, **theirs}
    return {
        **common,
        "target_ongoing_requests": bounds.target_in_flight or spec.pod.max_concurrency,
        "look_back_period_s": bounds.window,
        "upscale_delay_s": bounds.upscale_stabilization_period,
        "downscale_delay_s": bounds.downscale_stabilization_period,
    }


class _Served:
    """The ASGI application inside a replica; loading is its start-up, and a failure of it Serve's
    DEPLOY_FAILED (Serve says "check replica logs": the reason stands there)."""

    def __init__(self, written: dict[str, Any], version: int, folder: str) -> None:
        self._written, self._version, self._folder = written, version, folder
        self._pool: LocalPool | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self._live(receive, send)
        if scope["type"] != "http" or self._pool is None:
            return
        spec = self._spec
        given = dict(scope["headers"]).get(b"x-request-id", b"").decode("latin-1")
        context = Context(given or secrets.token_hex(16), spec.name, self._version)
        if spec.timeout_s is not None:
            context.deadline = asyncio.get_running_loop().time() + spec.timeout_s
        root = spec.networking.endpoint or f"/{spec.name}"
        path = scope["path"] if scope["path"].startswith(root) else root + scope["path"]
        begun = False

        async def noted(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            async with asyncio.timeout_at(context.deadline):
                inner = {**scope, "root_path": root, "path": path, "descent": context}
                inner["state"] = {**scope.get("state", {}), "request_id": context.request_id}
                await self._pool.app(inner, receive, noted)
        except (TimeoutError, HttpError) as error:
            if begun:
                raise  # Serve breaks it off
            if not isinstance(error, HttpError):
                error = HttpError(504, "timeout", f"not answered within {spec.timeout_s:g} s")
            await send_error(send, error, context.request_id)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        self._spec = make_spec(self._written)
        start = Start(self._spec, self._version, Path(self._folder), _log)
        backend = LocalBackend()
        try:
            self._pool = await backend.start(start)
        except LoadError as error:
            log.error("'%s' could not be loaded: %s", self._spec.name, error)
            return await send({"type": "lifespan.startup.failed", "message": str(error)})
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await backend.close()
        await send({"type": "lifespan.shutdown.complete"})


def _log(line: str, **fields: Any) -> None:
    level = {"error": logging.ERROR, "warning": logging.WARNING}.get(fields.get("level", ""), 20)
    log.log(level, "%s", line)
