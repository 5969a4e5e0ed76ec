"""Requests answered in batches, beside LitServe and BentoML: one model that costs 5 ms a batch and
0.1 ms an input, batches of at most 32, over HTTP on 1, 8 and 32 connections.

Each server as its documentation says: ours with `max_wait_ms` 5, LitServe with `batch_timeout`
0.005, BentoML with its adaptive dispatcher. The floor is the model alone, with every connection's
request in each batch. "seconds per step" is per request.
"""

from __future__ import annotations

import http.client
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from statistics import median
from typing import Any

from bench.compare import Bar, Result
from bench.sides.batching_model import EACH_S, FIXED_S
from bench.sides.serving_servers import Server, serving_python
from bench.turns import machine_lock

__all__ = ["run"]

ROUNDS = 5
SPEC = """
- {name: model, kind: RealtimeAPI, service: "bench.sides.batching_model:Model",
   batching: {max_batch_size: 32, max_wait_ms: 5}}
"""
BODIES = {"descent": '{"x": 1}', "litserve": '{"x": 1}', "bentoml": '{"xs": [1]}'}


class ModelServer(Server):
    """The same model behind another path; `Server` starts, waits for and ends it."""

    def command(self) -> list[str]:
        """How it is started."""
        if self.name == "descent":
            return self.deploy(SPEC)
        if self.name == "litserve":
            return [serving_python(), "-m", "bench.sides.batching_litserve", str(self.port)]
        program = str(Path(serving_python()).parent / "bentoml")
        served = "bench.sides.batching_bentoml:Model"
        return [program, "serve", served, "--host", "127.0.0.1", "--port", str(self.port)]

    def answers(self) -> bool:
        """Does it answer yet?"""
        with suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
            head = {"content-type": "application/json"}
            connection.request("POST", "/model", BODIES[self.name].encode(), head)
            said = connection.getresponse()
            return said.status == 200 and b"2.0" in said.read()
        return False


def run() -> list[Result]:
    """A table for each number of connections."""
    with _servers() as (servers, absent):
        return [_table(servers, absent, connections) for connections in (1, 8, 32)]


@contextmanager
def _servers() -> Iterator[tuple[list[ModelServer], dict[str, str]]]:
    servers, absent = [], {}
    with (
        tempfile.TemporaryDirectory(prefix="descent-bench-", ignore_cleanup_errors=True) as folder,
        ExitStack() as stack,
    ):
        with machine_lock(shared=True):
            for name in BODIES:
                server = ModelServer(name, folder=Path(folder))
                try:
                    servers.append(server.start())
                    stack.callback(server.stop)
                except (RuntimeError, OSError) as error:
                    absent[name] = str(error)
        yield servers, absent


def _table(servers: list[ModelServer], absent: dict[str, str], connections: int) -> Result:
    loads: dict[str, list[Mapping[str, Any]]] = {server.name: [] for server in servers}
    for i in range(ROUNDS + 1):
        for server in servers:
            with machine_lock():
                n = 100 + 40 * connections
                load = server.load("/model", BODIES[server.name], connections, n)
            if i:
                loads[server.name].append(load)
    seconds = {name: median(x["seconds"] / x["requests"] for x in found)
               for name, found in loads.items()}  # fmt: skip
    seconds["the model alone"] = FIXED_S / connections + EACH_S
    p99 = " · ".join(f"{n} {1e3 * median(x['p99_s'] for x in f):.1f}" for n, f in loads.items())
    failures = [f"{name}: {sum(x['failures'] for x in found)} failures"
                for name, found in loads.items() if any(x["failures"] for x in found)]  # fmt: skip
    return Result(
        f"HTTP, answered in batches, {connections} connections",
        seconds,
        {},
        (Bar(1, ("litserve", "bentoml")), Bar(0.5, ("the model alone",))),
        absent=absent,
        notes=(f"99 % of the answers came within, ms: {p99}", *failures),
    )
