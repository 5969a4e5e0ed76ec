"""Log lines that cost a request almost nothing: collected, written every 50 ms by a thread.

A line is a JSON object: time, level, api, version, request_id, message, and status, ms, bytes. The
file is turned over at `max_bytes` (name, name.1, name.2 …). What cannot be written (disk full) is
dropped and counted, never waited for: the log may not stop the service.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import sys
import threading
import time
from collections import deque
from functools import lru_cache
from json.encoder import encode_basestring_ascii as quoted
from pathlib import Path

__all__ = ["LineLog", "access_line", "timestamp"]

FLUSH_S = 0.05


class LineLog:
    """A file of lines. `write` may be called from any thread; lines keep their order."""

    def __init__(self, path: str | os.PathLike, max_bytes: int = 64 * 2**20, kept: int = 3) -> None:
        self.path = Path(path)
        self.dropped = 0  # lines that could not be written
        self._max_bytes = max_bytes
        self._kept = kept
        self._lines: deque[str] = deque()  # its ends are safe between threads
        self._due = False
        self._writing = threading.Lock()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        atexit.register(self.flush)

    def write(self, line: str) -> None:
        """Add a line (without its end); it is in the file 50 ms later."""
        self._lines.append(line)
        if not self._due:
            self._due = True
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:
                self.flush()
            else:
                loop.call_later(FLUSH_S, self._hand_over, loop)

    def _hand_over(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            loop.run_in_executor(None, self.flush)
        except RuntimeError:  # the loop is ending
            self.flush()

    def flush(self) -> None:
        """Write what has been collected."""
        with self._writing:
            self._due = False
            lines = [self._lines.popleft() for _ in range(len(self._lines))]
            if not lines:
                return
            try:
                self._turn_over()
                with self.path.open("a", encoding="utf-8") as file:
                    file.write("\n".join(lines) + "\n")
            except OSError as error:
                if not self.dropped:
                    print(f"{self.path}: {error}; log lines are lost", file=sys.stderr)
                self.dropped += len(lines)

    def close(self) -> None:
        """Write the rest."""
        self.flush()
        atexit.unregister(self.flush)

    def _turn_over(self) -> None:
        try:
            if self.path.stat().st_size < self._max_bytes:
                return
        except FileNotFoundError:
            return
        for i in range(self._kept - 1, 0, -1):
            older = self.path.with_name(f"{self.path.name}.{i}")
            if older.exists():
                older.replace(self.path.with_name(f"{self.path.name}.{i + 1}"))
        self.path.replace(self.path.with_name(f"{self.path.name}.1"))


def timestamp(now: float) -> str:
    """Unix seconds → "2026-11-26T04:19:30.123Z"."""
    second = int(now)
    return f"{_of_second(second)}{int((now - second) * 1000):03d}Z"


@lru_cache(maxsize=2)  # changes once a second, and is asked for by many threads
def _of_second(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(second))


def access_line(
    api: str,
    version: int,
    request_id: str,
    method: str,
    path: str,
    status: int,
    ms: float,
    size: int,
    key: str | None = None,
) -> str:
    """One request as a JSON line; `key`: the name of the API key it came with."""
    level = "info" if status < 500 else "error"
    by = "" if key is None else f',"key":{quoted(key)}'
    return (
        f'{{"time":"{timestamp(time.time())}","level":"{level}","api":"{api}","version":{version},'
        f'"request_id":{quoted(request_id)},"message":{quoted(f"{method} {path} {status}")},'
        f'"status":{status},"ms":{ms:.2f},"bytes":{size}{by}}}'
    )
