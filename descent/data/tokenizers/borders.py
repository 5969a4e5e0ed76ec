"""Where text without a pre-tokenizer may be cut: places no token of the vocabulary reaches across.

A merge joins two neighbours into a token, so when no token has `x▁` inside, nothing is ever merged
across that place, and the two sides can be encoded apart, with the same ids. Sentence-piece
vocabularies begin words with ▁, and most of them never use it elsewhere.
"""

import re
from collections.abc import Iterable

__all__ = ["border_pattern"]

_SPACE = "▁"


def border_pattern(tokens: Iterable[str], *, unknown: bool) -> re.Pattern | None:
    """A pattern whose matches, end to end, are pieces that can be encoded apart.

    `unknown`: neighbouring unknown characters may become one unknown token (then a newline, which
    may be unknown, is no border). None: the vocabulary has no such border.
    """
    known = set(tokens)
    if _SPACE not in known:
        return None
    glued = {t[i - 1] for t in known for i in range(1, len(t)) if t[i] == _SPACE}
    newline = not unknown and not any("\n" in t and len(t) > 1 for t in known)
    if glued <= {_SPACE}:
        return re.compile(
            rf"{_SPACE}*[^{_SPACE}\n]+|\n|{_SPACE}+"
            if newline
            else rf"{_SPACE}*[^{_SPACE}]+|{_SPACE}+"
        )
    joins = "".join(re.escape(char) for char in sorted(glued))
    return re.compile(rf".(?:[^{_SPACE}]|(?<=[{joins}]){_SPACE})*", re.DOTALL)
