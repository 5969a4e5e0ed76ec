"""Text that tokenizers get wrong: one strategy for all of their oracle tests."""

import textwrap
from pathlib import Path

from hypothesis import strategies as st

# White space of every kind, contractions and their odd capitals (ſ, K), digits that are no digits,
# combining marks, emoji sequences, private characters, NUL, the sentence-piece space.
CHARACTERS = (
    "  \t\n\r\x0b\x1c\x1f\x85\xa0\u1680\u2028\u200b\u3000''''sSſtTdDmMlLvVeErRKk._:()[]{}012३¼²Ⅷ"
    "aéßﬁǅ漢字あ한\u0301\u0903\u200d\ufe0f🙂👍🏽𝔘𝟙\U00016d40\U0010ffff\ue000\0▁abcabc"
)
WORDS = [
    "'ll", "'RE", "    ", "\r\n", "12345", "hello world", " the", "▁▁", "<0x0A>", "the  the  ",
    "<|endoftext|>", "<|im_start|>", "<tool>", "Rome", "xRome", "<mask>", " <mask> ", "<r>  ",
    "<s>", "</s>", "<unk>", "<sep>", "<c>", "1234567", "I'll've", "don'T", "  \n  ", "안녕", "👩‍👩‍👧‍👦",
]  # fmt: skip
# Characters assigned after this Python's Unicode have no agreed class, surrogates no UTF-8.
_ANY = st.characters(exclude_categories=["Cs", "Cn"])
ADVERSARIAL = st.lists(
    st.one_of(st.sampled_from(CHARACTERS), st.sampled_from(WORDS), _ANY), max_size=30
).map("".join)
LONG = [
    "a" * 500, "é" * 300, " " * 300, "漢" * 300, "=" * 300, "", " ", "  a  b  ", "ab" * 200, "▁" * 99,
]  # fmt: skip
CODE = Path(textwrap.__file__).read_text(encoding="utf-8")
MIXED = "naïve café 漢字 かな 한국어 🙂👍🏽 ﬁ 1234 ١٢٣ é\u0301 " * 20
