"""Where text without a pre-tokenizer may be cut: places no token of the vocabulary reaches across.

A merge joins two neighbours into a token, so when no token has `x▁` inside, nothing is ever merged
across that place, and the two sides can be encoded apart, with the same ids. Sentence-piece
vocabularies begin words with ▁ and seldom mix letters with anything else; which of this a
vocabulary keeps is found by trying the cuts on all of its tokens.
"""

import re
from collections.abc import Collection

__all__ = ["border_pattern"]

_SPACE = "▁"
_LETTER = r"[^\W\d_]"
_OTHER = rf"(?:[\d_]|[^\w\n{_SPACE}])"
# Each cuts by looking at two neighbouring characters alone, the finest first.
_CUTS = tuple(
    re.compile(pattern)
    for pattern in (
        rf"{_SPACE}*{_LETTER}+|{_SPACE}*{_OTHER}+|\n|{_SPACE}+",
        rf"{_SPACE}*[^{_SPACE}\n]+|\n|{_SPACE}+",
        rf"{_SPACE}*[^{_SPACE}]+|{_SPACE}+",
    )
)


def border_pattern(made: Collection[str], *, unknown: bool) -> re.Pattern | None:
    """A pattern whose matches, end to end, are pieces that can be encoded apart.

    Args:
        made: all tokens that merges make.
        unknown: neighbouring unknown characters may become one unknown token; then only ▁, which
            must be known, is a border.

    Returns:
        None where the vocabulary keeps no such border.
    """
    for cut in _CUTS[2:] if unknown else _CUTS:
        if all(cut.fullmatch(token) for token in made):
            return cut
    glued = {t[i - 1] for t in made for i in range(1, len(t)) if t[i] == _SPACE}
    if len(glued) > 100:
        return None
    joins = "".join(re.escape(char) for char in sorted(glued))
    return re.compile(rf".(?:[^{_SPACE}]|(?<=[{joins}]){_SPACE})*", re.DOTALL)
