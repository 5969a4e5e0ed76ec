"""The floors below a prediction: distribution → layers → op → element → scalars.

An `Explanation` runs the model once on a prompt under a trace, takes the gradient of the chosen
token's log-probability, and answers questions about any floor with plain data. The text and the
HTML of it are made elsewhere (`view.text`, `view.pages`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from descent import from_numpy
from descent.generate import Completer
from descent.nn import functional as F
from descent.scalar import Value
from descent.view.errors import QuestionError
from descent.view.terms import Term, largest_terms
from descent.view.trace import Record, Trace

__all__ = ["Candidate", "ElementFloor", "Explanation", "LayerFloor"]


@dataclass(frozen=True)
class Candidate:
    """A possible next token."""

    id: int
    text: str
    probability: float
    logit: float


@dataclass(frozen=True)
class LayerFloor:
    """One module that ran: its ops and statistics of its output."""

    path: str
    cls: str
    ops: tuple[int, ...]
    shape: tuple[int, ...]
    mean: float
    std: float
    low: float
    high: float
    milliseconds: float


@dataclass(frozen=True)
class ElementFloor:
    """One number of one op's output as a scalar expression."""

    record: Record
    index: tuple[int, ...]
    computed: float  # what the fast kernel gave
    value: Value  # the same number, expanded; `.backward()` has been called
    terms: list[Term]
    n_terms: int
    gradient: float | None  # d log p(token) / d this number


class Explanation:
    """One forward pass on `prompt`, open for inspection.

    Args:
        completer: the served model; model: the nn model in it.
        token: text or id of the next token to explain; the likeliest one by default.

    Raises:
        QuestionError: a prompt without tokens, or a `token` that is not one token.
    """

    def __init__(
        self, completer: Completer, model: Any, prompt: str, *, token: str | int | None = None
    ) -> None:
        self.completer, self.prompt = completer, prompt
        block = model.get_block_size()
        self.ids = list(completer.encode(prompt).ids)[-block:]
        was_training = model.training
        model.eval()
        with Trace(model) as trace:
            logits, _ = model(from_numpy(np.asarray([self.ids], np.int64)))
            scores = logits[0, -1]
            logp = F.log_softmax(scores, -1)
        model.train(was_training)
        self.trace = trace
        self.logits, self.probabilities = scores.array, np.exp(logp.array)
        self.token_id = self._chosen(token)
        if logp.requires_grad:
            trace.backward(logp[self.token_id])

    def _chosen(self, token: str | int | None) -> int:
        if token is None:
            return int(np.argmax(self.logits))
        if isinstance(token, int):
            if not 0 <= token < len(self.logits):
                raise QuestionError(f"token {token} is outside 0 … {len(self.logits) - 1}")
            return token
        ids = self.completer.tokenizer.encode(token)
        if len(ids) != 1:
            raise QuestionError(f"{token!r} is {len(ids)} tokens, not one: choose one of the list")
        return int(ids[0])

    # -- floor 1: the distribution -----------------------------------------------------------

    def candidates(self, top: int = 8) -> list[Candidate]:
        """The likeliest next tokens."""
        order = np.argsort(-self.logits, kind="stable")[:top]
        return [
            Candidate(
                int(i), self.show(int(i)), float(self.probabilities[i]), float(self.logits[i])
            )
            for i in order
        ]

    def show(self, id: int) -> str:
        """A token as text (its name when it has none)."""
        if id in self.completer.special:
            return self.completer.special[id]
        tokenizer = self.completer.tokenizer
        try:
            return tokenizer.token_bytes(id).decode("utf-8", "backslashreplace")
        except (KeyError, ValueError, IndexError):  # a model's vocabulary may be padded
            return f"<|{id}|>"

    # -- floor 2: layers ---------------------------------------------------------------------

    def layers(self) -> list[LayerFloor]:
        """Modules in the order they first ran, with the ops that ran directly in them."""
        groups: dict[tuple[str, str], list[Record]] = {}
        for r in self.trace.records:
            groups.setdefault((r.module, r.module_class), []).append(r)
        floors = []
        for (path, cls), records in groups.items():
            out = records[-1].outputs[0]
            numbers = out.astype(np.float64) if out.size else np.zeros(1)
            floors.append(
                LayerFloor(
                    path or ("(model)" if cls else "(prediction)"),
                    cls,
                    tuple(r.number for r in records),
                    tuple(out.shape),
                    float(numbers.mean()),
                    float(numbers.std()),
                    float(numbers.min()),
                    float(numbers.max()),
                    1e3 * sum(r.seconds for r in records),
                )
            )
        return floors

    # -- floor 3 and 4: op and element -------------------------------------------------------

    def record(self, number: int) -> Record:
        """One op that ran.

        Raises:
            QuestionError: no such number.
        """
        if not 0 <= number < len(self.trace.records):
            raise QuestionError(
                f"op {number}: this prediction ran ops 0 to {len(self.trace.records) - 1}"
            )
        return self.trace.records[number]

    def logits_record(self) -> int:
        """The op that computed the logits (the last with the vocabulary as its last axis)."""
        wanted = [
            r.number
            for r in self.trace.records
            if r.outputs[0].ndim and r.outputs[0].shape[-1] == len(self.logits) and r.module
        ]
        return wanted[-1] if wanted else len(self.trace.records) - 1

    def default_index(self, number: int) -> tuple[int, ...]:
        """The element to open when none is asked for: the chosen token's logit, else the one with
        the largest gradient at the last position."""
        r = self.record(number)
        shape = r.outputs[0].shape
        if shape and shape[-1] == len(self.logits):
            return (*(n - 1 for n in shape[:-1]), self.token_id)
        if r.gradient is not None and r.gradient.size:
            flat = int(np.argmax(np.abs(r.gradient)))
            return tuple(int(i) for i in np.unravel_index(flat, shape))
        return tuple(n - 1 for n in shape)

    def element(
        self, number: int, index: tuple[int, ...] | None = None, top: int = 8
    ) -> ElementFloor:
        """One number as a scalar expression, its terms largest first.

        Raises:
            QuestionError: an index that does not fit the output's shape.
        """
        r = self.record(number)
        y = r.outputs[0]
        index = self.default_index(number) if index is None else index
        if len(index) != y.ndim or not all(-n <= i < n for i, n in zip(index, y.shape)):
            raise QuestionError(
                f"element {list(index)} is outside the output of shape {list(y.shape)}"
            )
        index = tuple(i % n for i, n in zip(index, y.shape))
        value = r.op.explain(r.arrays, index, r.meta)
        value.backward()
        terms, n = largest_terms(value, top)
        gradient = None if r.gradient is None else float(r.gradient[index])
        return ElementFloor(r, index, float(y[index]), value, terms, n, gradient)
