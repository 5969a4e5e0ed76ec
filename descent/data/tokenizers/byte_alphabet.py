"""GPT-2's printable alphabet: a character for each byte, so that a vocabulary file can be read.

A visible byte is its own character; the other 68 are U+0100 onwards, in order: a space is Ġ, a
newline Ċ. github.com/openai/gpt-2, src/encoder.py.
"""

__all__ = ["ALPHABET", "from_alphabet", "to_alphabet"]


def _characters() -> list[str]:
    visible = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    spare = iter(range(0x100, 0x200))
    return [chr(byte if byte in visible else next(spare)) for byte in range(256)]


ALPHABET = _characters()  # byte → character
_BYTES = {char: byte for byte, char in enumerate(ALPHABET)}
_TABLE = {byte: char for byte, char in enumerate(ALPHABET) if ord(char) != byte}


def to_alphabet(data: bytes) -> str:
    """One character a byte."""
    return data.decode("latin-1").translate(_TABLE)


def from_alphabet(token: str) -> bytes:
    """The inverse; a token with any other character (an added one) is plain text."""
    try:
        return bytes([_BYTES[char] for char in token])
    except KeyError:
        return token.encode("utf-8")
