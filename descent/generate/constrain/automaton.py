"""A network run on bytes: states as numbers, transitions found once and then looked up.

    state = a set of (place, stack of return places);   next = table[state, byte]

The subset construction (Rabin and Scott 1959), done where it is reached, over a network with calls,
so the stacks make it a pushdown automaton. A place from which its rule cannot end is never entered:
from every living state some text leads to the end.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

import numpy as np

from descent.generate.constrain.network import Network

__all__ = ["DEAD", "Automaton"]

DEAD = 0
_UNKNOWN = -1
Config = tuple[int, int]  # place, number of the top frame (0: none)


class Automaton:
    """States 1, 2, … in the order of their discovery; `start` is where a text begins."""

    def __init__(self, network: Network) -> None:
        self._net = network
        self.lock = threading.RLock()  # the table grows while it is used
        self._frames: list[tuple[int, int]] = [(-1, 0)]  # return place, frame below
        self._frame_left = [0.0]  # bytes to the end of the whole from a frame's return place
        self._frame_of: dict[tuple[int, int], int] = {}
        self._configs: list[tuple[Config, ...]] = [()]
        self._state_of: dict[tuple[Config, ...], int] = {}
        self.table = np.full((64, 256), _UNKNOWN, np.int32)
        self.table[DEAD] = DEAD
        self.left = np.zeros(64, np.int32)  # fewest bytes to an end
        self.accepting = np.zeros(64, bool)
        self.left[DEAD] = np.iinfo(np.int32).max
        self.start = self._state([(network.start, 0)])

    @property
    def n_states(self) -> int:
        return len(self._configs)

    def next(self, state: int, byte: int) -> int:
        """The state after `byte`; DEAD where no text goes on so."""
        to = int(self.table[state, byte])
        return self._find(state, byte) if to == _UNKNOWN else to

    def run(self, state: int, data: bytes) -> int:
        """The state after all bytes of `data`."""
        with self.lock:
            for byte in data:
                state = self.next(state, byte)
            return state

    def next_many(self, states: np.ndarray, data: np.ndarray) -> np.ndarray:
        """`next` for arrays of states and bytes."""
        to = self.table[states, data]
        unknown = np.flatnonzero(to == _UNKNOWN)
        if unknown.size:
            pairs = np.unique(states[unknown].astype(np.int64) * 256 + data[unknown])
            for pair in pairs.tolist():
                self._find(pair >> 8, pair & 255)
            to[unknown] = self.table[states[unknown], data[unknown]]
        return to

    def goes_on(self, state: int) -> bool:
        """Whether any byte may follow."""
        return any(self._net.reads[place] for place, _ in self._configs[state])

    def _find(self, state: int, byte: int) -> int:
        reached = [
            (to, frame)
            for place, frame in self._configs[state]
            for low, high, to in self._net.reads[place]
            if low <= byte <= high
        ]
        to = self._state(reached) if reached else DEAD
        self.table[state, byte] = to
        return to

    def _state(self, configs: Iterable[Config]) -> int:
        """The number of the state that holds `configs` and all that is reached without a byte."""
        closed, accepts = self._closure(configs)
        key = tuple(sorted(closed)) + (((-1, 0),) if accepts else ())
        if not key:
            return DEAD
        state = self._state_of.get(key)
        if state is None:
            state = self._state_of[key] = len(self._configs)
            self._configs.append(tuple(sorted(closed)))
            if state == len(self.table):
                self._grow()
            self.accepting[state] = accepts
            net = self._net
            ways = [net.left[place] + self._frame_left[frame] for place, frame in closed]
            self.left[state] = 0 if accepts else int(min(ways))
        return state

    def _grow(self) -> None:
        more = np.full_like(self.table, _UNKNOWN)
        self.table = np.concatenate([self.table, more])
        self.left = np.concatenate([self.left, np.zeros_like(self.left)])
        self.accepting = np.concatenate([self.accepting, np.zeros_like(self.accepting)])

    def _closure(self, configs: Iterable[Config]) -> tuple[set[Config], bool]:
        """The configurations that read a byte, and whether the text may end here."""
        net, frames = self._net, self._frames
        todo = [one for one in configs if net.left[one[0]] < np.inf]
        seen, reading, accepts = set(todo), set(), False
        while todo:
            place, frame = config = todo.pop()
            if net.reads[place]:
                reading.add(config)
            onward = [(to, frame) for to in net.skips[place]]
            if place in net.ends:
                if frame == 0:
                    accepts = True
                else:
                    onward.append(frames[frame])
            for start, back in net.calls[place]:
                if net.left[start] + net.left[back] < np.inf:
                    onward.append((start, self._frame(back, frame)))
            for one in onward:
                if one not in seen and net.left[one[0]] < np.inf:
                    seen.add(one)
                    todo.append(one)
        return reading, accepts

    def _frame(self, back: int, below: int) -> int:
        """The stack that returns to `back`, then to what lies below."""
        net = self._net
        if back in net.ends and not (net.reads[back] or net.skips[back] or net.calls[back]):
            return below  # nothing is left to do there: return further at once
        key = (back, below)
        frame = self._frame_of.get(key)
        if frame is None:
            frame = self._frame_of[key] = len(self._frames)
            self._frames.append(key)
            self._frame_left.append(net.left[back] + self._frame_left[below])
        return frame
