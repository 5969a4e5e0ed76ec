"""A vocabulary as lines for people: bytes shown as text, control characters escaped."""

import unicodedata
from collections.abc import Mapping

__all__ = ["render_token", "vocab_lines"]


def render_token(token: bytes) -> str:
    """`token` as printable text: what is not UTF-8 becomes U+FFFD, control characters \\uXXXX."""
    text = token.decode("utf-8", errors="replace")
    return "".join(
        f"\\u{ord(char):04x}" if unicodedata.category(char)[0] == "C" else char for char in text
    )


def vocab_lines(vocab: Mapping[int, bytes], merges: Mapping[tuple[int, int], int]) -> list[str]:
    """`[token] id` for each token, `[left][right] -> [token] id` for one made by a merge."""
    parents = {token: pair for pair, token in merges.items()}
    lines = []
    for token, text in vocab.items():
        line = f"[{render_token(text)}] {token}"
        if token in parents:
            left, right = (render_token(vocab[part]) for part in parents[token])
            line = f"[{left}][{right}] -> {line}"
        lines.append(line)
    return lines
