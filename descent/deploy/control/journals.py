"""Logs of versions: JSON objects, a line each, one file per API and version.

    {"time": "2026-01-31T12:00:00.123Z", "level": "info", "api": "sorter", "version": 3,
     "message": "loaded in 0.8 s", …}

A file that has grown past 16 MB goes on in a new one; one older file is kept. Requests themselves
are in the node's access log (descent/deploy/gateway/access.py).
"""

from __future__ import annotations

import json
import os
import re
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from descent.deploy.gateway.access import LineLog, timestamp

__all__ = ["Journal", "Reader", "last_lines"]

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")


class Journal:
    """The log of one version; callable as `log(line, **fields)` from any thread."""

    def __init__(self, folder: Path, api: str, version: int) -> None:
        if not _NAME.fullmatch(api):
            raise ValueError(f"{api!r} is no API's name")
        self.path = folder / api / f"{version}.jsonl"
        self._fixed = {"api": api, "version": version}
        self._lines = LineLog(self.path, max_bytes=16_000_000, kept=1)

    def __call__(self, line: str, **fields: Any) -> None:
        """Write one line; `level` is "info" unless given."""
        moment, level = timestamp(time.time()), fields.pop("level", "info")
        entry = {"time": moment, "level": level, **self._fixed, **fields, "message": str(line)}
        self._lines.write(json.dumps(entry, ensure_ascii=False, default=str))

    def close(self) -> None:
        """Write the rest; a later line still finds its file."""
        self._lines.close()


def last_lines(path: Path, count: int) -> list[str]:
    """The last `count` lines of a log; none where there is no file."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return [line.rstrip("\n") for line in deque(file, maxlen=count)]
    except FileNotFoundError:
        return []


class Reader:
    """Reads what is added to a log, through rotations; `read` never waits."""

    def __init__(self, path: Path, *, from_end: bool = True) -> None:
        self.path = path
        self._file: int | None = None
        self._inode = 0
        self._rest = b""
        if from_end and path.exists():
            self._open()
            assert self._file is not None
            os.lseek(self._file, 0, os.SEEK_END)

    def _open(self) -> None:
        self._file = os.open(self.path, os.O_RDONLY)
        self._inode = os.fstat(self._file).st_ino

    def read(self) -> Iterator[str]:
        """The whole lines that came since the last call."""
        while True:
            if self._file is None:
                if not self.path.exists():
                    return
                self._open()
            assert self._file is not None
            while data := os.read(self._file, 1 << 16):
                *lines, self._rest = (self._rest + data).split(b"\n")
                yield from (line.decode("utf-8", "replace") for line in lines)
            try:
                if self.path.stat().st_ino == self._inode:
                    return
            except FileNotFoundError:
                return
            self.close()

    def close(self) -> None:
        """Free the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
