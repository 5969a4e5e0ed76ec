"""What is said about a node and its APIs: `get`, `describe`, `info`."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from descent.deploy.control.apis import Api
from descent.deploy.control.controlling import Controller, Deployed
from descent.deploy.control.folders import Home
from descent.deploy.control.settings import NodeSettings
from descent.deploy.control.splitting import SplitFront
from descent.deploy.errors import HttpError
from descent.deploy.gateway.metrics import quantile_s

__all__ = ["Description", "signature_of"]

DESCRIBED_VERSIONS = 20  # `versions` shows more
_OPEN = ("pending", "enqueuing", "running", "in_queue", "in_progress")


class Description:
    """Answers questions about what a controller holds. `url` gives the node's address,
    `decisions(api)` what the autoscaler decided, newest first, and why."""

    def __init__(
        self,
        controller: Controller,
        home: Home,
        settings: NodeSettings,
        url: Callable[[], str],
        decisions: Callable[[str], list[dict[str, Any]]] = lambda api: [],
    ) -> None:
        self.decisions = decisions
        self.controller = controller
        self.home = home
        self.settings = settings
        self.url = url
        self.started = time.time()

    def info(self) -> dict[str, Any]:
        """The node itself."""
        from descent import __version__

        return {
            "version": __version__,
            "url": self.url(),
            "pid": os.getpid(),
            "supervisor": int(os.environ.get("DESCENT_SUPERVISOR", 0)) or None,
            "home": str(self.home.path),
            "started": self.started,
            "ready": self.controller.gateway.not_ready is None,
            "not_ready": self.controller.gateway.not_ready,
            "backends": sorted(self.controller.starter.backends),
            "settings": {k: _plain(v) for k, v in asdict(self.settings).items()},
            "apis": len(self.controller.apis),
        }

    async def summaries(self) -> list[dict[str, Any]]:
        """A line for each API."""
        return [await self._summary(api) for _, api in sorted(self.controller.apis.items())]

    async def _summary(self, api: Api) -> dict[str, Any]:
        live, metrics = api.live, self.controller.gateway.metrics.apis.get(api.name)
        replicas = live.pool.replicas() if live is not None and live.pool is not None else []
        endpoint = api.endpoint
        out: dict[str, Any] = {
            "name": api.name,
            "kind": api.kind,
            "state": api.state,
            "reason": api.trouble,
            "version": live.version if live else None,
            "newest": api.newest,
            "endpoint": endpoint,
            "url": self.url() + endpoint if endpoint else None,
            "replicas": {
                "ready": sum(r.state == "Ready" for r in replicas),
                "requested": len(replicas),
            },
            "in_flight": live.served.in_flight if live else 0,
            "queued": live.served.queued if live else 0,
            "updated": await self._updated(api),
        }
        codes = metrics.codes if metrics is not None else {}
        out["requests"] = {
            f"{n}xx": sum(count for code, count in codes.items() if code // 100 == n)
            for n in (2, 3, 4, 5)
        }
        total = sum(codes.values())
        out["mean_s"] = metrics.total_s / total if metrics is not None and total else None
        out["p99_s"] = quantile_s(metrics.counts, 0.99) if metrics is not None and total else None
        return out

    async def _updated(self, api: Api) -> float | None:
        if api.live is None:
            return None
        return (await api.records.get(api.live.version)).since

    async def api(self, name: str) -> dict[str, Any]:
        """Everything about one API."""
        api = self.controller.api(name)
        out = await self._summary(api)
        live = api.live
        out["spec"] = live.spec.model_dump(mode="json") if live else None
        out["replica_list"] = (
            [asdict(r) for r in live.pool.replicas()] if live and live.pool is not None else []
        )
        out["signature"] = signature_of(api)
        out["loaded_s"] = live.loaded_s if live else None
        out["versions"] = await self.controller.history(name, DESCRIBED_VERSIONS)
        out["status"] = await api.front.status() if api.front is not None else {}
        out["decisions"] = self.decisions(name)[:5]
        if live and api.endpoint:
            out["curl"] = self.curl(api)
        return out

    def result(self, done: Deployed) -> dict[str, Any]:
        """What `deploy` answers for one spec."""
        api = self.controller.apis.get(done.api)
        out = {
            "api": done.api,
            "kind": done.kind,
            "version": done.version,
            "changed": done.changed,
            "state": api.state if api is not None else "failed",
            "endpoint": done.endpoint,
            "url": self.url() + done.endpoint,
            "error": done.error,
            "notes": done.notes,
        }
        if api is not None and api.live is not None and done.error is None:
            out["loaded_s"] = api.live.loaded_s
            out["curl"] = self.curl(api)
        return out

    def curl(self, api: Api) -> str:
        """A line that asks the API."""
        from descent.deploy.service.curl import curl_line

        return curl_line(
            self.url() + (api.endpoint or ""),
            signature_of(api),
            kind=api.kind or "RealtimeAPI",
            key=self.settings.require_keys,
        )

    def log_file(self, name: str, version: int, job: str | None) -> Path:
        """The file a log is in. Raises `HttpError` for an id that is none."""
        if job is None:
            return self.home.logs / name / f"{version}.jsonl"
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,128}", job):
            raise HttpError(400, "bad_request", f"{job!r} is no job's id", field="job")
        return self.home.logs / name / "jobs" / f"{job}.jsonl"

    async def jobs(self, name: str, query: str) -> list[dict[str, Any]]:
        """An API's jobs. Raises `HttpError` where its kind has none."""
        return [_with_end(job) for job in await self._jobs_of(name).list(query)]

    async def job(self, name: str, job: str) -> dict[str, Any]:
        """One job, with "id" and "ended" whatever its kind."""
        return {"id": job, **_with_end(await self._jobs_of(name).get(job))}

    async def stop_job(self, name: str, job: str) -> dict[str, Any]:
        """End one job."""
        return await self._jobs_of(name).stop(job)

    def _jobs_of(self, name: str) -> Any:
        api = self.controller.api(name)
        jobs = getattr(api.front, "jobs", None)
        if jobs is None:
            raise HttpError(409, "refused", f"'{name}' is a {api.kind}: it has no jobs")
        return jobs


def signature_of(api: Api) -> dict[str, Any] | None:
    """What an API takes; a splitter what its first target does."""
    live, front = api.live, api.front
    signature = None if live is None else live.served.signature
    if isinstance(front, SplitFront):
        target = front.find(front.spec.apis[0].name)
        signature = None if target is None else target.signature
    return signature


def _with_end(job: dict[str, Any]) -> dict[str, Any]:
    return {**job, "ended": job.get("status") not in _OPEN}


def _plain(value: Any) -> Any:
    """JSON-able; of an address neither who opens it nor its query, which may hold a password."""
    if isinstance(value, str) and "://" in value:
        parts = urlsplit(value)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    return str(value) if isinstance(value, Path) else value
