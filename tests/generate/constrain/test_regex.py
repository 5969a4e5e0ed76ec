import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from descent.generate.constrain import ConstraintError
from descent.generate.constrain.language import chars
from descent.generate.constrain.utf8 import byte_sequences
from tests.generate.constrain.texts import automaton, random_text, takes

PATTERNS = [
    "abc", "a|b|cd", "(ab)*c?", "[a-c]+[^a-c]", r"\d{2,4}-\w+", r"(a|b){3}", "x{2,}", "(a*)*b",
    r"\[\]\\\.\$", "[]x-]+", "[^\\d\\s]", ".", r"é+[à-ü]?", r"\x41\u00e9", "(?:a|)(?P<n>b)", "",
    "a{0}b", "(|a)+", r"[\w.+-]+@[\w-]+\.[a-z]{2,3}", "日本[語人]?|😀+", r"\S*\s\D\W", "a??b+?",
]  # fmt: skip


@pytest.mark.parametrize("pattern", PATTERNS)
def test_random_texts_match_as_python_matches(pattern):
    machine = automaton(regex=pattern) if pattern else None
    if machine is None:
        return
    for seed in range(40):
        text = random_text(machine, seed, 30)
        assert re.fullmatch(pattern, text, re.ASCII), text
        assert takes(machine, text)


@given(
    pattern=st.sampled_from([p for p in PATTERNS if p]),
    text=st.text("abcd12-.[]x$\\ é日本語😀@\n_", max_size=6),
)
@settings(max_examples=400, deadline=None)
def test_exactly_what_python_matches(pattern, text):
    assert takes(automaton(regex=pattern), text) == bool(re.fullmatch(pattern, text, re.ASCII))


@given(low=st.integers(0, 0x10FFFF), size=st.integers(0, 0x3000), other=st.integers(0, 0x10FFFF))
@settings(max_examples=200, deadline=None)
def test_utf8_ranges_hold_exactly_their_characters(low, size, other):
    high = min(low + size, 0x10FFFF)
    sequences = byte_sequences(chars([(low, high)]).ranges)

    def member(code):
        data = chr(code).encode("utf-8", "surrogatepass")
        return sum(
            len(s) == len(data) and all(a <= x <= b for (a, b), x in zip(s, data))
            for s in sequences
        )

    for code in {low, high, (low + high) // 2, other, max(low - 1, 0)}:
        surrogate = 0xD800 <= code <= 0xDFFF
        assert member(code) == (low <= code <= high and not surrogate)


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("a(b", "a ( is not closed at character 1"),
        ("a)b", "a ) without its ( at character 1"),
        ("*a", "* has nothing to repeat at character 0"),
        ("[ab", "a [ is not closed at character 0"),
        ("a(?=b)", "look-around"),
        (r"(a)\1", r"\1 is not supported at character 3"),
        (r"\bx", r"\b is not supported"),
        ("a{3,2}", "at least 3 and at most 2"),
        ("a{x}", "{ needs"),
        ("[b-a]", "from one character up to another"),
        ("a^b", "^ is only supported at the beginning"),
        ("a$b", "$ is only supported at the end"),
        (r"\xZZ", "2 hexadecimal digits"),
        ("a\\", "a single backslash"),
        ("(a{60}){60}{100}", "more than 300,000 states"),
    ],
)
def test_what_cannot_be_kept_to_is_refused_with_its_place(pattern, words):
    with pytest.raises(ConstraintError) as refused:
        automaton(regex=pattern)
    assert words in str(refused.value)


def test_choices():
    machine = automaton(choice=("yes", "no", "not sure", "größer"))
    for text in ("yes", "no", "not sure", "größer"):
        assert takes(machine, text)
    for text in ("y", "yesno", "not", "grö"):
        assert not takes(machine, text)
    with pytest.raises(ConstraintError, match="empty"):
        automaton(choice=("a", ""))
