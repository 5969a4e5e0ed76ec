"""100,000 items through a BatchAPI of a real node, whose processes are killed twenty times.

    python -m bench.jobs_node [--items 100000] [--times 20] [--database sqlite|postgresql]

SQLite: the node and its supervisor get SIGKILL at random moments. PostgreSQL: half of the times
that, half of the times the server drops every connection. Each item must have one result, in its
place, and on-job-complete must have run once. Printed: what happened, the time, batches a second.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from descent.deploy.clients import Client
from descent.deploy.control.folders import Home
from descent.deploy.control.launching import ensure
from descent.deploy.control.settings import NodeSettings

__all__ = ["main"]

CODE = """
class Doubles:
    async def predict(self, items: list) -> list:
        return [2 * item for item in items]
    def on_job_complete(self):
        open("{done}", "a").write("x")
"""
WORKERS, ATTEMPTS, PATIENCE_S = 8, 50, 60.0


class Node:
    """A node of its own home folder."""

    def __init__(self, folder: Path) -> None:
        self.home, self.code = Home(folder / "home"), folder / "code"
        self.code.mkdir()
        self.done = folder / "done"
        (self.code / "doubles.py").write_text(CODE.format(done=self.done))
        self.settings = NodeSettings(port=0, home=self.home.path)
        self.start()

    def start(self) -> None:
        self.running, _ = ensure(self.settings)

    def kill(self) -> None:
        """-9 to both processes; started again at once."""
        for pid in (self.running.supervisor, self.running.pid):
            if pid is not None:
                os.kill(pid, signal.SIGKILL)
        self.wait_for_the_lock()
        self.start()

    def wait_for_the_lock(self) -> None:
        while (lock := self.home.lock()) is None:
            time.sleep(0.005)
        os.close(lock)

    def end(self) -> None:
        with contextlib.suppress(ProcessLookupError, TypeError):
            os.kill(self.running.supervisor or self.running.pid, signal.SIGTERM)
        self.wait_for_the_lock()

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Ask until there is an answer."""
        until = time.monotonic() + PATIENCE_S
        while True:
            with contextlib.suppress(httpx.TransportError):
                answer = httpx.request(method, self.running.url + path, timeout=70, **more)
                if answer.status_code != 503:
                    return answer
            if time.monotonic() > until:
                raise TimeoutError(f"no answer to {method} {path}")
            time.sleep(0.05)


def run(node: Node, items: int, times: int, harm: Callable[[int], str], said: Any = print) -> bool:
    """One job; whether every item has its result."""
    with Client(node.running.url, node.home.token, local=True) as client:
        spec = {"name": "doubles", "kind": "BatchAPI", "service": "doubles.py:Doubles"}
        client.deploy(spec, folder=node.code)
    values = {"items": list(range(items)), "batch_size": 1}
    body = {"workers": WORKERS, "attempts": ATTEMPTS, "item_list": values}
    began = time.monotonic()
    id = node.ask("POST", "/doubles", json=body).json()["job_id"]
    chance, harmed = random.Random(items), 0
    while True:
        status = node.ask("GET", f"/doubles?jobID={id}").json()
        job = status["job_status"]
        if job["end_time"] and harmed >= times:
            break
        if harmed < times:
            time.sleep(chance.uniform(0.1, 1.0))
            harmed += 1
            said(f"{time.monotonic() - began:6.1f} s  {status['metrics']['succeeded']:6} done, "
                 f"{job['status']}; {harm(harmed)}", flush=True)  # fmt: skip
        else:
            time.sleep(0.2)
    seconds = time.monotonic() - began
    text = node.ask("GET", f"/doubles/results?jobID={id}&per=item").text
    results = [json.loads(line).get("result") for line in text.splitlines()]
    until = time.monotonic() + 20
    while not node.done.exists() and time.monotonic() < until:
        time.sleep(0.1)
    completed = len(node.done.read_text()) if node.done.exists() else 0
    exact = results == [2 * i for i in range(items)]
    retried = status["metrics"]["failed"]
    said(f"{job['status']}: {items} items in {seconds:.1f} s with {times} blows "
         f"({items / seconds:.0f} a second), {retried} attempts lost; each result once: {exact}; "
         f"on-job-complete ran {completed} time(s)")  # fmt: skip
    return exact and completed == 1


def main() -> int:
    """0 when nothing was lost."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    given = parser.parse_args()
    cut: Callable[[], None] | None = None
    if given.database == "postgresql":
        import psycopg

        from tests.deploy.postgres import fresh_url, server

        os.environ["DESCENT_DATABASE_URL"] = fresh_url()

        def cut() -> None:
            with psycopg.connect(server().url) as connection:
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
                )

    with tempfile.TemporaryDirectory(prefix="descent-jobs-") as folder:
        node = Node(Path(folder))

        def harm(number: int) -> str:
            if cut is not None and number % 2:
                cut()
                return "connections cut"
            node.kill()
            return "killed"

        try:
            return 0 if run(node, given.items, given.times, harm) else 1
        finally:
            node.end()


if __name__ == "__main__":
    sys.exit(main())
