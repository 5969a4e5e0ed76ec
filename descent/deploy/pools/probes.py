"""Probes: ask a process whether it is ready, or alive, as Kubernetes asks a container.

http_get: an answer of 200 to 399 · tcp_socket: the port accepts · exec: the command ends with 0.
Asked every `period_seconds`, answered within `timeout_seconds`; a state changes after
`success_threshold` (`failure_threshold`) answers in a row. Departure: until it is ready for the
first time, a process is asked sooner (after 0.1 s, then ever later up to the period), so a quick
start is noticed at once.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

from descent.deploy.spec.containers import Exec, HttpGet, PreStop, Probe, TcpSocket

__all__ = ["Place", "accepts", "ask_probe", "run_hook", "watch"]

FIRST_WAIT_S = 0.1
SLOWER = 1.5
MOST_HEAD_BYTES = 64 * 1024


@dataclass(frozen=True)
class Place:
    """Where a container is reached, its ports as seen from here, and how a command runs in it.

    `address` is where requests go: (host, port) or the path of a Unix socket.
    """

    address: tuple[str, int] | str
    ports: Mapping[int, int] = field(default_factory=dict)
    inside: tuple[str, ...] = ()
    env: Mapping[str, str] | None = None
    folder: str | None = None

    @property
    def host(self) -> str:
        return "127.0.0.1" if isinstance(self.address, str) else self.address[0]

    def port(self, port: int) -> int:
        """`port` of the spec, as seen from here."""
        return self.ports.get(port, port)


async def accepts(address: tuple[str, int] | str) -> bool:
    """Whether something listens there."""
    try:
        if isinstance(address, str):
            _, writer = await asyncio.open_unix_connection(address)
        else:
            _, writer = await asyncio.open_connection(*address)
    except OSError:
        return False
    await _end(writer)
    return True


async def ask_probe(probe: Probe, place: Place) -> tuple[bool, str]:
    """One question: whether the answer is good, and what it was."""
    limit = probe.timeout_seconds or 1
    try:
        async with asyncio.timeout(limit):
            return await _ask(probe.http_get or probe.tcp_socket or probe.exec, place)
    except TimeoutError:
        return False, f"no answer within {limit} s"


async def run_hook(hook: PreStop, place: Place, limit_s: float) -> str:
    """Do what is to be done before a container ends; what came of it, for the log."""
    try:
        async with asyncio.timeout(limit_s):
            done, said = await _ask(hook.http_get or hook.exec, place)
    except TimeoutError:
        done, said = False, f"not done within {limit_s:g} s"
    return "" if done else said


async def watch(probe: Probe, place: Place) -> AsyncIterator[tuple[bool, str]]:
    """Ask for ever; yields each time the state has changed, or is bad again: (state, why)."""
    period = probe.period_seconds or 10
    needed = {True: probe.success_threshold or 1, False: probe.failure_threshold or 3}
    state, wait, row = None, FIRST_WAIT_S, 0
    last = None
    await asyncio.sleep(probe.initial_delay_seconds)
    while True:
        good, said = await ask_probe(probe, place)
        row = row + 1 if good == last else 1
        last = good
        if row >= needed[good] and (good != state or not good):
            state = good
            yield state, said
        wait = period if state else min(wait, period)
        await asyncio.sleep(wait)
        wait *= SLOWER


async def _ask(way: HttpGet | TcpSocket | Exec | None, place: Place) -> tuple[bool, str]:
    if isinstance(way, HttpGet):
        return await _http(way, place)
    if isinstance(way, TcpSocket):
        port = place.port(way.port)
        good = await accepts((place.host, port))
        return good, f"port {port} {'accepts' if good else 'does not accept a connection'}"
    assert way is not None
    return await _exec(way, place)


async def _http(way: HttpGet, place: Place) -> tuple[bool, str]:
    port = place.port(way.port)
    try:
        reader, writer = await asyncio.open_connection(place.host, port, limit=MOST_HEAD_BYTES)
    except OSError:
        return False, f"port {port} does not accept a connection"
    try:
        writer.write(
            f"GET {way.path} HTTP/1.1\r\nHost: {place.host}:{port}\r\nUser-Agent: descent-probe\r\n"
            "Accept: */*\r\nConnection: close\r\n\r\n".encode()
        )
        line = (await reader.readline()).split()
    except (OSError, ValueError) as error:
        return False, f"GET {way.path}: {error}"
    finally:
        await _end(writer)
    if len(line) < 2 or not line[0].startswith(b"HTTP/") or not line[1].isdigit():
        return False, f"GET {way.path}: no HTTP answer"
    return 200 <= int(line[1]) < 400, f"GET {way.path} answered {int(line[1])}"


async def _exec(way: Exec, place: Place) -> tuple[bool, str]:
    try:
        process = await asyncio.create_subprocess_exec(
            *place.inside,
            *way.command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            cwd=place.folder,
            env=None if place.env is None else dict(place.env),
        )
    except OSError as error:
        return False, f"{way.command[0]!r} cannot be run: {error.strerror}"
    try:
        code = await process.wait()
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    return code == 0, f"{way.command[0]!r} ended with {code}"


async def _end(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
