"""Requests answered while their version changes: update, rollback, failed update, refresh.

A whole node, 100,000 requests on 50 connections, one time left alone and one time changed without
a pause; not one may fail. The bar is Ray's (ray#66252: zero failed requests through updates) and
Cortex' (100,000 requests, all 200). "seconds per step" is per request.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any

from bench.compare import Result
from bench.sides.process import clean_environment
from bench.sides.serving_servers import ROOT, Server
from bench.turns import machine_lock
from descent.deploy.clients import Client, RequestError
from descent.deploy.control.folders import Home

__all__ = ["run"]

ROUNDS = 3
REQUESTS = 100_000
CONNECTIONS = 50


def run() -> list[Result]:
    """One table of two sides."""
    with tempfile.TemporaryDirectory(prefix="descent-bench-", ignore_cleanup_errors=True) as folder:
        server = Server("descent", folder=Path(folder)).start()
        try:
            token = Home(Path(folder) / "home").token
            with Client(f"http://127.0.0.1:{server.port}", token, local=True) as client:
                return [_measured(server, client)]
        finally:
            server.stop()


def _measured(server: Server, client: Client) -> Result:
    versions, changes = count(), Counter[str]()
    _deploy(client, next(versions))
    _deploy(client, next(versions))
    found: dict[str, list[dict[str, Any]]] = {"descent, left alone": [], "descent": []}
    for _ in range(ROUNDS):
        for name, loads in found.items():
            with machine_lock():
                changing = None if name != "descent" else lambda: _change(client, versions, changes)
                loads.append(_load(server.port, changing))
    failures = {name: sum(x["failures"] for x in loads) for name, loads in found.items()}
    per_request = {
        name: median(x["seconds"] / x["requests"] for x in loads) for name, loads in found.items()
    }
    p99 = ", ".join(f"{n} {median(x['p99_s'] for x in xs) * 1e3:.1f}" for n, xs in found.items())
    done = ", ".join(f"{n} {what}" for what, n in changes.items())
    notes = (
        f"failed or lost of {ROUNDS * REQUESTS:,} a side: "
        + ", ".join(f"{name} {n}" for name, n in failures.items()),
        f"changes meanwhile: {done}",
        f"p99 in ms: {p99}",
    )
    title = f"{REQUESTS:,} requests on {CONNECTIONS} connections while versions change"
    losses = {name: float(n) for name, n in failures.items()}
    return Result(title, per_request, losses, notes=notes)


def _load(port: int, changing: Callable[[], None] | None) -> dict[str, Any]:
    """One turn of the load generator; `changing` is called again and again until it has ended."""
    command = [
        sys.executable, "-m", "bench.sides.http_client", str(port), "/changing", '{"x": 1}',
        str(CONNECTIONS), str(REQUESTS),
    ]  # fmt: skip
    child = subprocess.Popen(
        command, cwd=ROOT, env=clean_environment(), stdout=subprocess.PIPE, text=True
    )
    while changing is not None and child.poll() is None:
        changing()
    out, _ = child.communicate(timeout=180)
    return json.loads(out)


def _change(client: Client, versions: Any, changes: Counter[str]) -> None:
    _deploy(client, next(versions))
    client.rollback("changing")
    try:
        _deploy(client, next(versions), breaks=True)
    except RequestError:
        changes["failed updates"] += 1
    client.refresh("changing")
    changes.update({"updates": 1, "rollbacks": 1, "refreshes": 1})


def _deploy(client: Client, number: int, *, breaks: bool = False) -> None:
    client.deploy(
        {
            "name": "changing",
            "kind": "RealtimeAPI",
            "service": "bench.sides.updates_noop:Noop",
            "config": {"number": number, "breaks": breaks},
            "pod": {"max_concurrency": 64, "max_queue_length": 1000},
        },
        folder="/",
    )
