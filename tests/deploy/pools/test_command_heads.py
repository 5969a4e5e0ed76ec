"""The head of a request to a process: nothing in a path can add to it."""

import pytest

from descent.deploy.pools.command_heads import head_of


@pytest.mark.parametrize(
    ("raw", "seen"),
    [
        (b"/a%20b/%0d%0a", b"/a%20b/%0d%0a"),  # as it came
        (b"/a b\r\nx-descent-context: []\r\n\r\n", b"/a%20b%0D%0Ax-descent-context:%20[]%0D%0A%0D%0A"),
        ("/straße".encode(), b"/stra%C3%9Fe"),
    ],
)  # fmt: skip
def test_a_path_stays_one_word_of_the_first_line(raw, seen):
    scope = {
        "method": "GET",
        "path": "/",
        "raw_path": raw,
        "query_string": b"q=1%0a",
        "headers": [],
    }
    first, *_ = head_of(scope, 0, False, plain=False).split(b"\r\n")
    assert first == b"GET " + seen + b"?q=1%0a HTTP/1.1"
    assert head_of(scope, 0, False, plain=False).count(b"x-descent-context: ") == 0
