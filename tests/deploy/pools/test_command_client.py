"""The lean HTTP client: what servers do that a proxy must survive, without a process."""

import asyncio
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from descent.deploy.pools.command_client import HEAD_BYTES, Client, UpstreamError


@contextlib.asynccontextmanager
async def served(handle):
    """A server that gives (reader, writer) of each connection to `handle`; yields its client."""
    tasks = []

    async def connected(reader, writer):
        tasks.append(asyncio.current_task())
        try:
            await handle(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    client = Client(server.sockets[0].getsockname()[:2])
    try:
        yield client
    finally:
        client.close()
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def ask(client, request=b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", head_only=False):
    connection = await client.connection()
    try:
        connection.begin(request, head_only=head_only)
        await connection.head()
        parts = []
        while piece := await connection.piece():
            parts.append(piece)
        return connection.status, b"".join(parts), connection
    finally:
        client.give_back(connection)


def replies(*pieces, close=True):
    async def handle(reader, writer):
        while await reader.readuntil(b"\r\n\r\n"):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
            if close:
                return

    return handle


@given(
    body=st.binary(max_size=300),
    cuts=st.lists(st.integers(1, 50), max_size=30),
    chunked=st.sampled_from(["length", "chunks", "end"]),
)
def test_an_answer_may_come_in_any_pieces(body, cuts, chunked):
    if chunked == "length":
        data = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    elif chunked == "chunks":
        half = len(body) // 2
        parts = [part for part in (body[:half], body[half:]) if part]
        chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
        data = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
    else:
        data = b"HTTP/1.1 200 OK\r\n\r\n" + body
    pieces = []
    for cut in cuts:
        pieces.append(data[:cut])
        data = data[cut:]
    pieces.append(data)

    async def main():
        async with served(replies(*pieces)) as client:
            status, got, _ = await ask(client)
            assert (status, got) == (200, body)

    asyncio.run(main())


OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


def test_connections_are_kept_and_used_again():
    async def main():
        async with served(replies(OK, close=False)) as client:
            _, _, first = await ask(client)
            _, _, second = await ask(client)
            assert first is second
            assert first.used == 2
            _, body, head = await ask(client, b"HEAD / HTTP/1.1\r\n\r\n", head_only=True)
            assert body == b""
            _, _, third = await ask(client)
            assert third is not head  # a parser that waits for a body cannot be used again
            third.idle_since -= 5
            assert (await ask(client))[2] is not third  # idle for too long

    asyncio.run(main())


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
        OK.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"),
        OK + b"extra",
    ],
)
def test_connections_that_may_not_be_kept(answer):
    async def main():
        async with served(replies(answer, close=False)) as client:
            status, body, first = await ask(client)
            assert (status, body) == (200, b"ok")
            await asyncio.sleep(0.01)
            assert (await ask(client))[2] is not first

    asyncio.run(main())


@pytest.mark.parametrize(
    ("pieces", "said", "fresh"),
    [
        ([], "it closed the connection", True),
        ([b"HTTP/1.1 200 OK\r\n"], "it closed the connection", True),
        ([b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"], "in mid-answer", False),
        (
            [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n"],
            "in mid-answer",
            False,
        ),
        ([b"hello\r\n\r\n"], "it is not HTTP", True),
        ([b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * HEAD_BYTES], "its head is over", True),
        ([b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"], "it is not HTTP", False),
    ],
)
def test_broken_answers(pieces, said, fresh):
    async def main():
        async with served(replies(*pieces)) as client:
            with pytest.raises(UpstreamError, match=said) as caught:
                await ask(client)
            assert caught.value.fresh == fresh

    asyncio.run(main())


def test_an_answer_nobody_reads_is_not_piled_up():
    sent = 0

    async def handle(reader, writer):
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()
            sent += 65536

    async def main():
        async with served(handle) as client:
            connection = await client.connection()
            connection.begin(b"GET / HTTP/1.1\r\n\r\n")
            await connection.head()
            before = -1
            while before != sent:  # until the socket's own buffers are full
                before = sent
                await asyncio.sleep(0.1)
            assert connection._waiting < 1 << 20
            assert await connection.piece()
            await asyncio.sleep(0.1)
            assert sent > before  # and it goes on when somebody reads
            client.give_back(connection)

    asyncio.run(main())


def test_an_upload_waits_for_the_server():
    async def main():
        read = asyncio.Event()

        async def handle(reader, writer):
            await read.wait()
            await reader.readexactly(8 << 20)
            writer.write(OK)
            await writer.drain()

        async with served(handle) as client:
            connection = await client.connection()
            connection.begin(b"")
            connection.write(b"x" * (8 << 20))
            waiting = asyncio.ensure_future(connection.drained())
            await asyncio.sleep(0.05)
            assert not waiting.done()
            read.set()
            await waiting
            await connection.head()
            assert connection.status == 200
            client.give_back(connection)

    asyncio.run(main())


def test_nothing_listens():
    async def main():
        with pytest.raises(OSError, match="Connect call failed"):
            await Client(("127.0.0.1", 1)).connection()

    asyncio.run(main())
