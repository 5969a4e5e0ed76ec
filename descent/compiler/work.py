"""A piece of a step, and how it can be divided.

A work has `units`, and its function does units lo … hi of it. Every access to a buffer says whether
unit i of n touches the i-th n-th of the buffer only ("share") or anything ("all"): two works that
touch each other's shares alone can follow one another on one thread without waiting for the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from descent.compiler.graph import Buffer, View

__all__ = ["Access", "Work", "access", "in_shares"]


class Access(NamedTuple):
    """How a work touches a buffer."""

    buffer: Buffer
    low: int
    high: int
    shared: bool  # unit i touches its share alone
    writes: bool


@dataclass(eq=False)
class Work:
    """One piece of the step.

    Attributes:
        body: lines of its function after the signature `def name(lo, hi, <arguments>):`.
        arguments: Views (flat arrays that begin there), in the order of the parameters.
        numbers: offset of its first coefficient among the step's numbers (None: it has none).
        scratch: float32 numbers of working memory that each thread needs.
        operations: a rough count, to decide on threads.
    """

    name: str
    body: list[str]
    arguments: list[View]
    units: int
    accesses: list[Access]
    operations: int
    title: str = ""
    parameters: Sequence[str] | None = None
    steps: list[int] | None = None  # elements from one unit to the next, per argument
    numbers: int | None = None
    scratch: int = 0
    reorder: bool = False
    imports: dict[str, tuple[str, str]] = field(default_factory=dict)
    hoistable: bool = False

    def touches(self, other: Work) -> tuple[bool, bool]:
        """Whether the order of two works matters, and whether equal shares keep it."""
        matters, shares = False, True
        for a in self.accesses:
            for b in other.accesses:
                if (
                    a.buffer is b.buffer
                    and (a.writes or b.writes)
                    and a.low < b.high
                    and b.low < a.high
                ):
                    matters = True
                    shares = shares and a.shared and b.shared
        return matters, shares


def access(v: View, units: int, writes: bool, anywhere: bool = False) -> Access:
    """How a view is touched when its leading axes are divided into `units`."""
    low, high = v.span()
    return Access(v.buffer, low, high, not anywhere and in_shares(v, units), writes)


def in_shares(v: View, units: int) -> bool:
    """Whether the i-th of `units` equal parts of the view's leading axis (or of all its elements,
    when contiguous) lies in the i-th part of the buffer."""
    if units <= 1 or v.buffer.size % units:
        return units == 1 and False
    part = v.buffer.size // units
    if v.whole:
        return True
    lead, inner_shape, inner_strides = 1, list(v.shape), list(v.strides)
    step = None
    while inner_shape and lead < units:
        n, s = inner_shape.pop(0), inner_strides.pop(0)
        if n == 1:
            continue
        if step is not None and step != s * n:
            return False
        lead, step = lead * n, s
    if lead != units or step != part:
        return False
    extent = sum((n - 1) * s for n, s in zip(inner_shape, inner_strides) if s > 0)
    negative = any(s < 0 for s in inner_strides)
    return not negative and v.offset + extent < part
