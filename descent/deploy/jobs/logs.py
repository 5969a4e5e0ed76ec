"""The log of one job: JSON lines, a file per job, beside those of the API's versions.

    {"time", "level", "api", "version", "job_id", "message", …}
What a task writes is put there line by line, from where the last node left off. Files are removed
when the job's time to live is over; one stops growing at 16 MB, for a job has one file.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from descent.deploy.gateway.access import timestamp

__all__ = ["JobLogs", "Output"]

LONGEST_BYTES = 16_000_000
LINE_BYTES = 16 * 1024
PIECE_BYTES = 64 * 1024


class JobLogs:
    """The logs of one API's jobs, in `folder`."""

    def __init__(self, folder: Path):
        self.folder = folder

    def write(self, job: str, api: str, version: int, line: str, fields: dict[str, Any]) -> None:
        """One line; a disk that is full loses it, and nothing else."""
        said = {"time": timestamp(time.time()), "level": fields.get("level", "info")}
        said |= {"api": api, "version": version, **fields, "message": line}
        with contextlib.suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            with (self.folder / f"{job}.jsonl").open(
                "a", encoding="utf-8", errors="replace"
            ) as file:
                if file.tell() < LONGEST_BYTES:
                    file.write(json.dumps(said, ensure_ascii=False, default=str) + "\n")

    def forget(self, older_than: float) -> int:
        """Remove those that were last written before this time; how many."""
        old = [path for path in self.folder.glob("*.jsonl") if path.stat().st_mtime < older_than]
        for path in old:
            path.unlink(missing_ok=True)
        return len(old)


class Output:
    """What a task writes, handed on line by line; where it stopped is kept beside the file."""

    def __init__(self, path: Path, tell: Callable[[str], None]):
        self.path, self.tell = path, tell
        self.mark = path.with_name("told")
        self.at = 0
        with contextlib.suppress(OSError, ValueError):
            self.at = int(self.mark.read_text())

    def hand_on(self, *, last: bool = False) -> bool:
        """Whole lines that came since, one piece of them; whether there were any. The `last` time
        also one that has no end. Nothing is told after 16 MB: a job's log is full by then."""
        if self.at >= LONGEST_BYTES or not (piece := self._piece(last)):
            return False
        self.at += len(piece)
        for line in piece.decode("utf-8", "replace").splitlines():
            self.tell(line)
        with contextlib.suppress(OSError):
            self.mark.write_text(str(self.at))
        return True

    def _piece(self, last: bool) -> bytes:
        try:
            with self.path.open("rb") as file:
                file.seek(self.at)
                piece = file.read(PIECE_BYTES)
        except FileNotFoundError:
            return b""
        end = piece.rfind(b"\n") + 1
        # A line without end is given in parts rather than kept for ever.
        return piece[:end] if end else piece if last or len(piece) >= LINE_BYTES else b""
