"""A gateway on a real socket, in a thread of its own."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import threading
import time
from contextlib import contextmanager

import httpx
import pytest
import uvicorn

from descent.deploy.gateway import Gateway, Limits, Route, Served
from descent.deploy.gateway.server import config


@contextmanager
def serving(app, **options):
    """Yields the port; `options` go to uvicorn."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    server = uvicorn.Server(config(app, timeout_graceful_shutdown=2, **options))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]}, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.002)
    try:
        yield sock.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()
        sock.close()


async def whole(receive) -> bytes:
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError
        body += message["body"]
        if not message["more_body"]:
            return body


async def reply(send, body: bytes, status=200, headers=()):
    head = [(b"content-length", str(len(body)).encode()), *headers]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})


async def echo(scope, receive, send):
    """Method, path below the endpoint, query and body of a request."""
    body = await whole(receive)
    said = {
        "method": scope["method"],
        "path": scope["path"].removeprefix(scope["root_path"]),
        "query": scope["query_string"].decode(),
        "body": body.decode("latin-1"),
        "request_id": scope["descent"].request_id if "descent" in scope else None,
    }
    await reply(send, json.dumps(said).encode(), headers=[(b"content-type", b"application/json")])


class Gate:
    """An application that says when it has been entered and ends when it is told to."""

    def __init__(self):
        self.inside = threading.Semaphore(0)
        self.cancelled = threading.Event()
        self.go = threading.Event()

    async def __call__(self, scope, receive, send):
        await whole(receive)
        self.inside.release()
        try:
            while not self.go.is_set():
                await asyncio.sleep(0.005)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        await reply(send, b"done")


def gateway_of(app=echo, name="api", limits=None, **options) -> Gateway:
    """A gateway with one API at /api."""
    gateway = Gateway(**options)
    served = Served(name, 1, app, limits or Limits(max_concurrency=8))
    gateway.set_route(Route(name, "RealtimeAPI", f"/{name}", served))
    return gateway


@pytest.fixture(scope="module")
def echo_port():
    with serving(gateway_of()) as port:
        yield port


def post(port, path="/api", **options):
    return httpx.post(f"http://127.0.0.1:{port}{path}", timeout=20, **options)


def raw(port: int, data: bytes, answers: int = 1) -> bytes:
    """Send bytes; read until so many answers are whole, or the server closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
        sock.sendall(data)
        got = b""
        while len(bodies(got)) < answers and (part := sock.recv(65536)):
            got += part
        return got


def bodies(answers: bytes) -> list[bytes]:
    """The whole bodies of answers that state their length, one after the other."""
    found = []
    while answers:
        head, end, rest = answers.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head)
        if not end or length is None or len(rest) < int(length[1]):
            break
        found.append(rest[: int(length[1])])
        answers = rest[int(length[1]) :]
    return found


def eventually(condition, timeout_s: float = 20.0):
    """Poll until true; the bound only ends a test that has failed anyway."""
    end = time.monotonic() + timeout_s
    while not (result := condition()):
        assert time.monotonic() < end, "did not happen"
        time.sleep(0.005)
    return result
