"""A no-op service over HTTP, JSON in and out, checked by pydantic, beside FastAPI and the servers.

One server a side, one worker each, all on loopback; the load generator (`sides/http_client.py`) is
a process of its own. Ours is a whole node as `descent deploy` starts it, metrics and access
log on. DESCENT_SERVING_PYTHON names a Python with fastapi, uvicorn[standard], litserve, bentoml and
ray[serve]. "seconds per step" is per request (1 / throughput), per answer, or per token.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from bench.compare import Bar, Result
from bench.sides.process import clean_environment
from bench.sides.serving_servers import PEERS, ROOT, Server
from bench.turns import machine_lock

__all__ = ["run"]

ROUNDS = 7
TOKENS = 10_000


@dataclass(frozen=True)
class Side:
    """A path of a server, and how many requests one turn sends."""

    name: str
    server: str
    path: str
    requests: int


OURS = Side("descent", "descent", "/noop", 8000)
FAST = (
    OURS,
    Side("descent def", "descent", "/noop-def", 8000),
    Side("descent batched", "descent", "/noop-batched", 8000),
    Side("fastapi", "fastapi", "/noop", 5000),
    Side("fastapi def", "fastapi", "/noop_def", 3000),
    Side("uvicorn", "uvicorn", "/noop", 8000),
)
SLOW = (
    OURS,
    Side("litserve", "litserve", "/noop", 800),
    Side("bentoml", "bentoml", "/noop", 600),
)
RAY = (OURS, Side("ray serve", "ray", "/noop", 250))


def run() -> list[Result]:
    """All tables; each group of servers runs only while it is measured."""
    results = [_starts()]
    fast_bars = (
        Bar(2, ("fastapi",)),
        Bar(2, ("fastapi def",), ours="descent def"),
        Bar(1, ("fastapi",), ours="descent batched"),
    )
    with _servers(FAST) as servers:
        results += _throughput(servers, FAST, "FastAPI and uvicorn", fast_bars)
        results += [_stream(servers), _endurance(servers["descent"])]
    with _servers(SLOW) as servers:
        bars = (Bar(15, ("litserve",)), Bar(15, ("bentoml",)))
        results += _throughput(servers, SLOW, "LitServe and BentoML", bars)[:2]
    with _servers(RAY) as servers:
        bars = (Bar(30, ("ray serve",)),)
        results += _throughput(servers, RAY, "Ray Serve", bars)[:2]
    return results


@contextmanager
def _servers(sides: Sequence[Side]) -> Iterator[dict[str, Any]]:
    """The servers of `sides` by name; one that does not start is its reason instead."""
    with (
        tempfile.TemporaryDirectory(prefix="descent-bench-", ignore_cleanup_errors=True) as folder,
        ExitStack() as stack,
    ):
        running: dict[str, Any] = {}
        with machine_lock(shared=True):
            for name in dict.fromkeys(side.server for side in sides):
                server = Server(name, folder=Path(folder))
                try:
                    running[name] = server.start()
                    stack.callback(server.stop)
                except (RuntimeError, OSError) as error:
                    running[name] = str(error)
        yield running


def _throughput(
    servers: dict[str, Any], sides: Sequence[Side], beside: str, bars: Sequence[Bar]
) -> list[Result]:
    """Requests one after the other on 8 and on 64 connections; then p50 and p99 of both."""
    absent = {s.name: servers[s.server] for s in sides if isinstance(servers[s.server], str)}
    present = [side for side in sides if side.name not in absent]
    losses = {s.name: servers[s.server].answer(s.path) for s in present}
    works, latencies = [], []
    for connections in (8, 64):
        loads = _turns(present, lambda side, c=connections: _load(servers[side.server], side, c))
        seconds = {name: median(x["seconds"] / x["requests"] for x in found)
                   for name, found in loads.items()}  # fmt: skip
        failures = {name: sum(x["failures"] for x in found) for name, found in loads.items()}
        failed = [f"{name}: {n} failures" for name, n in failures.items() if n]
        name = f"HTTP no-op on {connections} connections, beside {beside}"
        rates = " · ".join(f"{n} {1 / s:,.0f}" for n, s in seconds.items())
        notes = (f"requests a second: {rates}", *failed)
        works.append(Result(name, seconds, losses, tuple(bars), absent=absent, notes=notes))
        for part, word in (("p50_s", "half of the answers"), ("p99_s", "99 % of the answers")):
            within = {n: median(x[part] for x in found) for n, found in loads.items()}
            title = f"{name}: {word} came within"
            latencies.append(Result(title, within, losses, (Bar(1, ("fastapi",)),), absent=absent))
    return works + latencies


def _turns(sides: Sequence[Side], measure: Callable[[Side], Any]) -> dict[str, list[Any]]:
    """A B A B …, after one round that is not counted."""
    found: dict[str, list[Any]] = {side.name: [] for side in sides}
    for i in range(ROUNDS + 1):
        for side in sides:
            with machine_lock():
                measured = measure(side)
            if i:
                found[side.name].append(measured)
    return found


def _load(server: Server, side: Side, connections: int, requests: int | None = None) -> Any:
    return server.load(side.path, '{"x": 1}', connections, requests or side.requests)


def _stream(servers: dict[str, Any]) -> Result:
    """Server-sent events of one stream: seconds per token, and the first byte."""
    sides = [
        Side("descent", "descent", "/tokens", TOKENS),
        Side("fastapi", "fastapi", "/tokens", TOKENS),
    ]
    sides = [side for side in sides if not isinstance(servers[side.server], str)]
    found = _turns(sides, lambda side: _read_stream(servers[side.server], side))
    seconds = {name: median(s for s, _ in took) / TOKENS for name, took in found.items()}
    firsts = " · ".join(
        f"{name} {1e3 * median(first for _, first in took):.2f} ms" for name, took in found.items()
    )
    rates = " · ".join(f"{n} {1 / s:,.0f}" for n, s in seconds.items())
    return Result(
        "HTTP stream, server-sent events, one token each",
        seconds | {"10,000 tokens/s": 1e-4},
        {},
        (Bar(1, ("10,000 tokens/s",)), Bar(1, ("fastapi",))),
        notes=(f"tokens a second: {rates}", f"first byte after: {firsts}"),
    )


def _read_stream(server: Server, side: Side) -> tuple[float, float]:
    command = [sys.executable, "-m", "bench.sides.http_stream", str(server.port), side.path,
               str(side.requests)]  # fmt: skip
    said = subprocess.run(
        command, cwd=ROOT, env=clean_environment(), check=True, stdout=subprocess.PIPE
    )
    read = json.loads(said.stdout)
    if read["tokens"] != side.requests:
        raise RuntimeError(f"{side.name}: {read['tokens']} of {side.requests} tokens came")
    return read["seconds"], read["first_s"]


def _endurance(server: Any) -> Result:
    """100,000 requests on 50 connections: none lost, memory as before."""
    name = "HTTP no-op, 100,000 requests on 50 connections: memory"
    if isinstance(server, str):
        return Result(name, {}, {}, absent={"descent": server})
    _load(server, OURS, 50, 5000)
    before = server.pss_bytes()
    with machine_lock():
        load = _load(server, OURS, 50, 100_000)
    after = server.pss_bytes()
    each = load["seconds"] / load["requests"]
    return Result(
        name,
        {"descent": each, "descent before": each},
        {},
        (Bar(0.95, ("descent before",), of="memory"),),
        memory={"descent": after, "descent before": before},
        notes=(f"{load['failures']} of 100,000 answers were not 200",),
    )


def _starts() -> Result:
    """From the command to the first 200, and memory when idle; each alone on the machine."""
    starts: dict[str, list[float]] = {}
    memory: dict[str, float] = {}
    absent: dict[str, str] = {}
    for _ in range(3):
        for name in ("descent", *PEERS):
            if name in absent:
                continue
            with tempfile.TemporaryDirectory(prefix="descent-bench-") as folder, machine_lock():
                try:
                    server = Server(name, folder=Path(folder)).start()
                except (RuntimeError, OSError) as error:
                    absent[name] = str(error)
                    continue
                starts.setdefault(name, []).append(server.start_s)
                memory[name] = server.pss_bytes()
                server.stop()
    seconds = {name: median(took) for name, took in starts.items()}
    return Result(
        "HTTP no-op: from the command to the first 200, and memory when idle",
        seconds | {"2 s": 2.0},
        {},
        (Bar(1, ("2 s",)),),
        memory=memory,
        absent=absent,
    )
