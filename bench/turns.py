"""Measuring jobs on one machine take turns, and each may be measured beside a busy process."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["busy_s", "machine_lock", "one_busy_core"]


@contextmanager
def machine_lock(shared: bool = False) -> Iterator[None]:
    """Hold the file BENCH_LOCK names, if any: alone while timing, shared while preparing."""
    name = os.environ.get("BENCH_LOCK")
    if not name:
        yield
        return
    import fcntl

    with open(name, "a") as file:
        fcntl.flock(file, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield


def busy_s() -> float:
    """Processor seconds all processes of this machine have used so far (Linux; elsewhere 0)."""
    try:
        with open("/proc/stat", encoding="ascii") as file:
            user, nice, system, _idle, _wait, irq, soft = map(int, file.readline().split()[1:8])
    except OSError:
        return 0.0
    return (user + nice + system + irq + soft) / os.sysconf("SC_CLK_TCK")


@contextmanager
def one_busy_core() -> Iterator[None]:
    """Another process that computes without pause: a user's machine is never idle."""
    other = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        time.sleep(0.2)
        yield
    finally:
        other.kill()
        other.wait()
