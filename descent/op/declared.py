"""What an op is: one declaration from which speed, oracle, chain rule and explanation all follow.

    @op("r [c] -> r [c]", lower=Rows())
    def softmax(x, y): ...            # plain loops: read x, write y
    @softmax.numpy
    def _(x): ...                     # the same on whole arrays: no compile time
    @softmax.grad
    def softmax_grad(y, dy, dx): ...  # names say what is saved: inputs, outputs, d<output>

* The loops are rung 1 of a `Ladder`; faster rungs of the same computation join beside it and are
  tested against it. `op.forward` takes the highest rung whose condition holds, so the choice
  depends on shapes alone and a rerun gives the same bits.
* A `Lowering` turns a call as users know it (`softmax(x, dim=1)` on any shape) into the canonical
  call of the loops (2-D, last axis), by views only, and back.
* `explain(op, arrays, index)` runs the uncompiled loops on just the slices that feed one element,
  with a `Value` for every number: the result is the scalar graph of that element.

Ops see arrays, never tensors. At most one output of an op, the first, is differentiable.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from functools import partial
from math import prod
from typing import Any, NamedTuple

import numpy as np

from descent.axes import Axes
from descent.kernel import Kernel
from descent.op.expand import expand
from descent.op.quiet import hush, restore
from descent.scalar import Value

__all__ = ["Ladder", "Lowering", "Op", "Rows", "Rung", "op"]

Array = np.ndarray
Metas = dict[str, Any]


class Rung(NamedTuple):
    """One implementation: `run(inputs..., metas...)` returns the output(s)."""

    name: str
    run: Callable[..., Any]
    when: Callable[..., bool] | None  # None: always usable
    shaped: bool = False  # it also takes `shape`: that of the first output


class Ladder:
    """One computation in several implementations; rung 1, the plain loops, stays for ever."""

    def __init__(
        self, loops: Kernel, inputs: Sequence[str], outputs: Sequence[str], metas: Sequence[str]
    ) -> None:
        self.loops = loops
        self.inputs, self.outputs, self.metas = tuple(inputs), tuple(outputs), tuple(metas)
        self.rungs: list[Rung] = []
        self._highest_first: list[Rung] = []

    def add(self, name: str, when: Callable[..., bool] | None = None) -> Callable[..., Any]:
        """Decorator: a rung that takes (inputs..., metas...) and returns the output(s)."""

        def register(fn: Callable[..., Any]) -> Callable[..., Any]:
            shaped = "shape" in inspect.signature(fn).parameters
            self.rungs.append(Rung(name, fn, when, shaped))
            self._highest_first = self.rungs[::-1]
            return fn

        return register

    def numpy(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        """Decorator: the NumPy rung."""
        return self.add("numpy")(fn)

    def run(
        self, arrays: Sequence[Array], metas: Sequence[Any], like: Callable[[], list[Array]]
    ) -> tuple[Array, ...]:
        """Compute the outputs on the highest usable rung; `like()` allocates them for the loops."""
        for rung in self._highest_first:
            if rung.when is None or rung.when(*arrays, *metas):
                if rung.shaped:
                    return _outputs(rung, arrays, metas, like)
                out = rung.run(*arrays, *metas)
                return out if type(out) is tuple else (out,)
        return self._fill(self.loops, arrays, metas, like())

    def run_rung(
        self,
        name: str,
        arrays: Sequence[Array],
        metas: Sequence[Any],
        like: Callable[[], list[Array]],
    ) -> tuple[Array, ...]:
        """Compute on the named rung ("python", "loops" or a registered one) whatever its
        condition says: for tests and timing."""
        if name == "loops":
            return self._fill(self.loops.compiled, arrays, metas, like())
        if name == "python":
            return self._fill(self.loops.py, arrays, metas, like())
        return _outputs(next(r for r in self.rungs if r.name == name), arrays, metas, like)

    @staticmethod
    def _fill(
        fn: Callable[..., Any], arrays: Sequence[Array], metas: Sequence[Any], outs: list[Array]
    ) -> tuple[Array, ...]:
        fn(*arrays, *outs, *metas)
        return tuple(outs)


def _outputs(
    rung: Rung, arrays: Sequence[Array], metas: Sequence[Any], like: Callable[[], list[Array]]
) -> tuple[Array, ...]:
    if rung.shaped:
        out = rung.run(*arrays, *metas, shape=like()[0].shape)
    else:
        out = rung.run(*arrays, *metas)
    return out if type(out) is tuple else (out,)


class Lowering:
    """From the user's call to the canonical call and back. This base: they are the same.

    A subclass may use transposes and reshapes only, so that the same code maps index arrays and
    arrays of `Value`.
    """

    metas: tuple[str, ...] = ()  # meta names it consumes

    def down(self, op: Op, arrays: Sequence[Array], meta: Metas) -> tuple[Sequence[Array], Any]:
        """The canonical inputs, and a plan with which to come back; None: they are the same."""
        return arrays, None

    def up(self, op: Op, plan: Any, i: int, out: Array) -> Array:
        """Output `i` in the user's shape."""
        return out

    def down_out(self, op: Op, plan: Any, i: int, out: Array) -> Array:
        """The gradient of output `i` in canonical shape (the inverse of `up`)."""
        return out

    def up_in(self, op: Op, plan: Any, i: int, dx: Array) -> Array:
        """The gradient of input `i` in the user's shape (the inverse of `down`)."""
        return dx


class RowPlan(NamedTuple):
    perm: tuple[int, ...] | None  # None: the axes are in order already
    inverse: tuple[int, ...] | None
    r: tuple[int, ...]  # sizes of the kept axes
    c: tuple[int, ...]  # sizes of the chosen axes
    kept: tuple[int, ...]  # shape of a per-row output for the user
    full: tuple[int, ...]  # r and c
    flat: tuple[int, int]  # the canonical shape
    same: bool  # it is the user's, for the outputs too


@functools.lru_cache(maxsize=4096)
def _row_plan(shape: tuple[int, ...], dim: int | tuple[int, ...] | None, keepdim: bool) -> RowPlan:
    nd = len(shape)
    if dim is None or dim == ():
        dims = tuple(range(nd))
    elif isinstance(dim, tuple):
        dims = tuple(sorted(d % nd for d in dim)) if nd else ()
    else:
        dims = (dim % nd,) if nd else ()
    rest = tuple(d for d in range(nd) if d not in dims)
    r, c = tuple(shape[d] for d in rest), tuple(shape[d] for d in dims)
    kept = tuple(1 if d in dims else n for d, n in enumerate(shape)) if keepdim else r
    perm = rest + dims
    flat = (prod(r), prod(c))
    if perm == tuple(range(nd)):
        same = shape == flat and kept == flat[:1]
        return RowPlan(None, None, r, c, kept, shape, flat, same)
    inverse = tuple(int(i) for i in np.argsort(perm))
    return RowPlan(perm, inverse, r, c, kept, r + c, flat, False)


class Rows(Lowering):
    """`dim` (an axis, several, or None for all) becomes c, the last axis; the others become r.

    `keepdim` keeps the chosen axes, with size 1, in outputs that have the letter r alone.
    """

    metas = ("dim", "keepdim")

    def down(
        self, op: Op, arrays: Sequence[Array], meta: Metas
    ) -> tuple[Sequence[Array], RowPlan | None]:
        dim = meta.get("dim")
        if type(dim) is list:
            dim = tuple(dim)
        plan = _row_plan(arrays[0].shape, dim, meta.get("keepdim", False))
        if plan.same:
            for a, letters in zip(arrays, op.in_letters):
                if a.ndim != len(letters):
                    break
            else:
                return arrays, None
        return [self._flat(a, plan, k) for a, k in zip(arrays, op.in_letters)], plan

    @staticmethod
    def _flat(a: Array, plan: RowPlan, letters: tuple[str, ...]) -> Array:
        if len(letters) == 2:
            if plan.perm is not None:
                return a.transpose(plan.perm).reshape(plan.flat)
            return a if a.shape == plan.flat else a.reshape(plan.flat)
        return a.reshape(plan.flat[0 if letters == ("r",) else 1])

    def _full(self, out: Array, plan: RowPlan) -> Array:
        if out.shape != plan.full:
            out = out.reshape(plan.full)
        return out if plan.inverse is None else out.transpose(plan.inverse)

    def up(self, op: Op, plan: RowPlan | None, i: int, out: Array) -> Array:
        if plan is None:
            return out
        letters = op.axes.outputs[i].letters
        if len(letters) == 2:
            return self._full(out, plan)
        kept = plan.kept if letters == ("r",) else plan.c
        return out if out.shape == kept else out.reshape(kept)

    def down_out(self, op: Op, plan: RowPlan | None, i: int, out: Array) -> Array:
        return out if plan is None else self._flat(out, plan, op.out_letters[i])

    def up_in(self, op: Op, plan: RowPlan | None, i: int, dx: Array) -> Array:
        if plan is None:
            return dx
        letters = op.in_letters[i]
        if letters == ("r", "c"):
            return self._full(dx, plan)
        return dx.reshape(plan.r if letters == ("r",) else plan.c)


class Context(NamedTuple):
    """What the backward pass of one call needs."""

    plan: Any
    metas: Metas
    saved: dict[str, Array]
    inputs: list[tuple[tuple[int, ...], np.dtype]]  # canonical shape and dtype of every input


class _Plan(NamedTuple):
    """For the inputs that need a gradient: what the backward pass reads, and what it runs."""

    inputs: list[int]
    outputs: list[int]
    ladders: list[tuple[Ladder, list[int]]]  # each with the numbers of the inputs it is for


class Op:
    """A declared op. Make one with the `@op(...)` decorator."""

    is_view = False

    def __init__(
        self,
        fn: Callable[..., Any],
        axes: str,
        *,
        lower: Lowering | None = None,
        visible: int = 1,
        out: Sequence[Any] = (),
        flops: Callable[..., int] | None = None,
        parallel: bool = False,
    ) -> None:
        self.name = fn.__name__.rstrip("_")
        self.doc = inspect.getdoc(fn) or ""
        self.axes = Axes.parse(axes)
        self.in_letters = tuple(operand.letters for operand in self.axes.inputs)
        self.out_letters = tuple(operand.letters for operand in self.axes.outputs)
        self.lower = lower or Lowering()
        self.visible = visible
        self.flops = flops
        self.out_dtypes = tuple(np.dtype(d) if d is not None else None for d in out)
        names = list(inspect.signature(fn).parameters)
        n_in, n_out = len(self.axes.inputs), len(self.axes.outputs)
        self.inputs, self.outputs = tuple(names[:n_in]), tuple(names[n_in : n_in + n_out])
        self.metas = tuple(names[n_in + n_out :])
        self.ladder = Ladder(Kernel(fn, parallel=parallel), self.inputs, self.outputs, self.metas)
        self.grads: list[Ladder] = []
        self._direct = type(self.lower) is Lowering  # the user's call is the canonical one
        self._dy = f"d{self.outputs[0]}"
        self._plans: dict[tuple[bool, ...], _Plan] = {}

    # -- declaration -------------------------------------------------------------------------

    def numpy(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        """Decorator: the NumPy rung of the forward computation."""
        return self.ladder.numpy(fn)

    def grad(self, fn: Callable[..., Any]) -> Ladder:
        """Decorator: loops that compute gradients of one or more inputs.

        Parameters are named after what they read (inputs, outputs, `d<output>`, metas) and what
        they write (`d<input>`), in that order with the metas last.
        """
        names = list(inspect.signature(fn).parameters)
        writes = [n for n in names if n[:1] == "d" and n[1:] in self.inputs]
        metas = [n for n in names if n in self.metas]
        reads = [n for n in names if n not in writes and n not in metas]
        ladder = Ladder(Kernel(fn), reads, writes, metas)
        self.grads.append(ladder)
        self._plans.clear()
        return ladder

    # -- running -----------------------------------------------------------------------------

    def saved_inputs(self, needs: Sequence[bool]) -> list[int]:
        """Indices of the inputs that the backward pass reads."""
        return self._plan(needs).inputs

    def saves_output(self, needs: Sequence[bool]) -> bool:
        """Whether the backward pass reads the first output."""
        return 0 in self._plan(needs).outputs

    def _plan(self, needs: Sequence[bool]) -> _Plan:
        key = tuple(needs)
        plan = self._plans.get(key)
        if plan is None:
            wanted = {f"d{n}" for n, need in zip(self.inputs, needs) if need}
            ladders = [g for g in self.grads if wanted & set(g.outputs)]
            reads = {n for g in ladders for n in g.inputs}
            plan = self._plans[key] = _Plan(
                [i for i, n in enumerate(self.inputs) if n in reads],
                [i for i, n in enumerate(self.outputs) if n in reads],
                [(g, [self.inputs.index(n[1:]) for n in g.outputs]) for g in ladders],
            )
        return plan

    def forward(
        self, arrays: Sequence[Array], meta: Metas, needs: Sequence[bool] | None = None
    ) -> tuple[tuple[Array, ...], Context | None]:
        """The outputs in the user's shapes, and what backward needs (None when `needs` is None)."""
        lowered, plan = (arrays, None) if self._direct else self.lower.down(self, arrays, meta)
        metas = [meta[m] for m in self.metas] if self.metas else ()
        before = hush()
        try:
            outs = self.ladder.run(lowered, metas, partial(self.allocate, lowered))
        finally:
            restore(before)
        ctx = None
        if needs is not None:
            reads = self._plan(needs)
            saved = {self.inputs[i]: lowered[i] for i in reads.inputs}
            for i in reads.outputs:
                saved[self.outputs[i]] = outs[i]
            ctx = Context(plan, meta, saved, [(a.shape, a.dtype) for a in lowered])
        up = self.lower.up
        if self.visible == 1:  # the common case
            y = outs[0] if type(outs[0]) is np.ndarray else np.asarray(outs[0])
            return (y if plan is None else up(self, plan, 0, y),), ctx
        return tuple(up(self, plan, i, np.asarray(outs[i])) for i in range(self.visible)), ctx

    def backward(self, ctx: Context, dy: Array, needs: Sequence[bool]) -> list[Array | None]:
        """The gradient of every input that needs one, in the user's shapes."""
        plan, metas, saved, _ = ctx
        if plan is not None:
            dy = self.lower.down_out(self, plan, 0, dy)
        given = self._dy
        grads: list[Array | None] = [None] * len(self.inputs)
        for ladder, targets in self._plan(needs).ladders:
            outs = ladder.run(
                [dy if n == given else saved[n] for n in ladder.inputs],
                [metas[m] for m in ladder.metas] if ladder.metas else (),
                partial(_like, ctx.inputs, targets),
            )
            for i, dx in zip(targets, outs):
                if needs[i]:
                    grads[i] = dx if plan is None else self.lower.up_in(self, plan, i, dx)
        return grads

    def allocate(self, lowered: Sequence[Array], dtype: Any = None) -> list[Array]:
        """Uninitialised outputs for canonical inputs (object arrays when `dtype=object`)."""
        shapes = self.axes.out_shapes(self.axes.sizes(self.name, [a.shape for a in lowered]))
        chosen = self.out_dtypes or (None,) * len(shapes)
        return [np.empty(s, dtype or d or lowered[0].dtype) for s, d in zip(shapes, chosen)]

    def explain(
        self, arrays: Sequence[Array], index: tuple[int, ...], meta: Metas, output: int = 0
    ) -> Value:
        """The scalar graph of `outputs[output][index]`, from the uncompiled loops."""
        return expand(self, arrays, index, meta, output)

    def source(self) -> str:
        """The loops as written."""
        return self.ladder.loops.source()

    def __repr__(self) -> str:
        return f"<op {self.name}: {self.axes.text}>"


def _like(inputs: Sequence[Any], targets: Sequence[int]) -> list[Array]:
    return [np.empty(*inputs[i]) for i in targets]


def op(axes: str, **options: Any) -> Callable[[Callable[..., Any]], Op]:
    """Decorator: declare an op from plain loops. See the module docstring and `Op`.

    Args:
        axes: the axis string of the canonical call.
        lower: how the user's call becomes the canonical one.
        visible: how many outputs the user sees; the others are saved for the backward pass.
        out: dtype of every output (None: that of the first input).
        flops: operations as a function of the axis sizes (keyword arguments).
        parallel: divide `prange` loops of rung 1 over threads.
    """
    return lambda fn: Op(fn, axes, **options)
