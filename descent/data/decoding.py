"""Bytes of unknown encoding to text: byte order marks, UTF-8, UTF-16, and Latin-1 as a last resort.

Every byte string is valid Latin-1, so what is not text is told first, by NUL bytes and control
characters. Left out: statistical guessing between the one-byte encodings.
"""

import codecs
import re

__all__ = ["NotText", "decode_text"]

_MARKS = (  # the UTF-32 mark begins with the UTF-16 one, so it is asked first
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CONTROL = re.compile(rb"[\x00-\x06\x0e-\x1a\x1c-\x1f\x7f]")
_MOST_CONTROL = 0.02  # ANSI colours and form feeds occur in text; compressed data has 10 % and more


class NotText(Exception):
    """These bytes are no text; the argument says why."""


def decode_text(data: bytes, *, cut: bool = False) -> tuple[str, str]:
    """The text in `data`, with newlines as \\n, and the encoding it was in.

    Args:
        cut: the data ends in the middle of a file; a half character at its end is dropped.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return _strict(data, encoding, cut), encoding
    if b"\0" in data:
        return _unmarked_utf16(data, cut)
    if _mostly_control(data):
        raise NotText("binary: too many control characters")
    try:
        return _strict(data, "utf-8", cut), "utf-8"
    except NotText:
        return _damaged(data)


def _strict(data: bytes, encoding: str, cut: bool) -> str:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        text = decoder.decode(data, final=not cut)
    except UnicodeDecodeError as error:
        raise NotText(f"not {encoding}: byte offset {error.start}, {error.reason}") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _unmarked_utf16(data: bytes, cut: bool) -> tuple[str, str]:
    """UTF-16 of mostly Latin text has its zero bytes all on one side of each pair."""
    even, odd = data[0::2].count(0), data[1::2].count(0)
    if min(even, odd) == 0 and max(even, odd) > 0.4 * (len(data) // 2):
        encoding = "utf-16-le" if odd else "utf-16-be"
        try:
            text = _strict(data, encoding, cut)
        except NotText:
            text = "\1"
        if not _mostly_control(text.encode()):
            return text, encoding
    raise NotText(f"binary: a zero byte at offset {data.index(0)}")


def _mostly_control(data: bytes) -> bool:
    return len(_CONTROL.findall(data)) > _MOST_CONTROL * len(data)


def _damaged(data: bytes) -> tuple[str, str]:
    """Not valid UTF-8: UTF-8 with a few broken places, or else Latin-1."""
    text = data.decode("utf-8", errors="replace")
    bad = text.count("\ufffd")
    good = len(text) - len(re.findall(r"[\x00-\x7f]", text)) - bad
    if good > bad:
        encoding = f"utf-8 with {bad} broken places replaced"
    else:
        text, encoding = data.decode("latin-1"), "latin-1"
    return text.replace("\r\n", "\n").replace("\r", "\n"), encoding
