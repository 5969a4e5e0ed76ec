import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from descent.generate.stopping import StopStrings


def test_find_takes_the_one_complete_first():
    stops = StopStrings(["END", "\n\n"])
    assert stops.find("a\n\nEND") == (1, 3)
    assert stops.find("a\nEN") is None
    assert StopStrings(["a", "!aa"]).find("x!aa") == (2, 3)
    assert StopStrings(["a", "!a"]).find("x!aa") == (1, 3)


def test_held_is_the_longest_possible_beginning():
    stops = StopStrings(["abab!", "b!"])
    assert stops.held("xxabab") == 4
    assert stops.held("xxaba") == 3
    assert stops.held("xx") == 0
    assert StopStrings([]).held("anything") == 0


def test_an_empty_stop_is_refused():
    with pytest.raises(ValueError, match="empty"):
        StopStrings(["a", ""])


@given(
    text=st.text("ab!", max_size=40),
    stops=st.lists(st.text("ab!", min_size=1, max_size=4), min_size=1, max_size=3),
    cuts=st.lists(st.integers(1, 5), min_size=1, max_size=40),
)
@example(text="!aa", stops=["a", "!aa"], cuts=[1, 1])
def test_sending_the_safe_part_equals_searching_the_whole(text, stops, cuts):
    """However the text is cut into pieces, what is sent is the text before the first stop."""
    stop = StopStrings(stops)
    sent, buffer, at = "", "", 0
    for size in [*cuts, len(text) + 1]:
        buffer += text[at : at + size]
        at += size
        found = stop.find(buffer)
        if found is not None:
            sent += buffer[: found[0]]
            buffer = ""
            break
        safe = len(buffer) - stop.held(buffer)
        sent, buffer = sent + buffer[:safe], buffer[safe:]
    whole = stop.find(text)
    assert sent + buffer == (text if whole is None else text[: whole[0]])
