"""IBM Model 1: which word translates which, learned from sentence pairs by counting.

    P(target, alignment | source) ∝ Π_j t(f_j | e_{a_j})          a_j: 0 (no word) … l
    E   c(f, e) = Σ_pairs Σ_j  t(f_j | e) / Σ_i t(f_j | e_i)       expected counts
    M   t(f | e) = c(f, e) / Σ_f c(f, e)

Brown et al. 1993, "The Mathematics of Statistical Machine Translation", §4; here the baseline a
translator has to beat: every word replaced by its likeliest translation, in the source's order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np

__all__ = ["IBM1", "words"]


def words(text: str) -> list[str]:
    """Words and punctuation marks, as they stand."""
    return re.findall(r"\w+(?:[-']\w+)*|[^\w\s]", text)


class IBM1:
    """`IBM1().fit(pairs).translate(sentence)`."""

    def __init__(self, rounds: int = 10) -> None:
        self.rounds = rounds
        self.best: dict[str, str] = {}

    def fit(self, pairs: Iterable[tuple[str, str]]) -> IBM1:
        """Learn t from (source, target) sentences."""
        sources, targets = {"": 0}, {}  # "": the word that stands for none
        links: list[np.ndarray] = []  # per sentence: [3, links] of place, source word, target word
        places = 0
        for source, target in pairs:
            e = [0, *(sources.setdefault(w, len(sources)) for w in words(source))]
            f = [targets.setdefault(w, len(targets)) for w in words(target)]
            at = np.arange(places, places + len(f))
            links.append(
                np.stack(
                    [np.repeat(at, len(e)), np.tile(e, len(f)), np.repeat(np.array(f, int), len(e))]
                )
            )
            places += len(f)
        place, e, f = np.concatenate(links, 1)
        pair, link = np.unique(e * len(targets) + f, return_inverse=True)
        e, f = pair // len(targets), pair % len(targets)  # of every pair of words that occurs
        t = np.full(len(pair), 1.0 / max(len(targets), 1))
        for _ in range(self.rounds):
            share = t[link] / np.bincount(place, t[link], places)[place]
            count = np.bincount(link, share, len(pair))
            t = count / np.bincount(e, count, len(sources))[e]
        order = np.lexsort((f, -t, e))  # per source word, the likeliest first
        first = order[np.unique(e[order], return_index=True)[1]]
        known, said = list(sources), list(targets)
        self.best = {known[e[i]]: said[f[i]] for i in first if e[i]}
        return self

    def translate(self, sentence: str) -> str:
        """Word for word; a word never seen stays as it is."""
        said = " ".join(self.best.get(w, w) for w in words(sentence))
        return re.sub(r" ([.,;:!?])", r"\1", said)
