"""Ray on this machine: one head, bounded, with a token of its own, started and ended by its home.

    home/ray/cluster.json   address, process, token file        home/ray/head.log   what it said

`ray start --block` stays the parent of all that Ray starts, so ending it ends this cluster and no
other one. Ray listens on every interface whatever it is told; the token, new for each cluster and
readable by its owner alone, keeps strangers out (Ray's token authentication). Left out: more
machines; `ray start --address` joins one by hand, Kubernetes does better (`manifests`).
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from descent.data.files import write_atomically
from descent.deploy.errors import DeployError
from descent.deploy.pools.ray.driving import Address

__all__ = ["LocalCluster", "Running", "descendants"]

STARTED = "Ray runtime started"
START_S, HEALTH_S = 60.0, 20.0
STOP_S = 5.0  # without actors it takes 2 s; with one the raylet waits for it as long as it is let
OBJECT_STORE_BYTES = 200 * 10**6


@dataclass(frozen=True)
class Running:
    """A cluster that was started: its head, the process to end and when it began (jiffies since the
    machine's start, so that another process of the same number is not mistaken for it)."""

    address: str
    pid: int
    born: int
    cpus: float
    object_store_bytes: int
    started: float
    folder: str


class LocalCluster:
    """The cluster of one home folder."""

    def __init__(self, home: Path) -> None:
        self.folder = home / "ray"
        self.token_file = self.folder / "token"
        self._head: subprocess.Popen | None = None  # where this very process has started it

    def running(self) -> Running | None:
        """What runs; None where nothing does."""
        try:
            text = (self.folder / "cluster.json").read_text(encoding="utf-8")
            found = Running(**json.loads(text))
        except (OSError, ValueError, TypeError):
            return None
        return found if _born(found.pid) == found.born else None

    def address(self) -> Address | None:
        """How the ray backend reaches it."""
        found = self.running()
        return found and Address(found.address, self.token_file, host="127.0.0.1")

    def up(self, cpus: float = 2, object_store_bytes: int = OBJECT_STORE_BYTES) -> Running:
        """Start it, or find it running. Raises `DeployError` with Ray's last lines."""
        if (found := self.running()) is not None:
            return found
        if importlib.util.find_spec("ray") is None:
            raise DeployError("a cluster needs Ray: pip install 'descent-ml[ray]'")
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._write_token()
        scratch = tempfile.mkdtemp(prefix="descent-ray-")  # short: Ray's sockets live in it
        port = _free_port()
        log = self.folder / "head.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                self._command(port, cpus, object_store_bytes, scratch),
                stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                env=self._environment(), start_new_session=True,
            )  # fmt: skip
        self._head = process
        try:
            self._await(process, log)
            found = Running(
                f"127.0.0.1:{port}", process.pid, _born(process.pid) or 0, cpus,
                object_store_bytes, time.time(), scratch,
            )  # fmt: skip
            write_atomically(self.folder / "cluster.json", json.dumps(asdict(found)))
        except BaseException:
            self._end(process.pid)
            shutil.rmtree(scratch, ignore_errors=True)
            raise
        return found

    def down(self) -> bool:
        """End it; False where nothing ran."""
        found = self.running()
        with contextlib.suppress(FileNotFoundError):
            (self.folder / "cluster.json").unlink()
        if found is None:
            return False
        self._end(found.pid)
        shutil.rmtree(found.folder, ignore_errors=True)
        self.token_file.unlink(missing_ok=True)
        return True

    def health(self) -> str:
        """Why it does not work; "" if it does. Asks the head itself."""
        found = self.running()
        if found is None:
            return "no cluster runs: `descent cluster up` starts one"
        command = [*_RAY, "health-check", "--address", found.address]
        try:
            done = subprocess.run(
                command, env=self._environment(), capture_output=True, timeout=HEALTH_S, check=False
            )
        except subprocess.TimeoutExpired:
            return f"its head at {found.address} does not answer within {HEALTH_S:g} s"
        return "" if done.returncode == 0 else f"its head at {found.address} is not well"

    def info(self) -> dict[str, Any]:
        """What is known without asking Ray: address, limits, age, processes and their memory."""
        found = self.running()
        if found is None:
            return {"running": False}
        members = descendants(found.pid)
        return {
            "running": True,
            **asdict(found),
            "age_s": round(time.time() - found.started, 1),
            "processes": len(members),
            "memory_bytes": sum(members.values()),
        }

    def _end(self, pid: int) -> None:
        """End a head and everything below it: politely, then not."""
        members = descendants(pid)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        until = time.monotonic() + STOP_S
        while any(_born(member) is not None for member in members):
            if time.monotonic() > until:
                for member in members:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(member, signal.SIGKILL)
                break
            time.sleep(0.05)
        if self._head is not None and self._head.pid == pid:
            self._head.wait()

    def _write_token(self) -> None:
        handle = os.open(self.token_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(32))

    def _environment(self) -> dict[str, str]:
        token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(self.token_file)}
        quiet = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"}
        quiet["RAY_worker_niceness"] = "0"  # 15 else: behind everything on the machine
        return {**os.environ, **token, **quiet}

    @staticmethod
    def _command(port: int, cpus: float, object_store_bytes: int, scratch: str) -> list[str]:
        return [
            *_RAY, "start", "--head", "--block", "--disable-usage-stats",
            "--node-ip-address=127.0.0.1", f"--port={port}", f"--num-cpus={cpus:g}",
            f"--object-store-memory={object_store_bytes}", f"--temp-dir={scratch}",
            "--include-dashboard=false", "--dashboard-agent-listen-port=0",
            f"--ray-client-server-port={_free_port()}",
        ]  # fmt: skip

    @staticmethod
    def _await(process: subprocess.Popen, log: Path) -> None:
        until = time.monotonic() + START_S
        while STARTED not in (said := log.read_text("utf-8", "replace")):
            if process.poll() is not None or time.monotonic() > until:
                last = " ".join(said.strip().splitlines()[-3:])
                raise DeployError(f"Ray did not start: {last or 'it said nothing'} (see {log})")
            time.sleep(0.05)


_RAY = [sys.executable, "-c", "from ray.scripts.scripts import main; main()"]


def _free_port() -> int:
    """A free port outside 10002–19999, which Ray keeps for its workers."""
    for _ in range(100):
        with socket.socket() as trial:
            trial.bind(("127.0.0.1", 0))
            port = trial.getsockname()[1]
        if not 10_000 <= port < 20_000:
            return port
    raise DeployError("no free port above 20000 was found")


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat after the name, from the state on."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


def _born(pid: int) -> int | None:
    fields = _stat(pid)
    return None if fields is None or fields[0] == "Z" else int(fields[19])


def descendants(head: int) -> dict[int, int]:
    """The process and all its descendants, with resident bytes."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))) and fields[0] != "Z":
            parents[int(entry.name)] = int(fields[1])
    found = {head}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    pages = {pid: int(fields[21]) for pid in found if (fields := _stat(pid))}
    return {pid: count * os.sysconf("SC_PAGE_SIZE") for pid, count in pages.items()}
