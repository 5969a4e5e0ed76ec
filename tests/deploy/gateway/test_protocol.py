"""HTTP/1.1 on the socket, byte by byte."""

import asyncio
import contextlib
import socket
import threading
import time

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from descent.deploy.gateway import protocol
from descent.deploy.gateway.turn import BUFFERED_BYTES, Turn
from tests.deploy.gateway.conftest import bodies, echo, raw, reply, serving, whole

POST = b"POST /p?q=1 HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc"


async def app(scope, receive, send):
    """An echo without a gateway; what it does is said by the path."""
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        return await send({"type": "lifespan.shutdown.complete"})
    scope["root_path"] = ""
    match scope["path"]:
        case "/unread":
            await reply(send, b"no thanks")
        case "/injected":
            await reply(send, b"", headers=[(b"x", b"a\r\nset-cookie: b")])
        case "/long":
            await reply(send, b"", headers=[(b"content-length", b"9")])
        case "/nothing":
            return
        case "/again":
            await reply(send, b"once")
            await reply(send, b"twice")
        case "/close":
            await reply(send, b"bye", headers=[(b"connection", b"close")])
        case "/204":
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body"})
        case "/stream":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            for part in (b"one", b"", b"two"):
                await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body"})
        case "/slow":
            await whole(receive)
            await asyncio.sleep(0.05)
            await reply(send, b"slow")
        case _:
            await echo(scope, receive, send)


@pytest.fixture(scope="module")
def port():
    with serving(app, timeout_keep_alive=1) as number:
        yield number


@given(st.lists(st.integers(1, len(POST) * 2 - 1), max_size=6))
@settings(max_examples=40)
def test_cut_anywhere(port, cuts):
    """Two requests on one connection, in pieces that end anywhere."""
    data, last = POST + POST, 0
    with socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for cut in [*sorted(set(cuts)), len(data)]:
            sock.sendall(data[last:cut])
            last = cut
        answers = b""
        while len(bodies(answers)) < 2:
            answers += sock.recv(65536)
    assert len(bodies(answers)) == 2
    assert all(b'"body": "abc"' in body and b'"query": "q=1"' in body for body in bodies(answers))


def test_pipelined_in_order_beyond_the_bound(port):
    n = 60
    requests = b"".join(
        b"POST /%s HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n%02d"
        % (b"slow" if i % 20 == 0 else b"p", i)
        for i in range(n)
    )
    found = bodies(raw(port, requests, n))
    assert len(found) == n
    for i, body in enumerate(found):
        assert body == b"slow" if i % 20 == 0 else b'"body": "%02d"' % i in body


def test_chunked_body(port):
    data = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    assert b'"body": "abcde"' in raw(port, data, 1)


def test_large_body_waits_for_its_reader(port):
    body = bytes(range(256)) * 20_000  # 5 MB through a buffer of 64 KiB
    answer = httpx.post(f"http://127.0.0.1:{port}/", content=body)
    assert answer.json()["body"].encode("latin-1") == body


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_closing(port, version):
    answer = raw(port, b"GET / HTTP/%b\r\nhost: x\r\nconnection: close\r\n\r\n" % version)
    assert b"connection: close" in answer
    assert answer.endswith(b"}")


def test_http_1_0_keeps_alive_when_asked_and_never_chunks(port):
    got = raw(port, b"GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n", 1)
    assert b"connection: keep-alive" in got
    got = raw(port, b"GET /stream HTTP/1.0\r\n\r\n")
    assert got.endswith(b"\r\n\r\nonetwo")
    assert b"chunked" not in got


def test_stream_is_chunked(port):
    got = raw(port, b"GET /stream HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    assert got.endswith(b"\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")
    assert httpx.get(f"http://127.0.0.1:{port}/stream").text == "onetwo"
    assert httpx.head(f"http://127.0.0.1:{port}/stream").text == ""


def test_no_content_has_none(port):
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        for _ in range(2):
            answer = client.get("/204")
            assert (answer.status_code, answer.content) == (204, b"")


def test_expect_continue(port):
    with socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
        sock.sendall(
            b"POST / HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n"
        )
        assert sock.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"hi")
        assert b'"body": "hi"' in sock.recv(10_000)


def test_a_body_nobody_asked_for_does_not_become_a_request(port):
    """An unread body is skipped; an unsent one (100-continue refused) ends the connection."""
    unread = b"POST /unread HTTP/1.1\r\nhost: x\r\ncontent-length: 200000\r\n\r\n" + b"G" * 200_000
    with socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
        sock.sendall(unread + POST)
        got = b""
        while b'"abc"' not in got:
            got += sock.recv(65536)
    assert got.count(b"HTTP/1.1 200") == 2
    head = b"POST /unread HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n"
    assert b"connection: close" in raw(port, head)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nbad header\r\n\r\n", b"400"),
        (b"GET /\xff HTTP/1.1\r\nhost: x\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nx: ".ljust(2**16 + 1, b"y"), b"431"),  # all of it is read
    ],
)  # fmt: skip
def test_what_is_no_request(port, data, status):
    with socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
        sock.sendall(data)
        got = sock.recv(65536)
    assert got.startswith(b"HTTP/1.1 " + status)
    assert b"connection: close" in got


def test_a_body_of_many_small_parts_is_buffered_in_no_time():
    """A sum over all of them at each of them would take a quarter of a minute."""

    class Connection:
        def read_no_more(self):
            full.append(True)

    class Counted(bytes):
        def __len__(self):
            nonlocal asked
            asked += 1
            return 1

    full, asked = [], 0
    turn = Turn(Connection(), {"headers": [], "http_version": "1.1", "method": "POST"}, True)
    for _ in range(BUFFERED_BYTES):
        turn.feed(Counted(b"x"))
    assert not full
    turn.feed(b"x")
    assert full
    assert asked == BUFFERED_BYTES


CHUNKED = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n"


def test_trailers_are_no_headers():
    async def names(scope, receive, send):
        if scope["type"] != "http":
            return await app(scope, receive, send)
        await whole(receive)
        await reply(send, b" ".join(name for name, _ in scope["headers"]))

    with serving(names) as port:
        got = raw(port, CHUNKED + b"0\r\nauthorization: x\r\n\r\n" + POST, 2)
    assert bodies(got) == [b"host transfer-encoding", b"host content-length"]


@pytest.mark.parametrize("begun", [b"0\r\na: ", b"0\r\na: b\r\nc: ", b"1;"])
def test_what_comes_beside_a_body_is_bounded(port, begun):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
        sock.sendall(CHUNKED)
        with contextlib.suppress(ConnectionError):  # closed with something unread
            sock.sendall(begun + b"x" * 500_000)  # more than one read takes
            assert sock.recv(100).startswith(b"HTTP/1.1 431 ")


def test_a_head_must_come_in_time(monkeypatch):
    monkeypatch.setattr(protocol, "HEAD_S", 0.05)
    with serving(app, timeout_keep_alive=60) as port:
        with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
            sock.sendall(POST + b"POST / HTTP/1.1\r\nhost: x")
            assert bodies(b"".join(iter(lambda: sock.recv(65536), b"")))


def test_absolute_and_odd_targets(port):
    assert b'"path": "/a b"' in raw(port, b"GET http://x/a%20b?c HTTP/1.1\r\nhost: x\r\n\r\n")
    assert raw(port, b"OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n").startswith(b"HTTP/1.1 ")


def test_upgrades_are_answered_as_plain_requests(port):
    head = b"GET /h2 HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: h2c\r\n\r\n"
    assert b'"path": "/h2"' in raw(port, head)


@pytest.mark.parametrize("path", ["/injected", "/nothing"])
def test_mistakes_of_the_application(port, path, caplog):
    assert httpx.get(f"http://127.0.0.1:{port}{path}").status_code == 500
    assert "set-cookie" not in httpx.get(f"http://127.0.0.1:{port}{path}").headers


def test_a_wrong_length_is_no_whole_answer(port, caplog):
    with pytest.raises(httpx.HTTPError):
        httpx.get(f"http://127.0.0.1:{port}/long")
    assert httpx.get(f"http://127.0.0.1:{port}/again").text == "once"


def test_close_by_the_application(port):
    assert raw(port, b"GET /close HTTP/1.1\r\nhost: x\r\n\r\n").count(b"connection: close") == 1


def test_idle_connections_end(port):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
        assert sock.recv(10) == b""


def test_a_slow_reader_holds_the_writer_back():
    written = 0

    async def flood(scope, receive, send):
        nonlocal written
        if scope["type"] != "http":
            return await app(scope, receive, send)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            while True:
                await send({"type": "http.response.body", "body": b"x" * 10_000, "more_body": True})
                written += 1
                await asyncio.sleep(0)
        finally:
            ended.set()

    ended = threading.Event()
    with serving(flood) as port:
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.connect(("127.0.0.1", port))
            sock.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            before = -1
            while before != written or not written:  # until it stands still
                before = written
                time.sleep(0.1)
            assert written < 2000  # kernel buffers, and 64 KiB of ours
        assert ended.wait(10)  # the client went away: `send` raises


def test_shutdown_finishes_what_is_being_answered():
    inside = threading.Event()

    async def slow(scope, receive, send):
        if scope["type"] != "http":
            return await app(scope, receive, send)
        inside.set()
        await asyncio.sleep(0.2)
        await reply(send, b"slow")

    with socket.socket() as sock:
        sock.settimeout(5)
        with serving(slow) as port:
            sock.connect(("127.0.0.1", port))
            sock.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            assert inside.wait(5)
        got = b"".join(iter(lambda: sock.recv(65536), b""))  # the server has ended
    assert got.endswith(b"slow")
    assert b"connection: close" in got


@pytest.mark.parametrize(
    ("coding", "rest"),
    [(b"0", b""), (b"gzip", b"abc"), (b"chunked", b"zz\r\nabc\r\n"), (b"chunked", b"1\r\nabc\r\n")],
)
def test_a_body_that_cannot_end_is_refused_in_words(port, coding, rest):
    """RFC 9112, 6.3: no length can be found; 400, and the connection ends."""
    data = b"POST /p HTTP/1.1\r\nhost: x\r\ntransfer-encoding: %b\r\n\r\n%b" % (coding, rest)
    got = raw(port, data)
    assert got.startswith(b"HTTP/1.1 400 ")
    assert got.count(b"HTTP/1.1") == 1
    assert b"bad_request" in got
