"""100,000 items through a BatchAPI of a whole node that is killed (-9) twenty times at random, on
SQLite and on PostgreSQL, whose connections are cut meanwhile.

Every item's result must be there once, in order, and on-job-complete have run once. How often a
batch was worked on again, because the node died before its commit, is noted: that is allowed.
"seconds per step" is per item, the node's starts included.
"""

from __future__ import annotations

import json
import os
import random
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import httpx

from bench.compare import Result
from bench.sides.jobs_harness import CutConnections
from bench.turns import machine_lock

__all__ = ["run"]

ITEMS, BATCH, KILLS, WORKERS = 100_000, 20, 20, 8
CODE = """
import os, time

class Doubles:
    def predict(self, items: list) -> list:
        with open(os.environ["BENCH_CALLS"], "a") as calls:
            calls.write(f"{items[0]} {os.getpid()}\\n")
        time.sleep(0.03)
        return [2 * item for item in items]

    def on_job_complete(self):
        with open(os.environ["BENCH_ENDS"], "a") as ends:
            ends.write("x")
"""


def run() -> list[Result]:
    """One table of two sides."""
    import pytest

    from tests.deploy.postgres import fresh_url

    seconds: dict[str, float] = {}
    absent: dict[str, str] = {}
    notes: list[str] = []
    for side in ("SQLite", "PostgreSQL"):
        try:
            url = None if side == "SQLite" else fresh_url()
        except pytest.skip.Exception as reason:
            absent[side] = str(reason)
            continue
        with (
            tempfile.TemporaryDirectory(
                prefix="descent-bench-", ignore_cleanup_errors=True
            ) as folder,
            machine_lock(),
        ):
            seconds[side], note = measure(side, url, Path(folder))
        notes.append(f"{side}: {note}")
    work = f"jobs: {ITEMS:,} items through BatchAPI, the node killed (-9) {KILLS} times"
    return [Result(work, seconds, {}, absent=absent, notes=tuple(notes))]


def measure(side: str, url: str | None, folder: Path) -> tuple[float, str]:
    """Seconds per item, and what was found at the end."""
    server = url and url.partition("&descent_schema")[0]
    with _node(folder, url) as node, CutConnections(server, between_s=(0.2, 1.0)) if server else (
        nullcontext()
    ) as cutting:  # fmt: skip
        items = {"items": list(range(ITEMS)), "batch_size": BATCH}
        body = {"workers": WORKERS, "attempts": 100, "item_list": items}
        begun = time.perf_counter()
        job = _ask(node, "POST", "/doubles", json=body).json()["job_id"]
        rng, in_time = random.Random(8), 0
        for _ in range(KILLS):
            time.sleep(rng.uniform(0.1, 0.8))
            in_time += _status(node, job)["status"] in ("enqueuing", "running")
            _kill(node)
        while _status(node, job, "&wait=30")["status"] in ("enqueuing", "running"):
            pass
        took = time.perf_counter() - begun
        found = _found(node, job, folder)
        cut = "" if cutting is None else f"; {cutting.cut} connections cut"
    return took / ITEMS, f"{found}; {in_time} of {KILLS} kills while it ran{cut}"


def _found(node: Any, job: str, folder: Path) -> str:
    status = _status(node, job)
    lines = _ask(node, "GET", f"/doubles/results?jobID={job}&per=item").text.splitlines()
    results = [json.loads(line)["result"] for line in lines]
    right = results == [2 * item for item in range(ITEMS)]
    until = time.monotonic() + 30
    while not (folder / "ends").exists() and time.monotonic() < until:
        time.sleep(0.05)
    time.sleep(1.0)
    ends = len((folder / "ends").read_text(encoding="ascii"))
    calls = Counter(line.split()[0] for line in (folder / "calls").read_text().splitlines())
    again = sum(n - 1 for n in calls.values())
    verdict = "each result exactly once, in order" if right else "NOT EVERY RESULT ONCE"
    return (
        f"{status['status']}, {len(results):,} results, {verdict}; on-job-complete ran {ends} "
        f"time(s); {again} of {len(calls):,} batches were worked on again"
    )


@contextmanager
def _node(folder: Path, url: str | None) -> Iterator[Any]:
    from tests.deploy.control.nodes import TestNode

    os.environ["BENCH_CALLS"] = str(folder / "calls")
    os.environ["BENCH_ENDS"] = str(folder / "ends")
    node = TestNode(folder, **({"database_url": url} if url else {}))
    (node.code / "doubles.py").write_text(CODE, encoding="utf-8")
    try:
        node.start()
        with node.client() as client:
            node.deploy(client, "doubles", service="doubles.py:Doubles", kind="BatchAPI")
        yield node
    finally:
        node.end()


def _kill(node: Any) -> None:
    """-9 to the node and its supervisor, and start both again."""
    for pid in (node.running.supervisor, node.running.pid):
        os.kill(pid, signal.SIGKILL)
    while (lock := node.home.lock()) is None:
        time.sleep(0.005)
    os.close(lock)
    node.start()


def _status(node: Any, job: str, more: str = "") -> dict[str, Any]:
    return _ask(node, "GET", f"/doubles?jobID={job}{more}").json()["job_status"]


def _ask(node: Any, method: str, path: str, **options: Any) -> httpx.Response:
    """Ask until there is an answer: the node may just be away."""
    until = time.monotonic() + 60
    while True:
        try:
            answer = httpx.request(method, node.url + path, timeout=60, **options)
            if answer.status_code not in (502, 503):
                return answer.raise_for_status()
        except httpx.TransportError:
            if time.monotonic() > until:
                raise
        if time.monotonic() > until:
            raise TimeoutError(f"{method} {path}: no answer for a minute")
        time.sleep(0.05)
