"""A load generator that is faster than any server here: sockets kept open, one request after the
other on each, answers told apart by length or last chunk.

    python -m bench.sides.http_client PORT PATH BODY CONNECTIONS REQUESTS → one line of JSON
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import dataclass

__all__ = ["Load", "load"]


LIMIT_S = 120.0


@dataclass(frozen=True)
class Load:
    """`failures`: answers other than 200, and connections that broke."""

    requests: int
    seconds: float
    p50_s: float
    p99_s: float
    failures: int


class _Shared:
    """How many requests are still to be sent, by all connections, and how long each took."""

    def __init__(self, requests: int, done: asyncio.Future[None]) -> None:
        self.to_send = self.to_come = requests
        self.alive = 0  # connections
        self.took: list[float] = []
        self.failures = 0
        self.done = done

    def came(self, seconds: float, good: bool) -> None:
        self.took.append(seconds)
        self.failures += not good
        self.to_come -= 1
        if self.to_come <= 0:
            self.end()

    def end(self) -> None:
        if not self.done.done():
            self.done.set_result(None)


class _Connection(asyncio.Protocol):
    def __init__(self, request: bytes, shared: _Shared) -> None:
        self._request = request
        self._shared = shared
        self._buffer = b""
        self._began = 0.0
        self._asking = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._shared.alive += 1
        self._next()

    def _next(self) -> None:
        shared = self._shared
        if shared.to_send <= 0:
            return
        shared.to_send -= 1
        self._asking = True
        self._began = time.perf_counter()
        self._transport.write(self._request)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self._buffer = buffer = self._buffer + data if self._buffer else data
        head = buffer.find(b"\r\n\r\n")
        if head < 0:
            return
        if not _whole(buffer, head):
            return
        self._buffer, self._asking = b"", False
        self._shared.came(time.perf_counter() - self._began, buffer.startswith(b"HTTP/1.1 200"))
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        shared = self._shared
        shared.alive -= 1
        if self._asking and shared.to_come > 0:
            shared.came(time.perf_counter() - self._began, False)
        if not shared.alive:  # nobody is left to send the rest
            shared.failures += max(0, shared.to_send)
            shared.end()


def _whole(answer: bytes, head: int) -> bool:
    """Is the body complete whose head ends at `head`? By its length, or its last chunk."""
    at = answer.find(b"ontent-", 0, head)
    while at >= 0 and answer[at + 7 : at + 14].lower() != b"length:":
        at = answer.find(b"ontent-", at + 1, head)
    if at >= 0:
        return len(answer) >= head + 4 + int(answer[at + 14 : answer.index(b"\r", at)])
    return answer.endswith(b"0\r\n\r\n")


def load(port: int, path: str, body: bytes, connections: int, requests: int) -> Load:
    """Send `requests` POSTs over `connections` and wait for all answers."""
    import uvloop

    head = (
        f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-type: application/json\r\n"
        f"accept: */*\r\nuser-agent: bench\r\ncontent-length: {len(body)}\r\n\r\n"
    )

    async def run() -> Load:
        loop = asyncio.get_running_loop()
        shared = _Shared(requests, loop.create_future())
        began = time.perf_counter()
        made = [
            await loop.create_connection(
                lambda: _Connection(head.encode() + body, shared), "127.0.0.1", port
            )
            for _ in range(connections)
        ]
        await asyncio.wait_for(shared.done, LIMIT_S)
        seconds = time.perf_counter() - began
        for transport, _ in made:
            transport.close()
        took = sorted(shared.took)
        p50, p99 = took[len(took) // 2], took[int(0.99 * len(took))]
        return Load(requests, seconds, p50, p99, shared.failures)

    return uvloop.run(run())


if __name__ == "__main__":
    _port, _path, _body, _connections, _requests = sys.argv[1:]
    print(
        json.dumps(
            load(int(_port), _path, _body.encode(), int(_connections), int(_requests)).__dict__
        )
    )
