"""Keep a node's process alive: start it, and start it again when it dies.

    python -P supervising.py LOCK_FD SOCKET_FD COMMAND…

The supervisor holds the listening socket, so connections made while the node is started again wait
in the kernel's queue instead of being refused. It imports nothing but the standard library (it
lives as long as the node and should weigh nothing). The child's exit codes: 0 stopped in order,
3 cannot start (both end the supervisor); anything else is a death, answered after 0.1, 0.2 … 10 s.
Three children that die before any has said where it listens (node.json) mean that none ever will:
that is an end, too.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

__all__ = ["CANNOT_START", "came_up", "delays", "supervise"]

CANNOT_START = 3
HOPELESS = 3
_STEADY_S = 60.0
_FIRST_S, _LAST_S = 0.1, 10.0


def delays(lived_s: float, previous_s: float) -> float:
    """How long to wait before the next start: doubled each time, from the beginning again after
    a minute of life."""
    if lived_s >= _STEADY_S or previous_s == 0:
        return _FIRST_S
    return min(_LAST_S, previous_s * 2)


def came_up(pid: int) -> bool:
    """Whether a child got so far as to say where it listens."""
    try:
        with open(os.path.join(os.environ["DESCENT_HOME"], "node.json"), encoding="utf-8") as file:
            return json.load(file)["pid"] == pid
    except (OSError, ValueError, KeyError, TypeError):
        return False


def supervise(command: list[str], keep_open: list[int]) -> int:
    """Run `command` until it ends in order; returns its exit code. SIGTERM and SIGINT are handed
    to the child."""
    child: subprocess.Popen | None = None
    stopping = False

    def hand_on(number: int, _frame: object) -> None:
        nonlocal stopping
        stopping = True
        if child is not None and child.poll() is None:
            child.send_signal(number)

    signal.signal(signal.SIGTERM, hand_on)
    signal.signal(signal.SIGINT, hand_on)
    wait_s, stillborn = 0.0, 0
    while True:
        started = time.monotonic()
        # In a group of its own: Ctrl-C reaches the child once, through us, not twice.
        child = subprocess.Popen(command, pass_fds=keep_open, process_group=0)
        if stopping:  # told while it was being started
            child.terminate()
        code = child.wait()
        if stopping or code in (0, CANNOT_START):
            return code
        lived_s = time.monotonic() - started
        stillborn = -1 if stillborn < 0 or came_up(child.pid) else stillborn + 1
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        if stillborn == HOPELESS:
            print(f"node: process {child.pid} died ({how}), as those before: given up", flush=True)
            return CANNOT_START
        wait_s = delays(lived_s, wait_s)
        print(f"node: process {child.pid} died ({how}); again in {wait_s:g} s", flush=True)
        time.sleep(wait_s)
        if stopping:
            return code


def _main() -> int:
    lock, sock = int(sys.argv[1]), int(sys.argv[2])
    os.environ["DESCENT_SUPERVISOR"] = str(os.getpid())
    return supervise(sys.argv[3:], [lock, sock])


if __name__ == "__main__":
    sys.exit(_main())
