"""A PostgreSQL server for the tests, from the system's package: a folder of its own under /tmp, a
unix socket and nothing else, gone when the test process ends.

The server refuses to run as root, so it is then started as `nobody`. One server serves all tests of
a process; `fresh_url()` names a schema that nothing has used before. `make test` tries to install
the package (scripts/postgres.sh); where there is none the tests on PostgreSQL are skipped, and say so.
"""

from __future__ import annotations

import atexit
import getpass
import os
import pwd
import shutil
import subprocess
import tempfile
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
        self.user = getpass.getuser()
        self.prefix: list[str] = []
        if os.geteuid() == 0:
            self.user = "nobody"
            nobody = pwd.getpwnam(self.user)
            os.chown(self.folder, nobody.pw_uid, nobody.pw_gid)
            self.prefix = [
                "setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups",
            ]  # fmt: skip
        self._run(
            "initdb", "-D", self.data, "-U", "descent", "-A", "trust", "-E", "UTF8",
            "--locale=C", "--no-sync",
        )  # fmt: skip
        self.start()

    @property
    def url(self) -> str:
        return f"postgresql://descent@/postgres?host={self.folder}"

    def start(self) -> None:
        options = (
            f"-c listen_addresses='' -c unix_socket_directories={self.folder} "
            "-c max_connections=60 -c shared_buffers=64MB -c deadlock_timeout=100ms"
        )
        self._run(
            "pg_ctl", "start", "-w", "-t", "30", "-D", self.data, "-l", self.folder / "log",
            "-o", options,
        )  # fmt: skip

    def stop(self, mode: str = "immediate") -> None:
        """ "immediate" is what a power cut is; "fast" ends in order."""
        self._run("pg_ctl", "stop", "-w", "-m", mode, "-D", self.data)

    def end(self) -> None:
        try:
            self.stop("immediate")
        except subprocess.SubprocessError:
            pass
        shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self, name: str, *arguments: object) -> None:
        command = [*self.prefix, str(self.programs / name), *map(str, arguments)]
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE
            if name == "initdb"
            else subprocess.DEVNULL,  # its child keeps it
            stderr=subprocess.STDOUT,
            cwd="/",
            timeout=60,
        )
        if done.returncode:
            said = (done.stdout or b"").decode("utf-8", "replace")
            log = self.folder / "log"
            said += log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
            raise subprocess.SubprocessError(f"{name} failed: {said[-1000:]}")


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
