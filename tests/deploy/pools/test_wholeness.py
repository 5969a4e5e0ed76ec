"""What a client gets of an answer whose process dies in the middle: a short one whole or not at all."""

import asyncio
import json
from types import SimpleNamespace

import pytest

from descent.deploy.asking import ask
from descent.deploy.pool import Context
from descent.deploy.pools.command_client import UpstreamError
from descent.deploy.pools.command_proxy import Proxy
from descent.deploy.pools.wholeness import SHORT_BYTES
from tests.deploy.pools.test_command_client import replies, served


def asked(pieces, method="POST"):
    """The answer of a proxy before a server that writes these pieces and closes."""

    async def main():
        async with served(replies(*pieces)) as client:
            replica = SimpleNamespace(client=client, ready=True, in_flight=0, reason="")
            return await ask(
                Proxy("echo", [replica]), "/", b"x", context=Context("r"), method=method
            )

    return asyncio.run(main())


def head(length):
    return b"HTTP/1.1 201 Made\r\ncontent-length: %d\r\nx-own: 1\r\n\r\n" % length


def test_a_short_answer_comes_as_it_is():
    answer = asked([head(4), b"ab", b"cd"])
    assert (answer.status, answer.headers["x-own"], answer.body) == (201, "1", b"abcd")
    assert (asked([head(0)]).status, asked([head(4)], "HEAD").body) == (201, b"")
    long = b"x" * (SHORT_BYTES + 1)
    assert asked([head(len(long)), long]).body == long


@pytest.mark.parametrize("pieces", [[head(4)], [head(4), b"abc"], [head(SHORT_BYTES), b"ab"]])
def test_one_that_is_cut_short_is_a_502(pieces):
    answer = asked(pieces)
    assert (answer.status, answer.headers["retry-after"]) == (502, "1")
    assert json.loads(answer.body)["error"]["code"] == "upstream_failed"


@pytest.mark.parametrize(
    "pieces",
    [
        [head(SHORT_BYTES + 1), b"ab"],
        [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n"],
    ],
)
def test_a_long_one_and_a_stream_are_broken_off(pieces):
    with pytest.raises(UpstreamError, match="in mid-answer"):
        asked(pieces)
