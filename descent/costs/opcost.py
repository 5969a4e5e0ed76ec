"""What one call of an op must do: operations, and bytes read and written, forward and backward.

    bytes = every input that is read, once, + every output that is written, once

A view moves nothing; a broadcast input counts its own numbers, not the repeated ones; an op that
copies reads and writes as many bytes as come out. That is the least an op of its own can do: a rung
that makes temporaries moves more, and the difference shows as time above the floor. Operations are
those of the loops as written or those the op declares (`flops=`), whichever are fewer: causal
attention, whose loops stop at the diagonal, costs half of what its axes say.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from descent.costs.loops import Uncountable, count_operations
from descent.op import Elementwise, Op

__all__ = ["Cost", "arrays_in", "backward_cost", "forward_cost", "touched"]

Array = np.ndarray


class Cost(NamedTuple):
    """Operations and bytes of one call."""

    operations: float
    bytes: int


FREE = Cost(0, 0)


def touched(a: Array) -> int:
    """Bytes of memory behind an array: repeated numbers (stride 0) count once."""
    return math.prod(n for n, s in zip(a.shape, a.strides) if s or n == 0) * a.itemsize


def arrays_in(found: Any) -> list[Array]:
    """The arrays of a nested structure (what an op keeps for its backward pass, its metas)."""
    if isinstance(found, np.ndarray):
        return [found]
    if isinstance(found, dict):
        found = found.values()
    elif not isinstance(found, (list, tuple)):
        return []
    return [a for part in found for a in arrays_in(part)]


def _moved(reads: Iterable[Any], writes: Iterable[Any]) -> int:
    """Bytes of distinct arrays read, and of all written."""
    read = {id(a): touched(a) for a in reads if isinstance(a, np.ndarray)}
    return sum(read.values()) + sum(touched(a) for a in writes if a is not None)


def _count(fn: Any, known: dict[str, Any], otherwise: float) -> float:
    try:
        return count_operations(fn, known)
    except Uncountable:
        return otherwise


def forward_cost(
    op: Any, arrays: Sequence[Array], outputs: Sequence[Array], meta: dict[str, Any]
) -> Cost:
    """The cost of computing `outputs` from `arrays`."""
    y = outputs[0]
    if isinstance(op, Op):
        return _loops_forward(op, arrays, meta)
    if isinstance(op, Elementwise):
        each = _count(op.scalar, _metas(op, meta), 1)
        return Cost(each * y.size, _moved(arrays, outputs))
    if any(_shares(y, a) for a in arrays):
        return FREE
    if len(arrays) == 1 and not arrays_in(meta):  # a copy: what comes out was read
        return Cost(0, touched(y) + y.nbytes)
    return Cost(0, 2 * y.nbytes + sum(a.nbytes for a in arrays_in(meta)))


def _loops_forward(op: Op, arrays: Sequence[Array], meta: dict[str, Any]) -> Cost:
    lowered, _ = op.lower.down(op, arrays, meta)
    sizes = op.axes.sizes(op.name, [a.shape for a in lowered])
    shapes = op.axes.out_shapes(sizes)
    known = dict(zip(op.inputs, lowered)) | dict(zip(op.outputs, shapes)) | _metas(op, meta)
    counted = _count(op.ladder.loops.py, known, math.inf)
    declared = op.flops(**sizes) if op.flops is not None else math.inf
    operations = min(counted, declared)
    if operations == math.inf:
        operations = math.prod(sizes.values())
    dtypes = [d or lowered[0].dtype for d in op.out_dtypes or (None,) * len(shapes)]
    written = sum(math.prod(s) * d.itemsize for s, d in zip(shapes, dtypes))
    return Cost(operations, _moved(lowered, ()) + written)


def backward_cost(node: Any, dy: Array, grads: Sequence[Array | None]) -> Cost:
    """The cost of one step of the walk back; to be asked while the node still has its context."""
    op = node.op
    made = [g for g in grads if g is not None and not _shares(g, dy)]
    if isinstance(op, Op):
        return _loops_backward(op, node, dy, made)
    if isinstance(op, Elementwise):
        return _elementwise_backward(op, node, dy, grads)
    if not made:
        return FREE
    kept = sum(g.size for g in made)
    indexed = any(a.dtype.kind in "iu" for a in arrays_in(node.ctx))
    added = dy.size if indexed else max(0, dy.size - kept)  # numbers that were read several times
    return Cost(added, _moved([dy], made))


def _elementwise_backward(
    op: Elementwise, node: Any, dy: Array, grads: Sequence[Array | None]
) -> Cost:
    operations, reads, writes = 0.0, [], []
    for name, g in zip(op.inputs, grads):
        if g is None or g is dy:
            continue
        derivative = op.derivatives[name]
        known = {n: v for n, v in node.ctx.known.items() if n in op.metas}
        operations += _count(derivative.scalar, known, 1) * dy.size + max(0, dy.size - g.size)
        reads += [dy, *(node.ctx.known[n] for n in derivative.names if n in node.ctx.known)]
        if not _shares(g, dy):
            writes.append(g)
    return Cost(operations, _moved(reads, writes))


def _loops_backward(op: Op, node: Any, dy: Array, made: Sequence[Array]) -> Cost:
    ctx, y = node.ctx, op.outputs[0]
    operations, reads = 0.0, []
    known: dict[str, Any] = {**ctx.saved, f"d{y}": op.lower.down_out(op, ctx.plan, 0, dy)}
    shapes = {f"d{n}": shape for n, (shape, _) in zip(op.inputs, ctx.inputs)}
    for ladder in op.grads:
        wanted = [op.inputs.index(n[1:]) for n in ladder.outputs]
        if not any(node.needs[i] for i in wanted):
            continue
        env = known | shapes | _metas(op, ctx.metas)
        operations += _count(
            ladder.loops.py, env, sum(math.prod(shapes[n]) for n in ladder.outputs)
        )
        reads += [known[n] for n in ladder.inputs if n in known]
    return Cost(operations, _moved(reads, made))


def _metas(op: Any, meta: dict[str, Any]) -> dict[str, Any]:
    given = {**getattr(op, "defaults", {}), **meta}
    return {m: given[m] for m in op.metas if isinstance(given.get(m), (int, float))}


def _shares(a: Array, b: Array) -> bool:
    return a is b or (a.base is not None and np.may_share_memory(a, b))
