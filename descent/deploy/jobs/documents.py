"""A stream of JSON values from a file: one a line, or one after another as Go's decoder reads them.

    {"a": 1}⏎{"a": 2}⏎       {"a": 1}{"a": 2}       [1, 2] [3, 4]
Each value is kept as the bytes it was written in: no number is rounded on its way to a service.
Memory: one value, at most `limit_bytes`. Left out: UTF-16; JSON5; commas between values.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["DocumentError", "values"]

PIECE_BYTES = 1 << 16
NEAR_END = 16  # characters: a number or a literal (true, -1.5e) may be cut there


class DocumentError(ValueError):
    """What is wrong in a file, with its line."""


class _Wrong(Exception):
    def __init__(self, message: str, at: int):
        super().__init__(message)
        self.at = at


def _refuse(word: str) -> Any:
    raise ValueError(f"{word} is no JSON")


DECODER = json.JSONDecoder(parse_constant=_refuse)


def values(read: Callable[[int], bytes], name: str, limit_bytes: int) -> Iterator[bytes]:
    """The values of the file `name`, whose bytes `read(size)` gives, each up to `limit_bytes`.

    Raises `DocumentError` naming file and line.
    """
    text, line, ended = "", 1, False
    decode = codecs.getincrementaldecoder("utf-8-sig")().decode
    while not ended:
        piece = read(PIECE_BYTES)
        ended = not piece
        try:
            text += decode(piece, ended)
        except UnicodeDecodeError as error:
            raise DocumentError(f"{name}, about line {line}: not UTF-8 ({error.reason})") from None
        at = 0
        while True:
            try:
                value, end = _next(text, at, ended)
            except _Wrong as wrong:
                raise DocumentError(
                    f"{name}, line {_line(text, wrong.at, line)}: {wrong}"
                ) from None
            if value is None:
                break
            if len(value) > limit_bytes:
                raise DocumentError(_too_large(name, _line(text, at, line), limit_bytes))
            yield value
            at = end
        line, text = _line(text, at, line), text[at:]
        if len(text) > limit_bytes:
            raise DocumentError(_too_large(name, line, limit_bytes))


def _next(text: str, at: int, ended: bool) -> tuple[bytes | None, int]:
    """The value that begins at or after `at` and where it ends; None: more is needed, or no more
    is there."""
    while at < len(text) and text[at] in " \t\r\n":
        at += 1
    if at == len(text):
        return None, at
    try:
        _, end = DECODER.raw_decode(text, at)
    except json.JSONDecodeError as error:
        cut = error.pos > len(text) - NEAR_END or error.msg.startswith("Unterminated string")
        if cut and not ended:
            return None, at
        raise _Wrong(error.msg, error.pos) from None
    except (ValueError, RecursionError) as error:
        raise _Wrong(str(error), at) from None
    if end >= len(text) - 2 and not ended and text[end - 1] not in '}]"':
        return None, at  # 12 may go on as 123, 1.5e as 1.5e10
    return text[at:end].encode(), end


def _line(text: str, at: int, first: int) -> int:
    return first + text.count("\n", 0, at)


def _too_large(name: str, line: int, limit_bytes: int) -> str:
    return (
        f"{name}, line {line}: a value of more than {limit_bytes} bytes; a batch, and so an item, "
        "must be smaller"
    )
