"""How each declared op becomes nodes of a step's graph.

Products, sums, softmax-like rows, lookups and attention have forms of their own here; every other
op runs its loops (rung 1 of its ladder) as they are declared. Movement runs as it stands on
shadows: a view stays a view.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from descent.compiler import forms, rows
from descent.compiler.graph import Gather, Loops, Product, ScatterAdd, View
from descent.compiler.shadow import Shadow, Unsupported
from descent.op import Movement, Op
from descent.ops import embedding, gathers, products, reductions

__all__ = ["Lowerings"]


class Lowerings:
    """The rules, for one capture."""

    def __init__(self, capture: Any) -> None:
        self.capture = capture
        self.forward_rules = {
            products.affine: self._affine,
            products.linear: self._affine,
            products.mm: self._mm,
            products.matmul: self._matmul,
            reductions.sum_: self._sum,
            reductions.mean: self._mean,
        }
        self.back_rules = {
            products.affine: self._affine_back,
            products.linear: self._affine_back,
            products.mm: self._mm_back,
            products.matmul: self._matmul_back,
            reductions.sum_: self._sum_back,
            reductions.mean: self._mean_back,
        }

    # -- declared ops --------------------------------------------------------------------------

    def op(self, op: Op, arrays: list[Any], meta: dict[str, Any], needs: Any) -> Any:
        """Outputs in the user's shapes, and what `op_back` needs."""
        c = self.capture
        arrays = [c._as_shadow(a) for a in arrays]
        down, plan = op.lower.down(op, arrays, meta)
        lowered = list(down)
        metas = {m: meta[m] for m in op.metas}
        rule = self.forward_rules.get(op)
        if rule is not None:
            outs = rule(op, lowered, metas)
        else:
            outs = self._loops(op.ladder, op, lowered, metas, self._allocate(op, lowered))
        saved = {**dict(zip(op.inputs, lowered)), **dict(zip(op.outputs, outs))}
        up = [op.lower.up(op, plan, i, outs[i]) for i in range(op.visible)]
        return tuple(up), (plan, metas, saved, [(a.shape, a.dtype) for a in lowered])

    def _allocate(self, op: Op, lowered: list[Any]) -> list[Any]:
        shapes = op.axes.out_shapes(op.axes.sizes(op.name, [a.shape for a in lowered]))
        kinds = op.out_dtypes or (None,) * len(shapes)
        return [self.capture.temporary(s, d or lowered[0].dtype) for s, d in zip(shapes, kinds)]

    def op_back(self, op: Op, ctx: Any, dy: Any, needs: Any) -> list[Any]:
        """Gradients of the inputs that need one, in the user's shapes."""
        plan, metas, saved, given = ctx
        dy = op.lower.down_out(op, plan, 0, dy)
        known = {**saved, f"d{op.outputs[0]}": dy}
        grads: list[Any] = [None] * len(op.inputs)
        rule = self.back_rules.get(op)
        if rule is not None:
            for i, dx in enumerate(rule(op, known, metas, dy, needs)):
                if needs[i] and dx is not None:
                    grads[i] = op.lower.up_in(op, plan, i, dx)
            return grads
        for ladder in op.grads:
            targets = [op.inputs.index(n[1:]) for n in ladder.outputs]
            if not any(needs[i] for i in targets):
                continue
            outs = [self.capture.temporary(*given[i]) for i in targets]
            self._loops(ladder, op, [known[n] for n in ladder.inputs], metas, outs)
            for i, dx in zip(targets, outs):
                if needs[i]:
                    grads[i] = op.lower.up_in(op, plan, i, dx)
        return grads

    def _loops(
        self, ladder: Any, op: Op, inputs: list[Any], metas: dict[str, Any], outs: list[Any]
    ) -> list[Any]:
        """The loops of a ladder on whole arrays: in the form for rows, where there is one."""
        c = self.capture
        inputs = [self._row_major(a) for a in inputs]
        ins, ous = [c.view(a) for a in inputs], [c.view(a) for a in outs]
        numbers = [metas[m] for m in ladder.metas]
        form = rows.form_of(ladder, inputs)
        if form is not None:
            for node in form(ins, ous, numbers, lambda s, d: c.view(c.temporary(s, d))):
                c.note(node)
            return outs
        work = 4 * max(v.size for v in [*ins, *ous])
        c.note(Loops(ladder.loops, ins, ous, numbers, _path(op, ladder), operations=work))
        return outs

    def _row_major(self, a: Any) -> Any:
        if isinstance(a, Shadow) and self.capture.view(a).contiguous:
            return a
        return self.capture.copied(a)

    # -- products ------------------------------------------------------------------------------

    def _product(self, a: Any, b: Any, shape: Any, bias: Any = None) -> Any:
        """y = a · b (+ bias), two or three axes."""
        c = self.capture
        y = c.temporary(shape, a.dtype)
        va, vb, vy = (self._matrix(x) for x in (a, b, y))
        c.note(Product(vy, va, vb, None if bias is None else c.view(self._row_major(bias))))
        return y

    def _matrix(self, x: Any) -> View:
        """A view with three axes, one of the last two running along memory."""
        v = self.capture.view(x)
        if x.ndim == 2:
            v = View(v.buffer, v.offset, (1, *v.shape), (0, *v.strides))
        if min(v.strides) >= 0 and (1 in v.strides[1:] or min(v.shape[1:]) <= 1):
            return v
        return self._matrix(self.capture.copied(x))

    def _affine(self, op: Op, arrays: list[Any], metas: Any) -> list[Any]:
        x, w = arrays[:2]
        bias = arrays[2] if len(arrays) > 2 else None
        return [self._product(x, w.T, (x.shape[0], w.shape[0]), bias)]

    def _affine_back(self, op: Op, known: Any, metas: Any, dy: Any, needs: Any) -> list[Any]:
        x, w = known["x"], known["w"]
        grads = [None, None, None]
        if needs[0]:
            grads[0] = self._product(dy, w, x.shape)
        if needs[1]:
            grads[1] = self._product(dy.T, x, w.shape)
        if len(needs) > 2 and needs[2]:
            grads[2] = self._column_sums(dy)
        return grads[: len(needs)]

    def _column_sums(self, dy: Any) -> Any:
        y = self.capture.temporary((dy.shape[1],), dy.dtype)
        self.capture.reduce_into(y, dy.T, 1)
        return y

    def _mm(self, op: Op, arrays: list[Any], metas: Any) -> list[Any]:
        a, b = arrays
        return [self._product(a, b, (a.shape[0], b.shape[1]))]

    def _mm_back(self, op: Op, known: Any, metas: Any, dy: Any, needs: Any) -> list[Any]:
        a, b = known["a"], known["c"]
        return [
            self._product(dy, b.T, a.shape) if needs[0] else None,
            self._product(a.T, dy, b.shape) if needs[1] else None,
        ]

    def _matmul(self, op: Op, arrays: list[Any], metas: Any) -> list[Any]:
        a, b = arrays
        return [self._product(a, b, (a.shape[0], a.shape[1], b.shape[2]))]

    def _matmul_back(self, op: Op, known: Any, metas: Any, dy: Any, needs: Any) -> list[Any]:
        a, b = known["a"], known["c"]
        return [
            self._product(dy, b.swapaxes(1, 2), a.shape) if needs[0] else None,
            self._product(a.swapaxes(1, 2), dy, b.shape) if needs[1] else None,
        ]

    # -- sums ----------------------------------------------------------------------------------

    def _sum(self, op: Op, arrays: list[Any], metas: Any, scale: float = 1.0) -> list[Any]:
        (x,) = arrays
        y = self.capture.temporary((x.shape[0],), x.dtype)
        self.capture.reduce_into(y, x, 1, scale)
        return [y]

    def _mean(self, op: Op, arrays: list[Any], metas: Any) -> list[Any]:
        return self._sum(op, arrays, metas, 1.0 / max(arrays[0].shape[1], 1))

    def _sum_back(self, op: Op, known: Any, metas: Any, dy: Any, needs: Any) -> list[Any]:
        return [np.broadcast_to(dy[:, None], known["x"].shape)]

    def _mean_back(self, op: Op, known: Any, metas: Any, dy: Any, needs: Any) -> list[Any]:
        x = known["x"]
        scaled = self.capture.map(forms.multiply, dy.shape, dy.dtype, (dy, 1.0 / x.shape[1]))
        return [np.broadcast_to(scaled[:, None], x.shape)]

    # -- movement and lookups --------------------------------------------------------------------

    def movement(self, op: Movement, arrays: list[Any], meta: dict[str, Any]) -> Any:
        """The moved shadow, and what `movement_back` needs."""
        c = self.capture
        arrays = [c._as_shadow(a) for a in arrays]
        if op.fn is embedding.embedding.fn:
            y = self._lookup(arrays[0], meta["ids"])
        elif op.fn is gathers.index.fn:
            y = self.index(arrays[0], meta["index"])
        else:
            y = op.fn(arrays, **meta) if op.many else op.fn(arrays[0], **meta)
        if not isinstance(y, Shadow):
            raise Unsupported(f"the op {op.name}: it moves numbers in a way capture can't follow")
        return (y,), ([a.shape for a in arrays] if op.many else arrays[0].shape, meta)

    def movement_back(self, op: Movement, ctx: Any, dy: Any, needs: Any) -> list[Any]:
        """The gradient of a movement, itself a movement."""
        given, meta = ctx
        if op.fn is embedding.embedding.fn:
            dw = self._scatter(dy, meta["ids"], given)
            if meta["padding_idx"] is not None:
                self.capture.map_into(dw[meta["padding_idx"]], forms.same, (0.0,))
            return [dw]
        if op.fn is gathers.index.fn:
            return [self._index_back(dy, given, meta["index"])]
        if op.fn is gathers.gather.fn:
            places = gathers.along(given, meta["dim"], meta["index"])
            n = int(np.prod(given, dtype=int))
            return [self._scatter(dy.reshape((-1, 1)), places, (n, 1)).reshape(given)]
        if op.gradient is None:
            raise RuntimeError(f"{op.name} has no gradient")
        found = op.gradient(dy, given, *[meta[m] for m in op.metas])
        grads = list(found) if op.many else [found]
        if not all(isinstance(g, Shadow) for g in grads):
            raise Unsupported(f"the gradient of {op.name}")
        return grads

    def _lookup(self, table: Any, ids: Any) -> Any:
        c = self.capture
        width = int(np.prod(table.shape[1:], dtype=int))
        y = c.temporary((*ids.shape, *table.shape[1:]), table.dtype)
        table = self._row_major(table)
        c.note(
            Gather(
                c.view(table).reshaped((table.shape[0], width)),
                c.view(self._flat(ids)),
                c.view(y).reshaped((ids.size, width)),
            )
        )
        return y

    def _flat(self, ids: Any) -> Any:
        ids = self._row_major(ids if isinstance(ids, Shadow) else self.capture.place(ids))
        if ids.dtype != np.int64:
            ids = self.capture.cast(ids, np.dtype(np.int64))
        return ids.reshape((-1,))

    def _scatter(self, dy: Any, ids: Any, given: tuple[int, ...]) -> Any:
        c = self.capture
        width = int(np.prod(given[1:], dtype=int))
        dw = c.temporary(given, dy.dtype)
        dy = self._row_major(dy)
        c.note(
            ScatterAdd(
                c.view(dy).reshaped((ids.size, width)),
                c.view(self._flat(ids)),
                c.view(dw).reshaped((given[0], width)),
            )
        )
        return dw

    def _places(self, given: tuple[int, ...], index: Any) -> tuple[Any, tuple[int, ...]]:
        """Row numbers for an index, and the trailing sizes that it leaves whole (a row's shape)."""
        parts = index if isinstance(index, tuple) else (index,)
        arrays = [p for p in parts if isinstance(p, np.ndarray)]
        if not any(isinstance(p, Shadow) for p in arrays):  # known now: numbers in the source
            places, tail = gathers._positions(given, tuple(parts))
            return self.capture.place(np.ascontiguousarray(places)), tail
        if len(arrays) < len(parts) or any(p.dtype.kind not in "iu" for p in arrays):
            raise Unsupported(
                "indexing by masks, or by arrays beside slices, that the step computes"
            )
        places = None
        for p, n in zip(arrays, given):
            p = p if isinstance(p, Shadow) else self.capture.place(p.astype(np.int64))
            if p.dtype != np.int64:
                p = self.capture.cast(p, np.dtype(np.int64))
            p = self.capture.map(wrapped, p.shape, np.int64, (p,), (n,))
            if places is None:
                places = p
            else:
                shape = np.broadcast_shapes(places.shape, p.shape)
                places = self.capture.map(place, shape, np.int64, (places, p), (n,))
        return places, given[len(arrays) :]

    def index(self, x: Any, index: Any) -> Any:
        """x[index] for integer arrays, masks known now, and slices beside them."""
        lead, moved = self._leading_slices(index)
        if lead:  # x[:, ids]: the indexed axis first, and back
            axes = (*range(lead, x.ndim), *range(lead))
            y = self.index(x.transpose(axes), moved)
            n = y.ndim - lead
            return y.transpose((*range(n, y.ndim), *range(n)))
        places, tail = self._places(x.shape, index)
        rows = x.size // max(int(np.prod(tail, dtype=int)), 1)
        table = self._row_major(x).reshape((rows, *tail))
        return self._lookup(table, places)

    def _leading_slices(self, index: Any) -> tuple[int, Any]:
        """How many whole axes stand before one traced index array, and the index without them."""
        if not isinstance(index, tuple) or not isinstance(index[-1], Shadow):
            return 0, index
        lead = len(index) - 1
        whole = all(isinstance(p, slice) and p == slice(None) for p in index[:lead])
        return (lead, index[lead:]) if whole else (0, index)

    def _index_back(self, dy: Any, given: tuple[int, ...], index: Any) -> Any:
        lead, moved = self._leading_slices(index)
        if lead:
            n = dy.ndim - lead
            used = moved[0].ndim
            dy = dy.transpose(
                (*range(lead, lead + used), *range(lead + used, dy.ndim), *range(lead))
            )
            dx = self._index_back(dy, (*given[lead:], *given[:lead]), moved)
            n = dx.ndim - lead
            return dx.transpose((*range(n, dx.ndim), *range(n)))
        places, tail = self._places(given, index)
        rows = int(np.prod(given, dtype=int)) // max(int(np.prod(tail, dtype=int)), 1)
        return self._scatter(dy, places, (rows, *tail)).reshape(given)


def _path(op: Op, ladder: Any) -> tuple[str, str]:
    """The module of an op and the expression that finds these loops there."""
    module = ladder.loops.py.__module__
    name = next(k for k, v in vars(sys.modules[module]).items() if v is op)
    if ladder is op.ladder:
        return module, f"{name}.ladder.loops"
    return module, f"{name}.grads[{op.grads.index(ladder)}].loops"


def wrapped(i, n):
    """A negative index counts from the end; one outside becomes −1, which the lookup reports."""
    return i if 0 <= i < n else i + n if -n <= i < 0 else -1


def place(i, j, n):
    """Row number of a pair of indices; −1 stays −1."""
    return i * n + j if i >= 0 and j >= 0 else -1
