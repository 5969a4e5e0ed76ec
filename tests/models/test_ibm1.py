"""IBM Model 1: the textbook example, and words that are never seen."""

import numpy as np

from descent.models.ibm1 import IBM1, words

PAIRS = [("the house", "das Haus"), ("the book", "das Buch"), ("a book", "ein Buch")]


def test_the_textbook_example():
    """Koehn, Statistical Machine Translation, figure 4.4: EM finds the pairs."""
    model = IBM1(20).fit(PAIRS)
    assert {w: model.best[w] for w in ("the", "house", "book", "a")} == {
        "the": "das", "house": "Haus", "book": "Buch", "a": "ein",
    }  # fmt: skip
    assert model.translate("a house, the zebra.") == "ein Haus, das zebra."


def test_one_round_by_hand():
    """After one round from equal t: c(das|the) = 2 · 1/3 (two words and none share each link)."""
    model = IBM1(1).fit([*PAIRS[:2], ("the", "das")])
    # the: das 1/3 + 1/3 + 1/2, Haus 1/3, Buch 1/3
    share = np.array([1 / 3 + 1 / 3 + 1 / 2, 1 / 3, 1 / 3])
    assert share[0] / share.sum() > 0.6
    assert model.best["the"] == "das"


def test_words():
    assert words("Ein gut-gelaunter Mann, 3 Äpfel!") == [
        "Ein", "gut-gelaunter", "Mann", ",", "3", "Äpfel", "!",
    ]  # fmt: skip
