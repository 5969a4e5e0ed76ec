"""What a captured step consists of: memory, views of it, and the nodes that fill them in order.

A `Buffer` is one piece of memory: an argument, a tensor that outlives the step (a parameter, a
moment), a constant, something drawn by the generator, or a temporary. A `View` reads a buffer with
an offset and strides, as a NumPy array does. A node says which views it reads and writes. The list
of nodes in the order of capture is the program; everything later (fusing, planning, writing) keeps
what depends on what in that order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import prod
from typing import Any, NamedTuple

import numpy as np

__all__ = [
    "Buffer", "Check", "Gather", "Loops", "Map", "Node", "Product", "Reduce", "ScatterAdd",
    "UpdateNode", "View", "contiguous_strides",
    "redirect",
]  # fmt: skip


@dataclass(eq=False)
class Buffer:
    """One piece of memory.

    Attributes:
        kind: "argument", "kept" (outlives the step), "constant", "drawn" or "temporary".
        array: the memory while capturing (of a temporary: reserved, never touched).
        source: where it comes from when the step runs: a position among the arguments, the tensor
            that owns it, the constant's array.
    """

    number: int
    kind: str
    array: np.ndarray
    source: Any = None
    label: str = ""

    @property
    def dtype(self) -> np.dtype:
        return self.array.dtype

    @property
    def size(self) -> int:
        return self.array.size

    def __repr__(self) -> str:
        return f"<{self.kind} {self.number} {self.label} {self.dtype.name}[{self.size}]>"


class View(NamedTuple):
    """A reading of a buffer: element (i, j, …) stands at offset + i·strides[0] + j·strides[1] …"""

    buffer: Buffer
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]  # in elements

    @property
    def size(self) -> int:
        return prod(self.shape)

    @property
    def dtype(self) -> np.dtype:
        return self.buffer.dtype

    @property
    def contiguous(self) -> bool:
        """Row-major without gaps."""
        steps = contiguous_strides(self.shape)
        return all(n == 1 or s == t for n, s, t in zip(self.shape, self.strides, steps))

    @property
    def whole(self) -> bool:
        """Row-major over the whole buffer."""
        return self.contiguous and self.offset == 0 and self.size == self.buffer.size

    def span(self) -> tuple[int, int]:
        """First and one past the last element it can touch."""
        low = self.offset + sum((n - 1) * s for n, s in zip(self.shape, self.strides) if s < 0)
        high = self.offset + sum((n - 1) * s for n, s in zip(self.shape, self.strides) if s > 0)
        return low, high + 1

    def reshaped(self, shape: tuple[int, ...]) -> View:
        """Another shape over the same elements; the view must be contiguous."""
        assert self.contiguous
        assert prod(shape) == self.size
        return View(self.buffer, self.offset, shape, contiguous_strides(shape))


def contiguous_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Row-major strides in elements."""
    steps, step = [], 1
    for n in reversed(shape):
        steps.append(step)
        step *= n
    return tuple(reversed(steps))


@dataclass(eq=False)
class Node:
    """Something the step does. `origin` is the user's line that asked for it."""

    origin: str = field(default="", kw_only=True)

    def reads(self) -> Iterator[View]:
        """Views whose numbers it needs."""
        yield from ()

    def writes(self) -> Iterator[View]:
        """Views it fills (all elements of them)."""
        yield from ()


def redirect(node: Node, moved: dict[int, Buffer]) -> None:
    """Let the node's views of buffers (by id) read and write the given ones instead."""

    def here(v: Any) -> Any:
        if isinstance(v, View) and id(v.buffer) in moved:
            return v._replace(buffer=moved[id(v.buffer)])
        return v

    for name, value in vars(node).items():
        if isinstance(value, View):
            setattr(node, name, here(value))
        elif isinstance(value, list):
            setattr(node, name, [here(v) for v in value])


Operand = Any  # a View, or a Python number


@dataclass(eq=False)
class Map(Node):
    """target[i] = fn(operands[i]..., metas...) for every i; operands have the target's shape."""

    fn: Callable[..., Any]
    target: View
    operands: list[Operand]
    metas: list[Any]
    silent: bool = False  # only its own loop reads the result: it is not written to memory

    def reads(self) -> Iterator[View]:
        yield from (o for o in self.operands if isinstance(o, View))

    def writes(self) -> Iterator[View]:
        yield self.target


@dataclass(eq=False)
class Reduce(Node):
    """target[kept] = scale · Σ over the reduced axes of source; source has kept + reduced axes."""

    source: View  # kept axes first
    target: View
    kept: int  # how many axes are kept
    scale: float = 1.0
    kind: str = "sum"  # or "max"

    def reads(self) -> Iterator[View]:
        yield self.source

    def writes(self) -> Iterator[View]:
        yield self.target


@dataclass(eq=False)
class Product(Node):
    """y[b, m, n] = Σ_k a[b, m, k] c[b, k, n] (+ bias[n]); every operand any strides."""

    y: View
    a: View
    c: View
    bias: View | None = None

    def reads(self) -> Iterator[View]:
        yield self.a
        yield self.c
        if self.bias is not None:
            yield self.bias

    def writes(self) -> Iterator[View]:
        yield self.y


@dataclass(eq=False)
class Loops(Node):
    """A declared op's loops on whole arrays: fn(inputs..., outputs..., metas...).

    `rows` is the number of rows when row r of every array marked in `by_row` depends on row r of
    the others alone, so that the work can be divided; 1 when it cannot.
    """

    fn: Any
    inputs: list[View]
    outputs: list[View]
    metas: list[Any]
    path: tuple[str, str] = ("", "")  # module and expression of fn
    rows: int = 1
    by_row: tuple[bool, ...] = ()
    operations: int = 0
    columns: bool = False  # divided by (first, last) arguments instead of slices of the arrays
    changes: tuple[int, ...] = ()  # numbers of inputs that it writes over

    def reads(self) -> Iterator[View]:
        yield from self.inputs

    def writes(self) -> Iterator[View]:
        yield from self.outputs
        yield from (self.inputs[i] for i in self.changes)


@dataclass(eq=False)
class Gather(Node):
    """target[j] = table[places[j]]: rows picked by numbers that the data decides."""

    table: View  # V C
    places: View  # J, contiguous integers
    target: View  # J C

    def reads(self) -> Iterator[View]:
        yield self.table
        yield self.places

    def writes(self) -> Iterator[View]:
        yield self.target


@dataclass(eq=False)
class ScatterAdd(Node):
    """target[places[j]] += rows[j], from zeros or (accumulate) from what target holds."""

    rows: View  # J C
    places: View  # J
    target: View  # V C
    accumulate: bool = False

    def reads(self) -> Iterator[View]:
        yield self.rows
        yield self.places

    def writes(self) -> Iterator[View]:
        yield self.target


@dataclass(eq=False)
class Check(Node):
    """Every number of `places` is in [0, high) or is `allowed`; else the step raises IndexError."""

    places: View
    high: int
    allowed: int

    def reads(self) -> Iterator[View]:
        yield self.places


@dataclass(eq=False)
class UpdateNode(Node):
    """An optimiser's rule on one parameter: arrays p, g, slots, changed in place where written."""

    rule: Any
    arrays: list[View]
    writes_at: tuple[int, ...]
    coefficients: int = 0  # offset among the step's numbers

    def reads(self) -> Iterator[View]:
        yield from self.arrays

    def writes(self) -> Iterator[View]:
        yield from (self.arrays[i] for i in self.writes_at)
