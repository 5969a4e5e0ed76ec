"""Servers for the load generator: started, waited for, weighed (PSS), and ended with all they
started, wherever that has gone: a mark in the environment tells whose a process is.
"""

from __future__ import annotations

import http.client
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.sides.process import clean_environment

__all__ = ["PEERS", "Server", "free_port", "serving_python"]

ROOT = Path(__file__).parents[2]
PEERS = ("uvicorn", "fastapi", "litserve", "bentoml", "ray")
SPEC = """
- {name: noop, kind: RealtimeAPI, service: "bench.sides.serving_noop:Noop",
   pod: {max_concurrency: 128}}
- {name: noop-def, kind: RealtimeAPI, service: "bench.sides.serving_noop:NoopDef",
   pod: {max_concurrency: 8}}
- {name: noop-batched, kind: RealtimeAPI, service: "bench.sides.serving_noop:NoopBatched",
   pod: {max_concurrency: 128}, batching: {max_batch_size: 64, max_wait_ms: 2}}
- {name: tokens, kind: RealtimeAPI, service: "bench.sides.serving_noop:Tokens",
   pod: {max_concurrency: 128}}
"""


def serving_python() -> str:
    """A Python with FastAPI, LitServe, BentoML and Ray: DESCENT_SERVING_PYTHON, or `serving-venv`
    in the peers' folder."""
    beside = ROOT.parent / "peers" / "serving-venv" / "bin" / "python"
    return os.environ.get("DESCENT_SERVING_PYTHON") or str(beside)


def free_port() -> int:
    """One that nobody listens on now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


@dataclass
class Server:
    """ "descent" is a whole node, started by `descent deploy`; the others are `serving_peers`.

    `start_s` is from the command to the first 200. Raises RuntimeError with the last line of what
    the server printed when there is none in time.
    """

    name: str
    port: int = field(default_factory=free_port)
    start_s: float = 0.0
    folder: Path | None = None  # of descent: where the spec and the home are

    def start(self) -> Server:
        """Start it and wait for its first answer."""
        self._mark = secrets.token_hex(8)
        environment = clean_environment() | {"BENCH_SERVER": self._mark, "PYTHONPATH": str(ROOT)}
        if self.folder is not None:
            environment["DESCENT_HOME"] = str(self.folder / "home")
        began = time.perf_counter()
        self._child = subprocess.Popen(
            self.command(), cwd=ROOT, env=environment, start_new_session=True, text=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE if self.name == "descent" else
            subprocess.DEVNULL,
        )  # fmt: skip
        while not self.answers():
            if time.perf_counter() - began > 60:
                self.stop()
                raise RuntimeError(f"{self.name} gave no answer within 60 s")
            if self._child.poll() not in (None, 0):
                said = self._child.stderr.read() if self._child.stderr else ""
                self.stop()
                raise RuntimeError(f"{self.name} ended: {' '.join(said.split())[:200]}")
            time.sleep(0.005)
        self.start_s = time.perf_counter() - began
        return self

    def command(self) -> list[str]:
        """What starts it."""
        if self.name != "descent":
            return [serving_python(), "-m", "bench.sides.serving_peers", self.name, str(self.port)]
        return self.deploy(SPEC)

    def deploy(self, spec: str) -> list[str]:
        """What starts a node with the APIs of `spec`."""
        assert self.folder is not None
        file = self.folder / "apis.yaml"
        file.write_text(spec, encoding="utf-8")
        return [sys.executable, "-m", "descent", "deploy", str(file), "--port", str(self.port)]

    def answers(self) -> bool:
        """Does it answer yet?"""
        return self.answer("/noop") is not None

    def answer(self, path: str) -> float | None:
        """What it makes of {"x": 1}; None: no 200."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            head = {"content-type": "application/json"}
            connection.request("POST", path, b'{"x": 1}', head)
            said = connection.getresponse()
            body = said.read()
            return float(body.split(b":")[1].strip(b" }\n")) if said.status == 200 else None
        except (OSError, http.client.HTTPException, ValueError):
            return None
        finally:
            connection.close()

    def load(self, path: str, body: str, connections: int, requests: int) -> dict[str, Any]:
        """What the load generator says of so many requests."""
        command = [
            sys.executable, "-m", "bench.sides.http_client", str(self.port), path, body,
            str(connections), str(requests),
        ]  # fmt: skip
        said = subprocess.run(
            command, cwd=ROOT, env=clean_environment(), check=True, stdout=subprocess.PIPE
        )
        return json.loads(said.stdout)

    def processes(self) -> list[int]:
        """Everything it has started that still runs."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if f"BENCH_SERVER={self._mark}".encode() in (folder / "environ").read_bytes():
                    found.append(int(folder.name))
        return found

    def pss_bytes(self) -> int:
        """Memory of all its processes, shared pages divided among those who share them."""
        total = 0
        if self.name == "descent":
            self._child.wait(timeout=20)  # the command ends; the node it started goes on
        for pid in self.processes():
            with suppress(OSError):
                text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
                line = next(line for line in text.splitlines() if line.startswith("Pss:"))
                total += 1024 * int(line.split()[1])
        return total

    def stop(self) -> None:
        """End all of it."""
        for _ in range(20):
            pids = self.processes()
            if not pids:
                break
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)
        self._child.wait()
        if self._child.stderr:
            self._child.stderr.close()
