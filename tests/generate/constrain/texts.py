"""Random texts of an automaton, and whether it takes a text."""

from __future__ import annotations

import random

from descent.generate.constrain.automaton import DEAD, Automaton
from descent.generate.constrain.guide import automaton_of
from descent.generate.sampling import Sampling


def automaton(**constraint) -> Automaton:
    return automaton_of(Sampling(**constraint))


def takes(machine: Automaton, text: str) -> bool:
    state = machine.run(machine.start, text.encode("utf-8", "surrogatepass"))
    return state != DEAD and bool(machine.accepting[state])


def random_text(machine: Automaton, seed: int, longest: int = 120) -> str:
    """A random way to an end; past `longest` bytes the shortest one. Prefers rare ways."""
    rng = random.Random(seed)
    state, data = machine.start, bytearray()
    while True:
        ways = [(b, machine.next(state, b)) for b in range(256)]
        ways = [(b, to) for b, to in ways if to != DEAD]
        if machine.accepting[state] and (not ways or len(data) > longest or rng.random() < 0.15):
            return data.decode("utf-8")
        if len(data) > longest:
            least = min(machine.left[to] for _, to in ways)
            ways = [(b, to) for b, to in ways if machine.left[to] == least]
        groups: dict[int, list[int]] = {}
        for b, to in ways:
            groups.setdefault(to, []).append(b)
        state = rng.choice(list(groups))
        data.append(rng.choice(groups[state]))
