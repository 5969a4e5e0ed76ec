import io
import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from descent.deploy.jobs.documents import DocumentError, values


def read(data: bytes, limit: int = 1000, piece: int = 1 << 16) -> list[bytes]:
    stream = io.BytesIO(data)
    return list(values(lambda size: stream.read(min(size, piece)), "in.json", limit))


@pytest.mark.parametrize(
    "data",
    [
        b'{"a": 1}\n[2, 3]\n"x"\n4\n',
        b'{"a": 1}[2, 3]"x" 4',
        b'  {"a": 1}\r\n\r\n[2, 3]\t"x"\n\n4',
        b'\xef\xbb\xbf{"a": 1}\n[2, 3]\n"x"\n4\n',
        b'{\n "a":\n 1\n}\n[2,\n3]\n"x"\n4\n',
    ],
)
@pytest.mark.parametrize("piece", [1, 2, 3, 7, 1 << 16])
def test_values_however_they_are_set_down(data, piece):
    assert [json.loads(v) for v in read(data, piece=piece)] == [{"a": 1}, [2, 3], "x", 4]


def test_numbers_are_kept_as_they_were_written():
    assert read(b"1.10\n123456789012345678901234567890\n1E5\n-0.0") == [
        b"1.10",
        b"123456789012345678901234567890",
        b"1E5",
        b"-0.0",
    ]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b'{"a": 1}\n{"a" 2, "b": 3, "c": 4, "d": 5}\n', "line 2"),
        (b'{"a": 1}\n{"a": ', "line 2"),
        (b'{"a": 1}\n"not ended\n\n', "line 2.*(Unterminated|control character)"),
        (b"1\n2\nNaN\n", "line 3.*NaN is no JSON"),
        (b'"\xff"', "not UTF-8"),
        (b"1, 2", "line 1"),
        (b"[" * 100_000, "more than 1000 bytes|recursion"),
        (b'"' + b"x" * 1200 + b'"', "more than 1000 bytes"),
        ('"é"'.encode()[:-2], "not UTF-8"),
        (b'"' + "é".encode() * 600 + b'"', "more than 1000"),  # bytes, not characters
    ],
)
@pytest.mark.parametrize("piece", [5, 1 << 16])
def test_what_is_wrong_is_said_with_its_line(data, said, piece):
    with pytest.raises(DocumentError, match=said):
        read(data, piece=piece)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@example([-1.0e-200, 2e300, "\U0001f600"], 1, False)
@given(st.lists(JSON, max_size=8), st.integers(1, 40), st.booleans())
def test_whatever_was_written_is_read(items, piece, indented):
    text = "\n".join(json.dumps(item, indent=2 if indented else None) for item in items)
    found = [json.loads(v) for v in read(text.encode("utf-8", "replace"), 10**6, piece)]
    assert found == json.loads(json.dumps(items))
