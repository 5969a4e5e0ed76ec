"""A node with its replicas on a Ray of its own, requests and jobs, and someone who kills replicas.

One of the actors of the cluster gets -9 each `every_s`, at random, while requests run and jobs are
accepted; then it is quiet, and every job that was accepted is asked for.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from descent.deploy.clients import Client
from descent.deploy.cluster.local import LocalCluster, descendants
from descent.deploy.control.folders import Home
from descent.deploy.control.launching import ensure, stop
from descent.deploy.control.settings import NodeSettings

__all__ = ["Chaos", "Seen", "ends_with_me"]

RETRYABLE = (429, 502, 503, 504)
SERVICE = """
class Twice:
    async def predict(self, value: int) -> int:
        return 2 * value

class Sum:
    async def predict(self, values: list[int]) -> int:
        return sum(values)
"""
SUM = "chaos_service.py:Sum"
QUEUE = {"pod": {"max_concurrency": 16, "max_queue_length": 1000}}


@dataclass
class Seen:
    """What became of requests and jobs."""

    statuses: Counter[int] = field(default_factory=Counter)
    wrong: int = 0  # 200 with another answer than the right one
    said: Counter[str] = field(default_factory=Counter)  # what failures said
    hurried: int = 0  # failures that did not say when to try again
    kills: int = 0
    accepted: dict[str, int] = field(default_factory=dict)  # job → the value it was given
    done: int = 0
    lost: list[str] = field(default_factory=list)
    batch: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def not_retryable(self) -> int:
        """Failures with a code that does not say: try again."""
        fine = (200, *RETRYABLE)
        return sum(n for status, n in self.statuses.items() if status not in fine)


class Chaos:
    """`with Chaos(folder) as chaos: seen = chaos.run(seconds=20, jobs=500, items=2000)`."""

    def __init__(self, folder: Path, replicas: int = 3) -> None:
        self.home = Home(folder / "home")
        self.cluster = LocalCluster(self.home.make().path)
        self.code = folder / "code"
        self.replicas = replicas
        self.seen = Seen()
        self.end_of_requests = threading.Event()  # before the time that was set
        self._over = threading.Event()

    def __enter__(self) -> Chaos:
        self.code.mkdir(parents=True, exist_ok=True)
        (self.code / "chaos_service.py").write_text(SERVICE, encoding="utf-8")
        self._watch = ends_with_me(self.home.path)
        try:
            self.cluster.up()
            self.node, _ = ensure(NodeSettings(port=0, home=self.home.path))
            with self.client() as client:
                self._deploy(client)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        try:
            stop(self.home)
        finally:
            self.cluster.down()
            self._watch.communicate()

    def client(self) -> Client:
        return Client(self.node.url, self.home.token, local=True)

    def _deploy(self, client: Client) -> None:
        scaling = {"min_replicas": self.replicas, "max_replicas": self.replicas}
        pod = {"max_concurrency": 16}
        twice = {"service": "chaos_service.py:Twice", "autoscaling": scaling}
        specs = (
            {"name": "steady", "kind": "RealtimeAPI", **twice, **QUEUE},
            {"name": "later", "kind": "AsyncAPI", "attempts": 100, "pod": pod, **twice},
            {
                "name": "many",
                "kind": "BatchAPI",
                "attempts": 100,
                "service": "chaos_service.py:Sum",
            },
        )
        for spec in specs:
            client.deploy({**spec, "backend": "ray"}, folder=self.code)

    def run(self, seconds: float, jobs: int, items: int, every_s: float = 1.0) -> Seen:
        """Requests for `seconds` on 8 connections, `jobs` submitted meanwhile, one batch job."""
        began = time.monotonic()
        until = began + seconds
        with self.client() as client:
            batch = client.submit("many", {
                "workers": 4, "item_list": {"items": list(range(items)), "batch_size": 10}
            })  # fmt: skip
        work = [threading.Thread(target=self._ask, args=(until, n)) for n in range(8)]
        work.append(threading.Thread(target=self._submit, args=(jobs, seconds)))
        killer = threading.Thread(target=self._kill, args=(every_s,))
        for thread in (*work, killer):
            thread.start()
        for thread in work:
            thread.join()
        self._over.set()
        killer.join()
        self._collect(batch["job_id"], patience_s=90.0)
        self.seen.seconds = time.monotonic() - began
        return self.seen

    def _ask(self, until: float, number: int) -> None:
        import httpx

        value = number
        with httpx.Client(base_url=self.node.url, timeout=30.0) as http:
            while time.monotonic() < until and not self.end_of_requests.is_set():
                value += 8
                try:
                    answer = http.post("/steady", json=value)
                except httpx.HTTPError:
                    self.seen.statuses[0] += 1
                    continue
                self.seen.statuses[answer.status_code] += 1
                if answer.status_code != 200:
                    self.seen.said[answer.json()["error"]["message"]] += 1
                    self.seen.hurried += "retry-after" not in answer.headers
                if answer.status_code == 200 and answer.json() != 2 * value:
                    self.seen.wrong += 1

    def _submit(self, jobs: int, seconds: float) -> None:
        with self.client() as client:
            for value in range(jobs):
                self.seen.accepted[client.submit("later", value)["id"]] = value
                time.sleep(seconds / jobs / 2)

    def _kill(self, every_s: float) -> None:
        chance = random.Random(7)
        head = self.cluster.running()
        while head is not None and not self._over.wait(every_s):
            actors = [pid for pid in descendants(head.pid) if _name(pid).startswith("ray::RayRep")]
            if actors:
                os.kill(chance.choice(actors), signal.SIGKILL)
                self.seen.kills += 1

    def _collect(self, batch: str, patience_s: float) -> None:
        import httpx

        until = time.monotonic() + patience_s
        with httpx.Client(base_url=self.node.url, timeout=30.0) as http:
            for job, value in self.seen.accepted.items():
                while (found := http.get(f"/later/{job}").json())["status"] in _OPEN:
                    if time.monotonic() > until:
                        break
                    time.sleep(0.05)
                good = found["status"] == "completed" and found["result"] == 2 * value
                self.seen.done += good
                if not good:
                    self.seen.lost.append(f"{job}: {found}")
            about = f"/many?jobID={batch}"
            while (found := http.get(about).json()).get("job_status", {}).get("status") in _OPEN:
                if time.monotonic() > until:
                    break
                time.sleep(0.05)
            self.seen.batch = found


_OPEN = ("in_queue", "in_progress", "pending", "enqueuing", "running")


def ends_with_me(home: Path) -> subprocess.Popen[bytes]:
    """A process that ends the cluster and node of `home` when this one has ended, however it did;
    `communicate()` ends it."""
    code = (
        "import sys; from pathlib import Path; sys.stdin.read(); home = Path(sys.argv[1])\n"
        "from descent.deploy.cluster.local import LocalCluster; LocalCluster(home).down()\n"
        "from descent.deploy.control.launching import stop, Home; stop(Home(home))\n"
    )
    command = [sys.executable, "-c", code, str(home)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "replace")
    except OSError:
        return ""
