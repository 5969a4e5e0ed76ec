"""A vocabulary as a tree of bytes, and which tokens an automaton lets follow.

    node = (node of the bytes before, byte);   state of node = table[state of the node before, byte]

Level by level, all nodes of a depth at once: a vocabulary of 50,257 tokens has some 130,000 nodes
and is walked in a few milliseconds. Works for any tokenizer that can tell its tokens' bytes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from descent.generate.constrain.automaton import DEAD, Automaton
from descent.generate.lexicon import Lexicon

__all__ = ["Vocabulary"]


class _Level(NamedTuple):
    """The nodes of one depth: `parent` in the level above, `byte`; tokens that end here."""

    parent: np.ndarray
    byte: np.ndarray
    tokens: np.ndarray
    nodes: np.ndarray


class Vocabulary:
    """The tokens of a `Lexicon` that have bytes. Ids without (special, padding) never follow."""

    def __init__(self, lexicon: Lexicon) -> None:
        self.size = lexicon.vocab_size
        data = [lexicon.bytes(id) for id in range(self.size)]
        lengths = np.array([len(piece) for piece in data])
        joined = np.frombuffer(b"".join(data), np.uint8)
        starts = np.concatenate([[0], np.cumsum(lengths)])[:-1]
        self.levels: list[_Level] = []
        ids = np.flatnonzero(lengths)
        node = np.zeros(len(ids), np.int64)  # of each token, in the level above
        for depth in range(int(lengths.max(initial=0))):
            codes = node * 256 + joined[starts[ids] + depth]
            nodes, place = np.unique(codes, return_inverse=True)
            last = lengths[ids] == depth + 1
            self.levels.append(
                _Level(
                    (nodes >> 8).astype(np.int32),
                    (nodes & 255).astype(np.uint8),
                    ids[last],
                    place[last],
                )
            )
            ids, node = ids[~last], place[~last]

    def follow(self, automaton: Automaton, state: int) -> np.ndarray:
        """int32 [V]: the state after each token from `state`; DEAD where it must not follow."""
        after = np.zeros(self.size, np.int32)
        with automaton.lock:
            above = np.array([state], np.int32)
            for level in self.levels:
                states = above[level.parent]
                alive = np.flatnonzero(states)
                if not alive.size:
                    break
                if 4 * alive.size < states.size:
                    reached = automaton.next_many(states[alive], level.byte[alive])
                    states = np.full(states.size, DEAD, np.int32)
                    states[alive] = reached
                else:
                    states = automaton.next_many(states, level.byte)
                after[level.tokens] = states[level.nodes]
                above = states
        return after
