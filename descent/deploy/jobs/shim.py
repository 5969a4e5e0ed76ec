"""A task's guardian: starts one command, outlives the node, and writes down how it ended.

    python -I shim.py FOLDER      FOLDER/command.json → FOLDER/exit.json
It holds a lock on FOLDER/lock while it lives: who can take the lock knows it is dead, whatever the
process numbers say. FOLDER/stop asks it to end the command. The deadline is kept here, so it holds
while the node is down. Standard library alone, for it is run as a file. Left out: Windows.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

__all__ = ["main"]

POLL_S = 0.05
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


def main(folder: Path) -> int:
    """Run `command.json`: {"argv", "cwd", "env", "deadline": unix seconds | null, "grace_s"}."""
    lock = (folder / "lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return 3  # another shim has this attempt
    if (folder / "exit.json").exists():
        return 0
    # The lock goes on with the child. The node is not its parent: nobody need wait for it.
    if os.fork():
        os._exit(0)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: (folder / "stop").touch())
    _prctl(PR_SET_CHILD_SUBREAPER, 1)  # what the command leaves behind becomes ours to end
    order = json.loads((folder / "command.json").read_text())
    kills = _oom_kills()
    started = time.time()
    try:
        with (folder / "log.txt").open("ab") as log:
            child = subprocess.Popen(
                order["argv"],
                cwd=order["cwd"],
                env={**os.environ, **order["env"]},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=lambda: _prctl(PR_SET_PDEATHSIG, signal.SIGKILL),
            )
    except OSError as error:
        what = f"{order['argv'][0]} cannot be started: {error.strerror}"
        _write(folder, {"why": "not_started", "code": None, "reason": what, "started": started})
        return 0
    why = _watch(child, folder, order["deadline"])
    if why != "exited":
        _end(child.pid, child, order["grace_s"])
    code = child.wait()
    _end_orphans(order["grace_s"])
    oom = code == -signal.SIGKILL and why == "exited" and _oom_kills() > kills
    _write(folder, {"why": why, "code": code, "oom": oom, "started": started})
    return 0


def _watch(child: subprocess.Popen, folder: Path, deadline: float | None) -> str:
    """Wait; "exited", "stopped" or "timed_out"."""
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(POLL_S)
            return "exited"
        if (folder / "stop").exists():
            return "stopped"
        if deadline is not None and time.time() > deadline:
            return "timed_out"


def _end(group: int, child: subprocess.Popen, grace_s: float) -> None:
    """SIGTERM to the whole group; after the grace SIGKILL."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(grace_s)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def _end_orphans(grace_s: float) -> None:
    """End whatever the command left behind, other sessions included."""
    limit = time.monotonic() + min(grace_s, 2.0)
    number = signal.SIGTERM
    while left := _children():
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if time.monotonic() > limit:
            number = signal.SIGKILL
        time.sleep(0.02)


def _children() -> list[int]:
    try:
        text = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
    except OSError:  # no such list here (macOS): the group was ended, and that must do
        return []
    return [int(word) for word in text.split()]


def _oom_kills() -> int:
    """How often the kernel has killed for want of memory, here or in this container."""
    total = 0
    for path in ("/sys/fs/cgroup/memory.events", "/proc/vmstat"):
        with contextlib.suppress(OSError, ValueError):
            for line in Path(path).read_text().splitlines():
                if line.startswith("oom_kill "):
                    total += int(line.split()[1])
    return total


def _prctl(option: int, value: int) -> None:
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(option, int(value), 0, 0, 0)


def _write(folder: Path, end: dict) -> None:
    """`exit.json`, whole or not at all."""
    part = folder / "exit.json.part"
    with part.open("w") as file:
        json.dump({**end, "ended": time.time()}, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, folder / "exit.json")


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1])))
