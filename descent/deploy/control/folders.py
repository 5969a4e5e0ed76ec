"""The node's folder: what must be there after the machine was switched off.

    token              the key of the control API, made once, readable by its owner alone
    node.json          where the running node listens, and its process
    node.lock          held (flock) as long as a node, or its supervisor, lives
    node.log           what the node's process said (its own log, not the services')
    logs/API/N.jsonl   the log of version N, a JSON object a line
    versions/API/HASH  what was sent for a version: code, or the run folder's files
    jobs.db, results/  the durable store and the results of jobs, unless URLs name other places

`DESCENT_HOME` names the folder; otherwise it is ~/.descent.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

from descent.data.files import write_atomically

__all__ = ["Home", "Running"]


@dataclass(frozen=True)
class Running:
    """A node process as it described itself when it began to listen."""

    url: str
    pid: int
    supervisor: int | None
    started: float
    version: str = ""  # of Descent
    certificate: str = ""  # its file, where it answers by HTTPS


class Home:
    """One node's folder; made on first use, for its owner alone."""

    def __init__(self, path: str | os.PathLike | None = None) -> None:
        chosen = path or os.environ.get("DESCENT_HOME") or Path.home() / ".descent"
        self.path = Path(chosen).expanduser().absolute()

    def __repr__(self) -> str:
        return f"Home({str(self.path)!r})"

    def make(self) -> Home:
        """Create the folder where it is missing."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def versions(self) -> Path:
        return self.path / "versions"

    @property
    def node_log(self) -> Path:
        return self.path / "node.log"

    @property
    def node_file(self) -> Path:
        return self.path / "node.json"

    @property
    def environments_file(self) -> Path:
        return self.path / "environments.json"

    @property
    def database_url(self) -> str:
        return os.environ.get("DESCENT_DATABASE_URL") or f"sqlite:///{self.path / 'jobs.db'}"

    @property
    def files_url(self) -> str:
        return os.environ.get("DESCENT_FILES_URL") or str(self.path / "results")

    @property
    def token(self) -> str:
        """The control API's key; made when it is first asked for."""
        if given := os.environ.get("DESCENT_TOKEN"):
            return given
        file = self.make().path / "token"
        with contextlib.suppress(FileExistsError):
            handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w", encoding="ascii") as opened:
                opened.write(secrets.token_urlsafe(32))
                opened.flush()
                os.fsync(opened.fileno())
        text = file.read_text(encoding="ascii").strip()
        if len(text) < 16:  # begun, never finished: the machine stopped in between
            file.unlink()
            return self.token
        return text

    def lock(self) -> int | None:
        """Become this folder's node: the descriptor whose flock says so; None if there is one.

        Passed on to a child it stays held as long as any of the processes lives.
        """
        handle = os.open(self.make().path / "node.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return None
        return handle

    def running(self) -> Running | None:
        """The node of this folder; None where no process holds the lock or it says nothing yet."""
        if not (self.path / "node.lock").exists():
            return None
        if not self._held():
            return None
        try:
            return Running(**json.loads(self.node_file.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def _held(self) -> bool:
        """Whether a process holds the lock; asked for a share of it, so as not to seem one."""
        with open(self.path / "node.lock", "rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def announce(self, running: Running) -> None:
        """Say where the node listens."""
        write_atomically(self.make().node_file, json.dumps(asdict(running)))

    def withdraw(self) -> None:
        """The node is gone in good order."""
        self.node_file.unlink(missing_ok=True)
