"""Capture: run a step once on arrays without numbers, and keep what it would compute.

Every op that the step applies to tensors, every in-place change, the walk back from the loss and
every update of an optimiser become nodes of a graph (`descent.compiler.graph`). Python runs as it
always does: shapes, loops over layers and settings are decided now, once; numbers are not there to
be looked at, so a step that needs them (`if loss.item() > 3`) raises `Unsupported`.

While capturing, the tensors the step can reach hold shadows of their memory; afterwards they have
their arrays back, and nothing has been computed.
"""

from __future__ import annotations

import bisect
import gc
import heapq
import inspect
import sys
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from descent import autograd
from descent.autograd import Node as TapeNode
from descent.autograd import TensorBase, current_node
from descent.compiler import forms
from descent.compiler.fuse import overlap
from descent.compiler.graph import Buffer, Check, Map, Reduce, ScatterAdd, UpdateNode, View
from descent.compiler.lowering import Lowerings
from descent.compiler.shadow import Shadow, Unsupported, set_current
from descent.compiler.surroundings import Surroundings, asks_for_grad, tensors_in
from descent.compiler.watch import Watch
from descent.op import Elementwise, Movement, Op
from descent.random import engine

__all__ = ["Capture"]

Array = np.ndarray
POISON = 0x7FC0DEAD  # a NaN that says where it comes from
_ONE_AT_A_TIME = threading.RLock()
_HISTORY = ("node", "requires_grad", "base", "view_of", "hooks", "_history", "retains_grad")


class Capture:
    """The graph of one step, while it is being captured and after."""

    def __init__(self) -> None:
        self.buffers: list[Buffer] = []
        self.nodes: list[Any] = []
        self.updates: list[tuple[Any, dict[str, Any], Any, UpdateNode, Any]] = []
        self.optimizers: list[Any] = []
        self.touched: dict[int, Any] = {}  # leaves whose .grad was set by the step
        self.kept: list[tuple[Any, Array]] = []  # (tensor, its array), swapped for shadows
        self.draws: list[tuple[Any, tuple[Any, ...], dict[str, Any], View]] = []
        self.lowerings = Lowerings(self)
        self._starts: list[int] = []
        self._by_start: dict[int, Buffer] = {}
        self._before = {id(o) for o in gc.get_objects() if issubclass(type(o), TensorBase)}
        self._grads_before: dict[int, Any] = {}
        self._absent: list[tuple[Any, Any]] = []  # (leaf, what stands for its gradient)
        self._histories: dict[int, dict[str, Any]] = {}
        self._shadows: dict[int, Any] = {}
        self.arguments: list[Any] = []  # tensors that each call brings anew
        self.thread = 0
        self.reseeded = False  # the step set the seed of the default generator
        self.presence: list[tuple[Any, bool]] = []  # (leaf, no gradient there), where it is asked
        self.uncleared: list[Any] = []  # leaves whose gradient the step found and kept

    # -- running a step ------------------------------------------------------------------------

    def run(self, fn: Any, args: Any, kwargs: Any, around: Surroundings) -> Any:
        """Call `fn` with its tensor arguments and everything reachable as shadows."""
        with _ONE_AT_A_TIME:
            set_current(self)
            try:
                return self._run(fn, args, kwargs, around)
            finally:
                set_current(None)

    def _run(self, fn: Any, args: Any, kwargs: Any, around: Surroundings) -> Any:
        state = autograd._state
        stream = engine.default_generator.get_state()
        self.thread = threading.get_ident()
        marks = not any(asks_for_grad(f) for f in around.functions)
        if not marks:
            leaves = [t for t in around.tensors if t.requires_grad and t.node is None]
            self.presence = [(t, t.grad is None) for t in leaves]
        try:
            for t in tensors_in((args, kwargs)):
                if not t.requires_grad and all(t is not u for u in self.arguments):
                    self.arguments.append(t)
                    self.argument(t, len(self.arguments) - 1)
            for t in around.tensors:
                self.shadow(t)
                if marks and t.requires_grad and t.node is None and t.grad is None:
                    t.grad = self.absent(t)
            state.capture, engine.observer = self, self.drawn
            with Watch():
                result = fn(*args, **kwargs)
            self._settle()
            for b in self.buffers:
                if b.kind == "constant" and b.dtype == np.float32:
                    if (b.array[: 1 << 13].view(np.uint32) == POISON).any():
                        raise Unsupported("it reads the numbers of a tensor behind its back")
            return result
        finally:
            state.capture = engine.observer = None
            self.after = {id(t): self._present(t.grad) for t, _ in self.kept}
            for t, array in self.kept:
                t.array = array
                t.grad = self._grads_before[id(t)]
                for name, value in self._histories[id(t)].items():
                    setattr(t, name, value)
            if not np.array_equal(stream, engine.default_generator.get_state()):
                engine.default_generator.set_state(stream)
                self.reseeded = True

    def _settle(self) -> None:
        """What the step did to tensors from outside beside changing their numbers."""
        for t, _ in list(self.kept):
            for name, was in self._histories[id(t)].items():
                if name != "_history" and getattr(t, name) is not was:
                    raise Unsupported(
                        f"a tensor from outside the step gets another {name}: an operation in "
                        "place that needs a gradient, or a change of requires_grad"
                    )
            if t.array is self._shadows[id(t)]:
                continue
            new, old = t.array, self._shadows[id(t)]  # t.data = …: into the old memory instead
            owner = self._owner(old.view(np.ndarray))
            fits = isinstance(new, Shadow) and (new.shape, new.dtype) == (old.shape, old.dtype)
            if not fits or owner is None or self.view(new).buffer.kind != "temporary":
                raise Unsupported("a tensor from outside the step is given another's memory")
            t.array = old
            self.write(old, new)

    def absent(self, t: Any) -> Any:
        """Stands for a gradient that is not there, so that clearing it is noticed: a step that
        clears gradients first does not depend on what they were."""
        mark = autograd.wrap(np.empty(t.array.shape, t.array.dtype).view(Shadow))
        self._absent.append((t, mark))
        return mark

    def is_absent(self, g: Any) -> bool:
        """Whether this stands for a gradient that is not there."""
        return any(g is mark for _, mark in self._absent)

    def _present(self, g: Any) -> Any:
        return None if self.is_absent(g) else g

    # -- memory --------------------------------------------------------------------------------

    def temporary(self, shape: Sequence[int], dtype: Any) -> Shadow:
        """New memory for a result."""
        array = _unread(np.empty(max(int(np.prod(shape, dtype=int)), 1), dtype))
        self._register(Buffer(len(self.buffers), "temporary", array))
        return array[: int(np.prod(shape, dtype=int))].reshape(shape).view(Shadow)

    def new_buffer(self, size: int, dtype: Any) -> Buffer:
        """Memory for a temporary made after the capture."""
        self._register(Buffer(len(self.buffers), "temporary", np.empty(size, dtype)))
        return self.buffers[-1]

    def argument(self, t: Any, position: int) -> None:
        """Memory for a tensor that each call brings anew."""
        array = _unread(np.empty(t.array.shape, t.array.dtype))
        flat = array.reshape(-1) if array.size else np.empty(1, array.dtype)
        self._register(Buffer(len(self.buffers), "argument", flat, position))
        self._swap(t, array.view(Shadow))

    def shadow(self, t: Any) -> Shadow:
        """The shadow a tensor holds; a tensor met for the first time gets one."""
        array = t.array
        if isinstance(array, Shadow):
            return array
        if (buffer := self._owner(array)) is not None:
            if buffer.kind in ("kept", "constant"):
                self._swap(t, self._over(buffer, array), inside=id(t) not in self._before)
            return t.array.view(Shadow)
        kind = "kept" if id(t) in self._before else "constant"
        root = _root(array)
        flat = root.reshape(-1) if root.flags.c_contiguous else _span(array)
        if not flat.size:
            flat = np.empty(1, array.dtype)
        self._register(Buffer(len(self.buffers), kind, flat, t if kind == "kept" else flat))
        self._swap(t, array.view(Shadow), inside=kind == "constant")
        return t.array

    def _over(self, buffer: Buffer, array: Array) -> Shadow:
        return array.view(Shadow)

    def _swap(self, t: Any, shadow: Shadow, inside: bool = False) -> None:
        if t.node is not None and not inside:
            raise Unsupported("a tensor that was computed outside the step and has a history there")
        self.kept.append((t, t.array))
        self._grads_before[id(t)] = t.grad
        self._histories[id(t)] = {} if inside else {n: getattr(t, n) for n in _HISTORY}
        self._shadows[id(t)] = shadow
        t.array = shadow
        if t.grad is not None and isinstance(t.grad, TensorBase):
            self.shadow(t.grad)

    def _register(self, buffer: Buffer) -> None:
        start = buffer.array.__array_interface__["data"][0]
        bisect.insort(self._starts, start)
        self._by_start[start] = buffer
        self.buffers.append(buffer)

    def _owner(self, array: Array) -> Buffer | None:
        address = array.__array_interface__["data"][0]
        i = bisect.bisect_right(self._starts, address) - 1
        if i < 0:
            return None
        buffer = self._by_start[self._starts[i]]
        inside = address < self._starts[i] + max(buffer.array.nbytes, 1)
        return buffer if inside and buffer.dtype == array.dtype else None

    def _owner_of(self, t: Any) -> Buffer | None:
        """The buffer of a tensor's memory."""
        array = next((a for u, a in self.kept if u is t), t.array)
        return self._owner(array)

    def view(self, x: Any) -> View:
        """Where the elements of a shadow (or of a constant array) stand."""
        array = x.view(np.ndarray) if isinstance(x, np.ndarray) else np.asarray(x)
        buffer = self._owner(array)
        if buffer is None:
            if isinstance(x, Shadow):
                raise Unsupported("an array over the memory of a tensor in another dtype")
            array = np.array(array, order="C")
            flat = array.reshape(-1) if array.size else np.empty(1, array.dtype)
            self._register(Buffer(len(self.buffers), "constant", flat, flat))
            buffer = self.buffers[-1]
        start = buffer.array.__array_interface__["data"][0]
        size = array.itemsize
        offset = (array.__array_interface__["data"][0] - start) // size
        return View(buffer, offset, array.shape, tuple(s // size for s in array.strides))

    def note(self, node: Any) -> None:
        """Add a node, with the user's line it comes from."""
        node.origin = _origin()
        self.nodes.append(node)

    # -- arithmetic that NumPy would do ----------------------------------------------------------

    def operand(self, x: Any) -> Any:
        """A View, or a number for constants of one element."""
        if isinstance(x, np.ndarray):
            if x.ndim == 0 and not isinstance(x, Shadow) and self._owner(x) is None:
                return x.item()
            return self.view(x)
        if isinstance(x, np.generic):
            return x.item()
        return x

    def map(self, fn: Any, shape: Any, dtype: Any, operands: Sequence[Any], metas: Any = ()) -> Any:
        """A new shadow: fn at every element of the operands, broadcast to `shape`."""
        y = self.temporary(shape, dtype)
        self.map_into(y, fn, operands, metas)
        return y

    def map_into(self, y: Any, fn: Any, operands: Sequence[Any], metas: Any = ()) -> None:
        """fn at every element, into existing memory."""
        if not y.size:
            return
        views = []
        target = self.view(y)
        for x in operands:
            o = self.operand(x)
            if isinstance(o, View) and overlap(o, target) and not _in_step(x, y):
                x = self.copied(x)  # x[1:] = x[:-1]: an element read after another was written
                o = self.operand(x)
            if isinstance(o, View):
                strides = np.broadcast_to(
                    x.view(np.ndarray) if isinstance(x, np.ndarray) else x, y.shape
                ).strides
                o = View(o.buffer, o.offset, y.shape, tuple(s // o.dtype.itemsize for s in strides))
            views.append(o)
        self.note(Map(fn, target, views, list(metas)))

    def ufunc(self, ufunc: Any, method: str, inputs: Any, kwargs: dict[str, Any]) -> Any:
        """What a shadow does when NumPy calls it: note the arithmetic."""
        out = kwargs.pop("out", (None,))[0]
        if method == "reduce":
            return self._reduce(ufunc, inputs[0], kwargs, out)
        fn = forms.UFUNCS.get(ufunc)
        known = {k: v for k, v in kwargs.items() if k not in ("dtype", "casting", "subok")}
        if method != "__call__" or fn is None or known:
            raise Unsupported(f"NumPy's {ufunc.__name__}.{method} on the numbers of a tensor")
        shape = np.broadcast_shapes(*(np.shape(x) for x in inputs))
        probe = [
            np.empty((0,) * x.ndim, x.dtype)
            if isinstance(x, np.ndarray) and x.ndim
            else (np.ones((), x.dtype) if isinstance(x, np.ndarray) else x)
            for x in inputs
        ]
        dtype = kwargs.get("dtype") or ufunc(*probe).dtype
        if out is None:
            return self.map(fn, shape, dtype, inputs)
        if not isinstance(out, Shadow):
            raise Unsupported("arithmetic into an array that is no tensor of the step")
        self.map_into(out, fn, inputs)
        return out

    def _reduce(self, ufunc: Any, x: Shadow, kwargs: dict[str, Any], out: Any) -> Any:
        kinds = {np.add: "sum", np.maximum: "max"}
        if ufunc not in kinds or out is not None or kwargs.get("where", True) is not True:
            raise Unsupported(f"NumPy's {ufunc.__name__}.reduce on the numbers of a tensor")
        axis, keepdims = kwargs.get("axis", 0), kwargs.get("keepdims", False)
        axes = (
            tuple(range(x.ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
        )
        axes = tuple(a % x.ndim for a in axes)
        kept = tuple(a for a in range(x.ndim) if a not in axes)
        probe = ufunc.reduce(np.ones((1,) * x.ndim, x.dtype), axis=None)
        dtype = kwargs.get("dtype") or probe.dtype
        if dtype != x.dtype:
            x = self.cast(x, dtype)
        y = self.temporary([x.shape[a] for a in kept], dtype)
        self.reduce_into(y, np.ndarray.transpose(x, kept + axes), len(kept), kind=kinds[ufunc])
        if keepdims:
            return y.reshape([1 if a in axes else n for a, n in enumerate(x.shape)])
        return y

    def reduce_into(self, y: Any, x: Any, kept: int, scale: float = 1.0, kind: str = "sum") -> None:
        """y = scale · Σ x over all axes after the first `kept`."""
        if any(s < 0 for s in x.strides):
            x = self.copied(x)
        self.note(Reduce(self.view(x), self.view(y), kept, scale, kind))

    def where(self, condition: Any, a: Any, b: Any) -> Any:
        shape = np.broadcast_shapes(*(np.shape(v) for v in (condition, a, b)))
        kinds = [v.dtype if isinstance(v, np.ndarray) else v for v in (a, b)]
        return self.map(forms.where, shape, np.result_type(*kinds), (condition, a, b))

    def copied(self, x: Shadow) -> Shadow:
        """The same elements, row-major, in memory of their own."""
        return self.map(forms.same, x.shape, x.dtype, (x,))

    def cast(self, x: Shadow, dtype: np.dtype) -> Shadow:
        return self.map(forms.same, x.shape, dtype, (x,))

    def write(self, target: Any, value: Any) -> None:
        """target[...] = value."""
        if not isinstance(target, Shadow):
            raise Unsupported("a change in place of an array that is no tensor of the step")
        self.map_into(target, forms.same, (value,))

    def indexed(self, x: Shadow, index: Any) -> Any:
        return self.lowerings.index(x, index)

    def drawn(self, draw: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Shadow:
        """An array the generator fills each time the step runs: draw(*args, **kwargs)."""
        if threading.get_ident() != self.thread:  # not this step's
            return draw(*args, **kwargs)
        given = inspect.signature(draw).bind(*args, **kwargs)
        if any(isinstance(v, Shadow) for v in given.arguments.values()):
            raise Unsupported(f"{draw.__name__} with probabilities that the step computes")
        observer, engine.observer = engine.observer, None
        try:
            generator = given.arguments.get("generator")
            given.arguments["generator"] = _copy_of(generator)
            probe = draw(*given.args, **given.kwargs)
        finally:
            engine.observer = observer
        y = self.temporary(probe.shape, probe.dtype)
        view = self.view(y)
        view.buffer.kind = "drawn"
        self.draws.append((draw, args, kwargs, view))
        return y

    def check_range(self, ids: Any, high: int, allowed: int) -> None:
        """Have the step raise IndexError for a number outside [0, high) that is not `allowed`."""
        self.note(Check(self.view(self.lowerings._flat(ids)), high, allowed))

    # -- ops ---------------------------------------------------------------------------------------

    def apply(self, op: Any, inputs: Sequence[Any], meta: dict[str, Any]) -> Any:
        """What `autograd.apply` does, with the op noted instead of computed."""
        needs = None
        if autograd.is_grad_enabled():
            for t in inputs:
                current_node(t)
                if t.requires_grad:
                    needs = inputs
            if needs is not None:
                needs = [t.requires_grad for t in inputs]
        shadows = [
            t.array if _number(t) and id(t) not in self._before else self.shadow(t) for t in inputs
        ]
        outs, ctx = self.forward(op, shadows, meta, needs or [False] * len(inputs))
        y = autograd.wrap(outs[0])
        if needs is not None and outs[0].dtype.kind in "fc":
            autograd._record(op, ctx, inputs, needs, y)
        if op.is_view:
            autograd._remember_view(op, inputs[0], y, meta)
        return y if len(outs) == 1 else (y, *(autograd.wrap(o) for o in outs[1:]))

    def forward(self, op: Any, arrays: list[Any], meta: dict[str, Any], needs: Any) -> Any:
        """Note an op; returns its outputs and what `step_back` needs."""
        if isinstance(op, Elementwise):
            return self._elementwise(op, arrays, meta)
        if isinstance(op, Movement):
            return self.lowerings.movement(op, arrays, meta)
        if isinstance(op, Op):
            return self.lowerings.op(op, arrays, meta, needs)
        outs, ctx = op.forward([self._as_shadow(a) for a in arrays], meta, needs)
        return outs, ctx

    def _as_shadow(self, a: Any) -> Any:
        return a if isinstance(a, Shadow) else self.place(a)

    def place(self, array: Array) -> Shadow:
        """A constant array as a shadow."""
        view = self.view(array)
        base = view.buffer.array[view.offset :]
        steps = [s * array.itemsize for s in view.strides]
        return np.lib.stride_tricks.as_strided(base, array.shape, steps).view(Shadow)

    def _elementwise(self, op: Elementwise, arrays: list[Any], meta: dict[str, Any]) -> Any:
        metas = [meta.get(m, op.defaults[m]) for m in op.metas]
        shape = np.broadcast_shapes(*(a.shape for a in arrays))
        probe = [np.ones((1,) * a.ndim, a.dtype) for a in arrays]
        if op.out_dtype is not None:
            dtype = op.out_dtype
        else:
            with np.errstate(all="ignore"):
                dtype = np.asarray(op.arrays(*probe, *metas)).dtype
        y = self.map(op.scalar, shape, dtype, arrays, metas)
        return (y,), (dict(zip(op.inputs, arrays)), dict(zip(op.metas, metas)), y)

    # -- the walk back -----------------------------------------------------------------------------

    def backward(self, root: Any, gradient: Any, retain_graph: bool = False) -> None:
        """What `autograd.backward` does, noted."""
        for t, mark in self._absent:
            if t.grad is mark:  # from here on None again; nobody cleared it
                t.grad = None
                self.uncleared.append(t)
        self._absent = []
        gradient = self._as_shadow(gradient)
        node = current_node(root)
        if node is None:
            self._into_leaf(root, gradient)
            return
        pending: dict[TapeNode, Any] = {node: gradient}
        heap = [(-node.number, node)]
        with autograd.no_grad():
            while heap:
                node = heapq.heappop(heap)[1]
                dy = pending.pop(node)
                if node.hooks or node.retained is not None:
                    dy = autograd._run_hooks(node, dy)
                autograd._check_usable(node)
                grads = self.step_back(node, dy)
                if not retain_graph:
                    node.ctx = None
                for edge, g in zip(node.edges, grads):
                    if edge is None or g is None:
                        continue
                    if not isinstance(edge, TapeNode):
                        self._into_leaf(edge, g)
                    elif edge not in pending:
                        pending[edge] = g
                        heapq.heappush(heap, (-edge.number, edge))
                    else:
                        pending[edge] = self.map(forms.add, g.shape, g.dtype, (pending[edge], g))

    def step_back(self, node: TapeNode, dy: Any) -> list[Any]:
        """The gradients of a node's inputs, noted."""
        op, ctx, needs = node.op, node.ctx, node.needs
        if isinstance(op, Elementwise):
            return self._elementwise_back(op, ctx, dy, needs)
        if isinstance(op, Movement):
            return self.lowerings.movement_back(op, ctx, dy, needs)
        if isinstance(op, Op):
            return self.lowerings.op_back(op, ctx, dy, needs)
        return list(op.backward(ctx, dy, needs))

    def _elementwise_back(self, op: Elementwise, ctx: Any, dy: Any, needs: Any) -> list[Any]:
        inputs, metas, y = ctx
        known = {**inputs, **metas, "y": y, "dy": dy}
        grads: list[Any] = []
        for name, need in zip(op.inputs, needs):
            if not need:
                grads.append(None)
                continue
            d = op._derivative(name)
            x = inputs[name]
            args = [known[n] for n in d.names]
            if d.scalar is forms.ONE_TIMES or (len(args) == 1 and args[0] is dy and _identity(d)):
                g = dy
            else:
                g = self.map(d.scalar, dy.shape, x.dtype, args)
            grads.append(self.sum_to(g, x.shape))
        return grads

    def sum_to(self, g: Any, shape: tuple[int, ...]) -> Any:
        """Sum a gradient over the axes that broadcasting stretched."""
        if g.shape == shape:
            return g
        lead = g.ndim - len(shape)
        axes = tuple(range(lead)) + tuple(
            i + lead for i, n in enumerate(shape) if n == 1 and g.shape[i + lead] != 1
        )
        if not axes:
            return g.reshape(shape)
        kept = tuple(a for a in range(g.ndim) if a not in axes)
        y = self.temporary([g.shape[a] for a in kept], g.dtype)
        self.reduce_into(y, np.ndarray.transpose(g, kept + axes), len(kept))
        return y.reshape(shape)

    def _into_leaf(self, t: Any, g: Any) -> None:
        for hook in t.hooks or ():
            changed = hook(autograd.wrap(g))
            if changed is not None:
                g = changed.array
        self.shadow(t)
        if id(t) not in self.touched:
            self.touched[id(t)] = t
            if t.grad is not None:  # nobody cleared it: the step depends on what it was
                self.uncleared.append(t)
        t.grad = self._present(t.grad)
        if t.grad is None:
            taken = {
                id(self.view(o.grad.array).buffer)
                for o in self.touched.values()
                if o.grad is not None
            }
            view = self.view(g)
            mine = view.buffer.kind == "temporary" and id(view.buffer) not in taken
            t.grad = autograd.wrap(g if mine and view.contiguous else self.copied(g))
        else:
            last = self.nodes[-1]
            into = self.shadow(t.grad)
            if isinstance(last, ScatterAdd) and last.target.buffer is self.view(g).buffer:
                last.target = self.view(into).reshaped(last.target.shape)  # added where it lands
                last.accumulate = True
            else:
                self.map_into(into, forms.add, (into, g))
            t.grad.version[0] += 1

    # -- optimisers --------------------------------------------------------------------------------

    def optimizer_step(self, optimizer: Any) -> None:
        """An optimiser begins its step."""
        self.optimizers.append(optimizer)

    def update(
        self, optimizer: Any, group: Any, p: Any, rule: Any, arrays: list[Any], state: Any
    ) -> None:
        """One parameter's update."""
        views = [self.view(self._state_array(a)) for a in arrays]
        writes = tuple(rule.arrays.index(n) for n in rule.writes)
        if not all(v.contiguous for v in views):
            raise Unsupported("an optimiser's update of a parameter that is not contiguous")
        node = UpdateNode(rule, views, writes)
        self.note(node)
        self.updates.append((optimizer, group, p, node, state))

    def _state_array(self, a: Any) -> Any:
        if isinstance(a, Shadow) or self._owner(a) is not None:
            return a
        flat = a.reshape(-1)
        self._register(Buffer(len(self.buffers), "kept", flat, None, "moment"))
        return a


def _unread(array: Array) -> Array:
    """Memory that nobody may read, filled so that it shows when somebody does."""
    if array.nbytes <= 1 << 15:
        if array.dtype == np.float32:
            array.view(np.uint32)[...] = POISON
        elif array.dtype.kind in "iu":
            array[...] = np.iinfo(array.dtype).max - 7
    return array


def _number(t: Any) -> bool:
    """A constant of one element: written into the source as a number."""
    return (
        t.array.ndim == 0
        and not isinstance(t.array, Shadow)
        and t.node is None
        and (t.array.base is None and not t.requires_grad and t.grad is None)
    )


def _root(array: Array) -> Array:
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array.view(np.ndarray)


def _span(array: Array) -> Array:
    """The memory a strided array can touch, as one row."""
    low = sum((n - 1) * s for n, s in zip(array.shape, array.strides) if s < 0)
    high = sum((n - 1) * s for n, s in zip(array.shape, array.strides) if s > 0)
    n = (high - low) // array.itemsize + 1
    first = array[tuple(0 if s >= 0 else -1 for s in array.strides)]
    return np.lib.stride_tricks.as_strided(np.asarray(first), (n,), (array.itemsize,))


def _in_step(x: Any, y: Any) -> bool:
    """Whether element i of x, broadcast to y, is element i of y, and no other's place."""
    x, y = x.view(np.ndarray), y.view(np.ndarray)
    if x.shape != y.shape or x.__array_interface__["data"] != y.__array_interface__["data"]:
        return False
    return all(n == 1 or s == t for n, s, t in zip(x.shape, x.strides, y.strides))


def _identity(d: Any) -> bool:
    return d.scalar.__code__.co_code == forms.ONE_TIMES.__code__.co_code


def _copy_of(generator: Any) -> Any:
    g = engine.Generator()
    g.set_state((generator or engine.default_generator).get_state())
    return g


def _origin() -> str:
    """`file:line` of the innermost frame outside this package's engine: the user's line."""
    frame = sys._getframe(2)
    best = ""
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if not name.startswith("descent.") or name.startswith(("descent.models", "descent.goals")):
            return f"{frame.f_code.co_filename.rsplit('/', 1)[-1]}:{frame.f_lineno}"
        frame = frame.f_back
    return best
