"""Rules as a network of places: edges that read a byte, read nothing, or call another rule.

    rule  "a" b* :   start –61→ · –ε→ · –62→ ·(back) –ε→ end           call: go to the rule's start,
                                                                       come back from its end
Thompson's construction (1968) for each rule, calls as in Woods' transition networks (1970). For
every place the fewest bytes to its rule's end are known (Knuth 1977, a generalisation of Dijkstra's
algorithm), so no way is begun that has no end.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping

from descent.generate.constrain.errors import ConstraintError
from descent.generate.constrain.language import Call, Cat, Chars, Language, Or, Times
from descent.generate.constrain.utf8 import byte_sequences

__all__ = ["Network"]

_MOST_PLACES = 300_000


class Network:
    """The places of all rules reachable from rule `top`.

    `reads[p]`: [(low, high, to)]; `skips[p]`: [to]; `calls[p]`: [(rule's start, return place)];
    `ends`: the end places; `left[p]`: fewest bytes to the end of its rule.
    """

    def __init__(self, rules: Mapping[str, Language], top: str) -> None:
        self.reads: list[list[tuple[int, int, int]]] = []
        self.skips: list[list[int]] = []
        self.calls: list[list[tuple[int, int]]] = []
        self.ends: set[int] = set()
        self._rules, self._starts = rules, {}
        self._todo: list[str] = []
        self.start = self._rule(top)
        while self._todo:
            name = self._todo.pop()
            start, end = self._starts[name]
            self._lay(rules[name], start, end)
        self.left = self._distances()
        if self.left[self.start] == math.inf:
            raise ConstraintError("no finite text can match: every way leads back into itself")
        self._refuse_left_recursion()

    def _place(self) -> int:
        if len(self.reads) >= _MOST_PLACES:
            raise ConstraintError(
                f"the constraint needs more than {_MOST_PLACES:,} states; use smaller repetition "
                "counts or lengths"
            )
        self.reads.append([])
        self.skips.append([])
        self.calls.append([])
        return len(self.reads) - 1

    def _rule(self, name: str) -> int:
        """The start place of a rule, which is laid out later."""
        if name not in self._starts:
            self._starts[name] = (self._place(), self._place())
            self.ends.add(self._starts[name][1])
            self._todo.append(name)
        return self._starts[name][0]

    def _lay(self, language: Language, start: int, end: int) -> None:
        """Ways from `start` to `end` that spell `language`."""
        match language:
            case Chars(ranges):
                for sequence in byte_sequences(ranges):
                    at = start
                    for i, (low, high) in enumerate(sequence):
                        to = end if i == len(sequence) - 1 else self._place()
                        self.reads[at].append((low, high, to))
                        at = to
            case Cat(parts):
                at = start
                for i, part in enumerate(parts):
                    to = end if i == len(parts) - 1 else self._place()
                    self._lay(part, at, to)
                    at = to
                if not parts:
                    self.skips[start].append(end)
            case Or(options):
                for option in options:
                    self._lay_apart(option, start, end)
            case Times(item, least, most):
                self._lay_times(item, least, most, start, end)
            case Call(rule):
                self.calls[start].append((self._rule(rule), end))

    def _lay_apart(self, language: Language, start: int, end: int) -> None:
        """With a start of its own: a loop at its beginning must not catch other ways."""
        own = self._place()
        self.skips[start].append(own)
        self._lay(language, own, end)

    def _lay_times(
        self, item: Language, least: int, most: int | None, start: int, end: int
    ) -> None:
        at = start
        for _ in range(least):
            to = self._place()
            self._lay(item, at, to)
            at = to
        if most is None:
            loop = self._place()
            self.skips[at].append(loop)
            back = self._place()
            self._lay(item, loop, back)
            self.skips[back].append(loop)
            self.skips[loop].append(end)
            return
        for _ in range(most - least):
            self.skips[at].append(end)
            to = self._place()
            self._lay_apart(item, at, to)
            at = to
        self.skips[at].append(end)

    def _distances(self) -> list[float]:
        n = len(self.reads)
        before: list[list[tuple[int, int]]] = [[] for _ in range(n)]  # place → (from, cost)
        returns: list[list[tuple[int, int]]] = [[] for _ in range(n)]  # return → (from, start)
        callers: list[list[tuple[int, int]]] = [[] for _ in range(n)]  # start → (from, return)
        for place in range(n):
            for _, _, to in self.reads[place]:
                before[to].append((place, 1))
            for to in self.skips[place]:
                before[to].append((place, 0))
            for start, back in self.calls[place]:
                returns[back].append((place, start))
                callers[start].append((place, back))
        left = [math.inf] * n
        heap = [(0.0, end) for end in self.ends]
        while heap:
            far, place = heapq.heappop(heap)
            if left[place] < math.inf:
                continue
            left[place] = far
            ways = [(one, far + cost) for one, cost in before[place]]
            ways += [(one, far + left[start]) for one, start in returns[place]]
            ways += [(one, far + left[back]) for one, back in callers[place]]
            for one, cost in ways:
                if cost < left[one]:
                    heapq.heappush(heap, (cost, one))
        return left

    def _refuse_left_recursion(self) -> None:
        """A rule that calls itself before it has read anything would be called for ever."""
        names = {start: name for name, (start, _) in self._starts.items()}
        firsts = {start: self._first_calls(start) for start in names}
        open_, done = set(), set()
        for root in names:
            stack = [] if root in done else [(root, iter(firsts[root]))]
            while stack:
                start, following = stack[-1]
                open_.add(start)
                for called in following:
                    if called in open_:
                        raise ConstraintError(
                            f"rule {names[called]!r} refers to itself without anything in between"
                        )
                    if called not in done:
                        stack.append((called, iter(firsts[called])))
                        break
                else:
                    stack.pop()
                    open_.discard(start)
                    done.add(start)

    def _first_calls(self, start: int) -> list[int]:
        """Starts of the rules that may be called from `start` before a byte is read."""
        seen, todo, found = {start}, [start], []
        while todo:
            place = todo.pop()
            onward = list(self.skips[place])
            for rule, back in self.calls[place]:
                found.append(rule)
                if self.left[rule] == 0:
                    onward.append(back)
            todo += [to for to in onward if to not in seen]
            seen.update(onward)
        return found
