"""Runs of a task: a command under its guardian (`shim.py`), found again when the node restarts.

    <files>/<api>/<job>/run-<round>-<n>/ command.json job.json log.txt lock stop exit.json …
A run whose lock is held goes on; one with an exit.json has ended; one with neither has lost its
guardian. `reported` marks a run whose end the store knows, so that the next attempt begins anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from descent.data.files import write_atomically
from descent.deploy.jobs import shim
from descent.deploy.jobs.logs import Output
from descent.deploy.pools.command_process import inherited

__all__ = ["Command", "Ended", "Run"]

POLL_S = 0.05
GRACE_S = 30.0
SAID_BYTES = 2000


@dataclass(frozen=True)
class Command:
    """What to run. `deadline` in unix seconds."""

    argv: list[str]
    cwd: str
    env: dict[str, str]
    deadline: float | None


@dataclass(frozen=True)
class Ended:
    """How a run ended. `status`: succeeded, worker_error, worker_oom, timed_out or stopped."""

    status: str
    reason: str
    code: int | None = None


class Run:
    """One run, by its folder."""

    def __init__(self, folder: Path):
        self.folder = folder

    @property
    def reported(self) -> bool:
        """Whether the store has been told how it ended."""
        return (self.folder / "reported").exists()

    @property
    def begun(self) -> bool:
        """Whether its guardian has been there; without one, it may be begun (again)."""
        return (self.folder / "lock").exists()

    @property
    def over(self) -> bool:
        """Whether it has written down its end."""
        return (self.folder / "exit.json").exists()

    def report(self) -> None:
        """The store has been told."""
        (self.folder / "reported").touch()

    def alive(self) -> bool:
        """Whether its guardian lives (holds the lock)."""
        try:
            with (self.folder / "lock").open() as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except FileNotFoundError:
            return False
        return False

    def begin(self, command: Command, job: dict[str, Any]) -> None:
        """Start it; blocks for some 20 ms. Raises `OSError`."""
        order = {
            "argv": command.argv,
            "cwd": command.cwd,
            "env": {**command.env, "CORTEX_JOB_SPEC": str(self.folder / "job.json")},
            "deadline": command.deadline,
            "grace_s": GRACE_S,
        }
        write_atomically(self.folder / "job.json", json.dumps(job))
        write_atomically(self.folder / "command.json", json.dumps(order))
        with (self.folder / "guardian.txt").open("ab") as said:
            subprocess.run(  # it goes on in a child of its own and returns at once
                [sys.executable, "-I", shim.__file__, str(self.folder)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=said,
                start_new_session=True,  # a signal to the node is not meant for its tasks
                cwd="/",
                env=inherited(),
                check=False,
            )

    def stop(self) -> None:
        """Ask for its end: SIGTERM to its processes, SIGKILL after the grace."""
        with contextlib.suppress(FileNotFoundError):
            (self.folder / "stop").touch()

    async def ended(self, tell: Callable[[str], None]) -> Ended:
        """Wait for the end; `tell` hears each line it writes."""
        output = Output(self.folder / "log.txt", tell)
        while True:
            alive = self.alive()  # before the file: the guardian writes it and then goes
            last = self.over or not alive
            while output.hand_on(last=last):
                await asyncio.sleep(0)  # it may write faster than we read: others go on
            exit = self.folder / "exit.json"
            if exit.exists():
                return self._read(json.loads(exit.read_text()))
            if not alive:
                said = _tail(self.folder / "guardian.txt")
                return Ended("worker_error", f"its guardian process was killed {said}".strip())
            await asyncio.sleep(POLL_S)

    def result(self) -> bytes | None:
        """What the task returned, as JSON."""
        with contextlib.suppress(FileNotFoundError):
            return (self.folder / "result.json").read_bytes()
        return None

    def _read(self, end: dict[str, Any]) -> Ended:
        why, code = end["why"], end["code"]
        if why == "timed_out":
            return Ended("timed_out", "not finished within its timeout", code)
        if why == "stopped":
            return Ended("stopped", "stopped", code)
        if why == "not_started":
            return Ended("worker_error", end["reason"])
        if code == 0:
            return Ended("succeeded", "", 0)
        failure = self._failure()
        if end.get("oom") or failure.get("oom"):
            return Ended("worker_oom", failure.get("error") or "killed for want of memory", code)
        how = f"killed by {_signal(-code)}" if code < 0 else f"ended with code {code}"
        said = failure.get("error") or _tail(self.folder / "log.txt")
        return Ended("worker_error", f"{how}: {said}".rstrip(": "), code)

    def _failure(self) -> dict[str, Any]:
        """What `running_task` wrote about an exception."""
        with contextlib.suppress(FileNotFoundError, ValueError):
            return json.loads((self.folder / "failure.json").read_text())
        return {}


def _signal(number: int) -> str:
    with contextlib.suppress(ValueError):
        return signal.Signals(number).name
    return f"signal {number}"


def _tail(path: Path) -> str:
    """The last line a process wrote."""
    with contextlib.suppress(OSError):
        with path.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - SAID_BYTES))
            lines = file.read().decode("utf-8", "replace").strip().splitlines()
            return lines[-1][:SAID_BYTES] if lines else ""
    return ""
