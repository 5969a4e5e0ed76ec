"""A process of its own session: started, read line by line, ended with all it has started.

SIGTERM to the whole group, a grace, then SIGKILL. The process dies with this one too, however this
one ends, where the system offers that (Linux: `setpriv --pdeathsig`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path

__all__ = ["Process", "how_it_ended", "inherited"]

MOST_LINE_BYTES = 16 * 1024
MOST_RECORD_BYTES = 4 << 20  # of our own child
READ_BYTES = 64 * 1024
OURS = ("DESCENT_", "CORTEX_", "KUBEXIT_")
PASSED_ON = ("DESCENT_CACHE", "DESCENT_DATA")


def inherited() -> dict[str, str]:
    """The variables a process gets from this one: all but the node's own (keys and addresses)."""
    return {
        name: value
        for name, value in os.environ.items()
        if name in PASSED_ON or not name.startswith(OURS)
    }


@cache
def _dying_with_us() -> tuple[str, ...]:
    found = shutil.which("setpriv")
    return (found, "--pdeathsig", "KILL", "--") if found else ()


@cache
def _oom_file() -> Path | None:
    path = Path("/proc/vmstat")
    return path if path.exists() else None


def _oom_kills() -> int:
    """How often the kernel has ended a process for want of memory."""
    path = _oom_file()
    if path is None:
        return 0
    for line in path.read_text().splitlines():
        if line.startswith("oom_kill "):
            return int(line.split()[1])
    return 0


class Process:
    """One running command; each line it writes goes to `on_line`."""

    def __init__(
        self, process: asyncio.subprocess.Process, on_line: Callable[[str], None], most_line: int
    ) -> None:
        self.pid = process.pid
        self.killed_by_us = False
        self.out_of_memory = self._swept = False
        self._process = process
        self._on_line, self._most_line = on_line, most_line
        self._oom = _oom_kills()
        self._reading = asyncio.ensure_future(self._read())

    @classmethod
    async def start(
        cls,
        argv: Sequence[str],
        on_line: Callable[[str], None],
        *,
        env: Mapping[str, str],
        folder: str | os.PathLike | None = None,
        given: bytes | None = None,
    ) -> Process:
        """Start `argv`; `given` goes to its standard input, which then stays open while we live.

        Raises OSError (no such command, no permission, no such folder).
        """
        words = list(argv)
        if shutil.which(words[0], path=env.get("PATH")) is None and "/" not in words[0]:
            raise FileNotFoundError(2, "no such command", words[0])
        if "/" in words[0] and not os.access(Path(folder or ".", words[0]), os.X_OK):
            raise FileNotFoundError(2, "no such program", words[0])
        process = await asyncio.create_subprocess_exec(
            *_dying_with_us(),
            *words,
            stdin=asyncio.subprocess.DEVNULL if given is None else asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=folder,
            env=dict(env),
            start_new_session=True,
        )
        made = cls(process, on_line, MOST_LINE_BYTES if given is None else MOST_RECORD_BYTES)
        if given is not None and process.stdin is not None:
            process.stdin.write(given)
            with contextlib.suppress(ConnectionError):
                await process.stdin.drain()
        return made

    @property
    def running(self) -> bool:
        return self._process.returncode is None

    def memory_bytes(self) -> int | None:
        """Resident memory of the process itself; None where that cannot be known."""
        try:
            pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        except (OSError, ValueError, IndexError):
            return None
        return pages * os.sysconf("SC_PAGE_SIZE")

    async def ended(self) -> int:
        """Its exit code, or minus the signal, once it has ended."""
        return await self._process.wait()

    async def wait(self) -> int:
        """As `ended`, once all its output is read too and what it has left behind is ended."""
        code = await self._process.wait()
        if code == -signal.SIGKILL and not self.killed_by_us:
            self.out_of_memory = _oom_kills() > self._oom
        if not self._swept:  # once: later the group's number may be another's
            self._swept = True
            self._signal(signal.SIGKILL)  # what it has left behind
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2.0):
                await asyncio.shield(self._reading)
        if not self._reading.done():  # something outside its group keeps the output open
            self._reading.cancel()
        return code

    async def stop(self, grace_s: float) -> None:
        """End it: politely, and after `grace_s` seconds not."""
        if not self.running:
            return
        self._signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(grace_s):
                await self._process.wait()
        except TimeoutError:
            self.kill()
            await self._process.wait()

    def kill(self) -> None:
        """End it and its group at once."""
        self.killed_by_us = True
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    async def _read(self) -> None:
        stream = self._process.stdout
        assert stream is not None
        rest = b""
        while piece := await stream.read(READ_BYTES):
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                self._line(line)
            while len(rest) > self._most_line:
                self._line(rest[: self._most_line])
                rest = rest[self._most_line :]
        if rest:
            self._line(rest)

    def _line(self, line: bytes) -> None:
        for at in range(0, max(len(line), 1), self._most_line):
            text = line[at : at + self._most_line].decode("utf-8", "replace").rstrip("\r")
            self._on_line(text)


def how_it_ended(code: int, out_of_memory: bool = False) -> str:
    """An exit code in words."""
    if out_of_memory:
        return "it was killed for want of memory"
    if code >= 0:
        return f"it ended with code {code}"
    try:
        return f"it was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"it was ended by signal {-code}"
