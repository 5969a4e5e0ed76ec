"""Keep a text to a constraint: which token may follow, and where the text stands after it.

    row_j = −∞ unless token j leads to a living state;   an end only in an accepting state

While tokens are left for it, everything the constraint allows is allowed; towards the end only what
can still be finished in time, counting a token for each byte that is missing. So an output is cut
off in the middle only if `max_tokens` was too small for any. Outlines' idea (Willard and Louf 2023,
arXiv:2307.09702), on bytes, so it fits any tokenizer. Left out: GBNF grammars.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Collection
from typing import NamedTuple

import numpy as np

from descent.generate.constrain.automaton import DEAD, Automaton
from descent.generate.constrain.errors import ConstraintError
from descent.generate.constrain.language import Language, Or, literal
from descent.generate.constrain.network import Network
from descent.generate.constrain.vocabulary import Vocabulary
from descent.generate.lexicon import Lexicon
from descent.generate.sampling import Sampling

__all__ = ["Guide", "Guides", "automaton_of"]

_KEPT_CONSTRAINTS = 32
_KEPT_BYTES = 32 * 2**20  # of masks, for each constraint
_MANY_STATES = 50_000


def automaton_of(sampling: Sampling) -> Automaton:
    """The constraint of these settings, compiled.

    Raises:
        ConstraintError: one that cannot be kept to.
    """
    rules, top = _rules(sampling)
    return Automaton(Network(rules, top))


def _rules(sampling: Sampling) -> tuple[dict[str, Language], str]:
    from descent.generate.constrain.json_schema import schema_rules
    from descent.generate.constrain.regex import parse_regex

    if sampling.regex is not None:
        return {"regex": parse_regex(sampling.regex)}, "regex"
    if sampling.choice:
        if not all(sampling.choice):
            raise ConstraintError("choice holds an empty text")
        return {"choice": Or(tuple(literal(text) for text in sampling.choice))}, "choice"
    if sampling.json_object:
        return schema_rules({"type": "object"})
    schema = sampling.json_schema
    if isinstance(schema, str):
        try:
            schema = json.loads(schema)
        except ValueError as error:
            raise ConstraintError(f"json_schema is not valid JSON: {error}") from None
    return schema_rules(schema)


class _Mask(NamedTuple):
    """Tokens that may follow a state: ids, or for many a bool [V]; `worst`: the most bytes that
    may be missing after one of them."""

    allowed: np.ndarray
    worst: int


class _Compiled:
    """An automaton with the masks of its states, the latest used kept."""

    def __init__(self, automaton: Automaton, vocabulary: Vocabulary) -> None:
        self.automaton, self.vocabulary = automaton, vocabulary
        self._masks: dict[int, _Mask] = {}
        self._bytes = 0

    def mask(self, state: int) -> _Mask:
        with self.automaton.lock:
            mask = self._masks.pop(state, None)
            if mask is None:
                mask = self._make(state)
                self._bytes += mask.allowed.nbytes
            self._masks[state] = mask
            while self._bytes > _KEPT_BYTES and len(self._masks) > 1:
                self._bytes -= self._masks.pop(next(iter(self._masks))).allowed.nbytes
            return mask

    def _make(self, state: int) -> _Mask:
        after = self.vocabulary.follow(self.automaton, state)
        ids = np.flatnonzero(after)
        worst = int(self.automaton.left[after[ids]].max(initial=0))
        few = ids.size * 8 < after.size
        return _Mask(ids if few else after != DEAD, worst)


class Guide:
    """Where one text stands in its constraint."""

    def __init__(self, compiled: _Compiled, lexicon: Lexicon) -> None:
        self._compiled, self._lexicon = compiled, lexicon
        self._automaton = compiled.automaton
        self.state = self._automaton.start

    def masked(self, row: np.ndarray, end_ids: Collection[int], left: int) -> np.ndarray:
        """The row [V] with −∞ where a token must not follow; `left` tokens may still be made."""
        mask = self._compiled.mask(self.state)
        allowed = mask.allowed
        if mask.worst > left - 1:
            allowed = self._in_time(left - 1)
        out = np.full_like(row, -np.inf)
        out[allowed] = row[allowed]
        if self._automaton.accepting[self.state]:
            ends = np.fromiter(end_ids, np.intp, len(end_ids))
            out[ends] = row[ends]
        return out

    def _in_time(self, left: int) -> np.ndarray:
        """The ids after which `left` tokens suffice; if none do, those that need the fewest."""
        after = self._compiled.vocabulary.follow(self._automaton, self.state)
        ids = np.flatnonzero(after)
        if not ids.size:  # only an end may follow
            return ids
        missing = self._automaton.left[after[ids]]
        return ids[missing <= max(left, int(missing.min()))]

    def accept(self, id: int) -> bool:
        """Go on past token `id`; True if the text is complete and nothing may follow."""
        self.state = self._automaton.run(self.state, self._lexicon.bytes(id))
        complete = bool(self._automaton.accepting[self.state])
        return complete and not self._automaton.goes_on(self.state)

    @property
    def complete(self) -> bool:
        """Whether the text so far satisfies the constraint."""
        return bool(self._automaton.accepting[self.state])


class Guides:
    """Compiled constraints for one vocabulary, so that the second request pays nothing."""

    def __init__(self, lexicon: Lexicon) -> None:
        self._lexicon = lexicon
        self._lock = threading.Lock()
        self._vocabulary: Vocabulary | None = None
        self._kept: dict[str, _Compiled] = {}

    def start(self, sampling: Sampling) -> Guide:
        """A guide at the beginning of a text.

        Raises:
            ConstraintError: a constraint that cannot be kept to, by any text or by this vocabulary.
        """
        name = sampling.constraint
        key = f"{name} {json.dumps(getattr(sampling, name or 'regex'), default=dict)}"
        with self._lock:
            compiled = self._kept.pop(key, None)
            if compiled is None or compiled.automaton.n_states > _MANY_STATES:
                compiled = self._compile(sampling)
            self._kept[key] = compiled
            while len(self._kept) > _KEPT_CONSTRAINTS:
                del self._kept[next(iter(self._kept))]
        return Guide(compiled, self._lexicon)

    def _compile(self, sampling: Sampling) -> _Compiled:
        automaton = automaton_of(sampling)
        if self._vocabulary is None:
            self._vocabulary = Vocabulary(self._lexicon)
        compiled = _Compiled(automaton, self._vocabulary)
        nothing = not np.count_nonzero(self._vocabulary.follow(automaton, automaton.start))
        if nothing and not automaton.accepting[automaton.start]:
            raise ConstraintError(
                f"no token of this vocabulary can begin a text of this {sampling.constraint}"
            )
        return compiled
