"""Update rules: how one element of a parameter moves, from which the pass over all of them follows.

    @update
    def sgd(p, g, rate=0.1, pull=0.0):
        d = g + pull * p
        return p - rate * d

The rule is a scalar function. Parameters without a default are arrays: `p`, its gradient `g`, then
what is remembered between steps; those with one are coefficients, floats that the optimiser works
out once per step. It returns the new `p` and the new slots, in that order. No branches and no
literals: coefficients are rounded once, to the arrays' dtype, so every form gives the same bits.

| form | when |
|---|---|
| as written, on floats and `Value`s | the oracle, explanations |
| as written, on blocks of arrays that stay in the cache | few numbers, or `DESCENT_COMPILE=0` |
| one compiled loop that touches each number once, shared by threads | from 32,768 numbers |

The loop is a real Python file in the cache folder, with the rule's text inside: it can be read and
stepped. No sums are reordered and no products fused in it, hence the same bits.
"""

from __future__ import annotations

import ast
import functools
import inspect
import textwrap
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from descent.caching import source_module
from descent.kernel import Kernel, compiling
from descent.threads import share

__all__ = ["Update", "run_updates", "update"]

Array = np.ndarray
Arrays = Sequence[Array]

LARGE = 32_768  # numbers in all from which a compiled loop is worth its compilation
BLOCK = 1 << 14  # elements of a block of the NumPy form: a few temporaries fit the cache
SLAB_MIN, SLAB_MAX = 1 << 16, 1 << 20  # elements a thread takes at a time


class Update:
    """An update rule; make one with the `@update` decorator.

    Attributes:
        scalar: the function as written.
        arrays: names of the arrays it reads: p, g, slots.
        writes: names of the arrays it changes, in the order in which it returns them: p, slots.
        coefficients: names of its floats.
    """

    def __init__(self, fn: Callable[..., Any]) -> None:
        self.scalar = fn
        self.name = fn.__name__
        self.doc = inspect.getdoc(fn) or ""
        parameters = inspect.signature(fn).parameters.values()
        self.arrays = tuple(p.name for p in parameters if p.default is p.empty)
        self.coefficients = tuple(p.name for p in parameters if p.default is not p.empty)
        if self.arrays[:2] != ("p", "g"):
            raise TypeError(f"update rule {self.name}: its first parameters must be p and g")
        self.writes = ("p", *self.arrays[2:])

    def run(self, arrays: Arrays, coefficients: Sequence[float]) -> None:
        """Change the written arrays (all of one shape and dtype) in place."""
        run_updates([(self, arrays, coefficients)])

    def run_numpy(self, arrays: Arrays, coefficients: Sequence[float]) -> None:
        """The rule on whole arrays, block by block where they are contiguous."""
        kind = arrays[0].dtype.type
        rounded = [kind(c) for c in coefficients]
        for parts in _blocks(arrays):
            new = self.scalar(*parts, *rounded)
            if len(parts) == 2:
                parts[0][...] = new
                continue
            parts[0][...] = new[0]
            for old, value in zip(parts[2:], new[1:]):
                old[...] = value

    @functools.cached_property
    def loop(self) -> Kernel:
        """The one-pass loop: `loop(*flat arrays, *coefficients)`."""
        module = source_module("updates", self.name, self.loop_source())
        return Kernel(getattr(module, self.name))

    def loop_source(self) -> str:
        """The text of the file that holds the loop: the body of the rule within `for i`."""
        big = {name: name.upper() for name in self.arrays}
        lines, result = _body(self.scalar)
        read = ", ".join(f"{big[n]}[i]" for n in self.arrays)
        written = ", ".join(f"{big[n]}[i]" for n in self.writes)
        rounding = [f"    {c} = kind({c})" for c in self.coefficients]
        return "\n".join(
            [
                f'"""{self.doc}', "",
                f"Written by descent from {Path(inspect.getfile(self.scalar)).name}: one pass over "
                'flat arrays.', '"""', "", "import numpy as np", "", "",
                f"def {self.name}({', '.join([*big.values(), *self.coefficients])}):",
                "    kind = P.dtype.type  # coefficients are rounded once",
                *rounding,
                "    for i in range(P.size):",
                f"        {', '.join(self.arrays)} = {read}",
                textwrap.indent(lines, " " * 8),
                f"        {written} = {result}",
                "",
            ]
        )  # fmt: skip

    def source(self) -> str:
        """The rule as written."""
        return inspect.getsource(self.scalar)

    def __repr__(self) -> str:
        return f"<update rule {self.name}({', '.join(self.arrays + self.coefficients)})>"


def update(fn: Callable[..., Any]) -> Update:
    """Decorator: declare an update rule. See the module docstring."""
    return Update(fn)


def run_updates(updates: Sequence[tuple[Update, Arrays, Sequence[float]]]) -> None:
    """Run (rule, arrays, coefficients) of several parameters, together the work of one step.

    Whether it is worth compiling and sharing depends on how many numbers there are in all.
    """
    total = sum(arrays[0].size for _, arrays, _ in updates)
    if total < LARGE or not compiling():
        for rule, arrays, coefficients in updates:
            rule.run_numpy(arrays, coefficients)
        return
    slab = min(max(SLAB_MIN, total // 16), SLAB_MAX)
    tasks: list[Callable[[], object]] = []
    pieces: list[Callable[[], None]] = []
    size = 0
    for rule, arrays, coefficients in updates:
        flat = _flat(arrays)
        if flat is None or arrays[0].dtype.char not in "fd":
            rule.run_numpy(arrays, coefficients)
            continue
        floats = [float(c) for c in coefficients]
        loop = rule.loop.compiled
        for start in range(0, flat[0].size, slab):
            part = flat if flat[0].size <= slab else [a[start : start + slab] for a in flat]
            pieces.append(functools.partial(loop, *part, *floats))
            size += part[0].size
            if size >= slab:
                tasks.append(functools.partial(_run, pieces))
                pieces, size = [], 0
    tasks.append(functools.partial(_run, pieces))
    share(tasks)


def _run(pieces: list[Callable[[], None]]) -> None:
    for piece in pieces:
        piece()


def _flat(arrays: Arrays) -> list[Array] | None:
    """The same memory as 1-D arrays; None when some array is not contiguous or differs in dtype."""
    kind = arrays[0].dtype
    for a in arrays:
        if not a.flags.c_contiguous or a.dtype != kind:
            return None
    return [a if a.ndim == 1 else a.reshape(-1) for a in arrays]


def _blocks(arrays: Arrays) -> Iterator[Arrays]:
    """Short 1-D views of the same places: all passes of a rule but the first read the cache."""
    if arrays[0].size <= BLOCK or (flat := _flat(arrays)) is None:
        yield arrays
        return
    for start in range(0, flat[0].size, BLOCK):
        yield [a[start : start + BLOCK] for a in flat]


def _body(fn: Callable[..., Any]) -> tuple[str, str]:
    """The text between the docstring and `return`, and the text of what is returned."""
    text = textwrap.dedent(inspect.getsource(fn))
    tree: Any = ast.parse(text).body[0]
    first = 1 if ast.get_docstring(tree) is not None else 0
    last = tree.body[-1]
    if not isinstance(last, ast.Return) or last.value is None:
        raise TypeError(f"update rule {fn.__name__}: its last statement must be `return`")
    before = tree.body[first - 1].end_lineno if first else tree.body[0].lineno - 1
    lines = text.splitlines()[before : last.lineno - 1]
    return textwrap.dedent("\n".join(lines)), str(ast.get_source_segment(text, last.value))
