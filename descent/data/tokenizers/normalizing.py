"""What `tokenizer.json` calls the normalizer: text rewritten before it is cut into words.

Known: Sequence, NFC, NFD, NFKC, NFKD, Prepend, Replace, Strip, Lowercase. Left out: the BERT and
T5 families (BertNormalizer, Precompiled, StripAccents, Nmt).
"""

import unicodedata
from collections.abc import Callable
from functools import partial

from descent.data.errors import DataError
from descent.data.tokenizers.splits import Splitter

__all__ = ["Rewrite", "rewriting", "text_or_regex"]

Rewrite = Callable[[str], str]
_WHITE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(
    map(chr, range(0x2000, 0x200B))
)


def rewriting(spec: dict | None) -> Rewrite | None:
    """The function a normalizer's JSON stands for; None where there is nothing to do."""
    if spec is None:
        return None
    kind = spec.get("type")
    if kind == "Sequence":
        steps = [step for each in spec["normalizers"] if (step := rewriting(each)) is not None]
        return partial(_in_turn, steps) if steps else None
    if kind in ("NFC", "NFD", "NFKC", "NFKD"):
        return partial(unicodedata.normalize, kind)
    if kind == "Prepend":
        prefix = spec["prepend"]
        return lambda text: prefix + text if text else text
    if kind == "Replace":
        return _replacing(spec["pattern"], spec["content"])
    if kind == "Strip":
        return partial(_strip, left=spec["strip_left"], right=spec["strip_right"])
    if kind == "Lowercase":
        return str.lower
    raise DataError(
        f"normalizer {kind!r} is not known here; known are Sequence, NFC, NFD, NFKC, NFKD, "
        "Prepend, Replace, Strip and Lowercase"
    )


def _in_turn(steps: list[Rewrite], text: str) -> str:
    for step in steps:
        text = step(text)
    return text


def _strip(text: str, left: bool, right: bool) -> str:
    text = text.lstrip(_WHITE) if left else text
    return text.rstrip(_WHITE) if right else text


def text_or_regex(pattern: dict) -> tuple[str | None, Splitter | None]:
    """A pattern is {"String": …} or {"Regex": …}."""
    if isinstance(pattern.get("String"), str):
        return pattern["String"], None
    if isinstance(pattern.get("Regex"), str):
        return None, Splitter(pattern["Regex"])
    raise DataError(f'a pattern must be {{"String": …}} or {{"Regex": …}}, not {pattern!r}')


def _replacing(pattern: dict, content: str) -> Rewrite:
    plain, regex = text_or_regex(pattern)
    if regex is None:
        assert plain is not None
        return lambda text: text.replace(plain, content)

    def replace(text: str) -> str:
        parts, end = [], 0
        for start, stop in regex.spans(text):
            parts += [text[end:start], content]
            end = stop
        return "".join([*parts, text[end:]])

    return replace
