"""The protocol-buffer wire format, read: just enough for a sentence-piece `tokenizer.model`.

A message is a row of fields: a varint key `number << 3 | wire type`, then a varint (0), 8 bytes
(1), a length and that many bytes (2), or 4 bytes (5). protobuf.dev, "Encoding". Left out: groups.
"""

from collections.abc import Iterator

from descent.data.errors import DataError

__all__ = ["fields", "varint"]


def fields(data: memoryview, start: int = 0) -> Iterator[tuple[int, int | memoryview]]:
    """(field number, value) of each field in `data`; a value of wire type 1, 2 or 5 is bytes.

    Raises DataError with the byte offset (`start` is that of `data` in its file).
    """
    at = 0
    while at < len(data):
        began = at
        key, at = varint(data, at, start)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = varint(data, at, start)
            yield number, value
            continue
        if wire == 2:
            size, at = varint(data, at, start)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise DataError(f"byte {start + began}: wire type {wire} is no protocol-buffer field")
        if size > len(data) - at:
            raise DataError(
                f"byte {start + began}: a field of {size} bytes, but only {len(data) - at} follow"
            )
        yield number, data[at : at + size]
        at += size


def varint(data: memoryview | bytes, at: int, start: int = 0) -> tuple[int, int]:
    """The number beginning at byte `at` of `data`, and where it ends (7 bits a byte, low first)."""
    value = shift = 0
    began = at
    while at < len(data) and shift < 70:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
    raise DataError(f"byte {start + began}: a number that does not end")
