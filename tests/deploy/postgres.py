"""A PostgreSQL server for the tests, from the system's package: a folder of its own under /tmp, a
unix socket and nothing else, gone when the test process ends.

The server refuses to run as root, so it is then started as `nobody`. One server serves all tests of
a process; `fresh_url()` names a schema that nothing has used before. `make test` tries to install
the package (scripts/postgres.sh); where there is none the tests on PostgreSQL are skipped, and say so.
"""

from __future__ import annotations

import atexit
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from functools import cache
from itertools import count
from pathlib import Path

import pytest

__all__ = ["Server", "fresh_url", "server"]

NUMBERS = count()


class Server:
    """A running server; `stop` and `start` are for tests of what happens then."""

    def __init__(self, programs: Path) -> None:
        self.programs = programs
        self.folder = Path(tempfile.mkdtemp(prefix="dpg-", dir="/tmp"))  # short: socket paths are
        self.data = self.folder / "data"
        self.prefix: list[str] = []
        self.process: subprocess.Popen | None = None
        if setpriv := shutil.which("setpriv"):
            # gone with this process, however that ends: SIGQUIT is an immediate shutdown
            self.prefix = [setpriv, "--pdeathsig", "QUIT"]
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(self.folder, nobody.pw_uid, nobody.pw_gid)
            user = [f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups"]
            self.prefix = [*(self.prefix or ["setpriv"]), *user]
        made = subprocess.run(
            [
                *self.prefix, self.programs / "initdb", "-D", self.data, "-U", "descent",
                "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync",
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            cwd="/",
            timeout=60,
        )  # fmt: skip
        if made.returncode:
            raise RuntimeError(f"initdb failed: {made.stderr.decode(errors='replace')[-1000:]}")
        self.start()

    @property
    def url(self) -> str:
        return f"postgresql://descent@/postgres?host={self.folder}"

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": self.folder,
            "max_connections": 60,
            "shared_buffers": "64MB",
            "deadlock_timeout": "100ms",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*self.prefix, self.programs / "postgres", "-D", self.data, *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
            )
        ready = [self.programs / "pg_isready", "-q", "-h", self.folder, "-U", "descent"]
        until = time.monotonic() + 60
        while subprocess.run(ready, cwd="/").returncode:
            if self.process.poll() is not None or time.monotonic() > until:
                said = (self.folder / "log").read_text(encoding="utf-8", errors="replace")
                raise RuntimeError(f"PostgreSQL did not start: {said[-1000:]}")
            time.sleep(0.02)

    def stop(self, mode: str = "immediate") -> None:
        """ "immediate" is what a power cut is; "fast" ends in order."""
        assert self.process is not None
        self.process.send_signal(signal.SIGQUIT if mode == "immediate" else signal.SIGINT)
        self.process.wait(timeout=60)

    def end(self) -> None:
        """Leave nothing behind."""
        if self.process is not None and self.process.poll() is None:
            self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


@cache
def server() -> Server:
    """The server of this process, started at the first call; skips the test where there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    initdb = shutil.which("initdb") or (found[-1] if found else None)
    if initdb is None:
        pytest.skip("no PostgreSQL here: `sh scripts/postgres.sh` installs the system's package")
    pytest.importorskip("psycopg", reason="pip install 'descent-ml[postgres]'")
    running = Server(Path(initdb).resolve().parent)
    atexit.register(running.end)
    return running


def fresh_url() -> str:
    """A store's URL with a schema of its own."""
    return f"{server().url}&descent_schema=t{os.getpid()}_{next(NUMBERS)}"
