"""Reverse-mode automatic differentiation: the tape and the walk back over it.

Every op applied to a tensor that requires a gradient leaves a `Node`: the op, what its backward
pass needs, and edges to the nodes (or leaf tensors) of its inputs. Nodes are numbered as they are
made, so a consumer always has a higher number than its producers, and walking back is taking the
highest pending number each time: no recursion, no counting of dependents.

    dL/dx = Σ over consumers y of x:  (dL/dy)(dy/dx)

In-place changes bump a version counter that a tensor shares with its views; the backward pass
compares it with the version at the time of saving and raises instead of using changed numbers.
Left out: gradients of gradients (kernels state first-order gradients only).

Reference: Paszke et al. 2017, "Automatic differentiation in PyTorch".
"""

from __future__ import annotations

import functools
import itertools
import threading
from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from typing import Any

import numpy as np

from descent.op import AnyOp, Movement
from descent.op.quiet import hush, restore

__all__ = [
    "Node", "TensorBase", "apply", "backward", "capturing", "enable_grad", "inference_mode",
    "is_grad_enabled", "known", "no_grad", "observe", "set_grad_enabled", "set_tensor_class",
    "wrap",
]  # fmt: skip

Array = np.ndarray
_numbers = itertools.count()


class _State(threading.local):
    enabled = True
    observers: tuple[Callable[..., None], ...] = ()
    capture: Any = None  # a step being captured (descent.compiler): ops are noted, not computed


_state = _State()
_tensor_class: Any = None
_array_of: Callable[..., Array] = np.asarray


class TensorBase:
    """What autograd knows of a tensor; `descent.Tensor` adds the methods.

    Attributes:
        array: the numbers (a NumPy array, possibly a view of another tensor's).
        requires_grad: whether operations on it are recorded.
        grad: the accumulated gradient of a leaf, a tensor or None.
        node: the Node that made it; None for a leaf.
        version: one-element list counting in-place changes, shared by all views of the memory.
        base, view_of: for a view, the tensor that owns the memory and how to derive it from there.
    """

    __slots__ = (
        "__weakref__", "_history", "array", "base", "grad", "hooks", "label", "node",
        "requires_grad", "retains_grad", "version", "view_of",
    )  # fmt: skip

    array: Array

    def __init__(self, array: Any = (), *sizes: Any) -> None:
        self.array = array if isinstance(array, np.ndarray) else _array_of(array, *sizes)
        self.requires_grad = False
        self.grad: Any = None
        self.node: Node | None = None
        self.version = [0]
        self.base: TensorBase | None = None
        self.view_of: tuple[tuple[AnyOp, dict[str, Any]], ...] = ()
        self._history = 0  # how often the memory's recorded history was rewritten in place
        self.hooks: list[Callable[..., Any]] | None = None
        self.retains_grad = False
        self.label: str | None = None


def set_tensor_class(cls: type[TensorBase], array_of: Callable[..., Array]) -> None:
    """Tell autograd which class its results have (called once, by `descent.tensor`).

    Args:
        array_of: the array for constructor arguments that are none, such as sizes or lists.
    """
    global _tensor_class, _array_of
    _tensor_class, _array_of = cls, array_of


def wrap(array: Array) -> Any:
    """A tensor without history around an array."""
    return _tensor_class(array)


class Node:
    """One recorded operation: how to turn the gradient of its output into those of its inputs."""

    __slots__ = ("ctx", "edges", "hooks", "label", "needs", "number", "op", "retained", "saved")

    def __init__(self, op: Any, ctx: Any, edges: list[Any], needs: Sequence[bool]) -> None:
        self.op = op
        self.ctx: Any = ctx
        self.edges = edges  # Node, leaf tensor or None, one per input
        self.needs = needs
        self.number = next(_numbers)
        # (version cell, version then, number of the input or a name)
        self.saved: list[tuple[list[int], int, int | str]] = []
        self.hooks: list[Callable[..., Any]] | None = None
        self.retained: Any = None  # the tensor whose .grad is to be kept (retain_grad)
        self.label: str | None = None

    def name(self) -> str:
        """`MulBackward0`, as PyTorch would print it."""
        if self.op.name == "copy_slices":
            return "CopySlices"
        return "".join(p.capitalize() for p in self.op.name.split("_")) + "Backward0"

    def __repr__(self) -> str:
        return f"<{self.name()}>"


def capturing() -> Any:
    """The capture that notes this thread's ops instead of computing them, or None."""
    return _state.capture


def known(array: Array) -> bool:
    """Whether an array has its numbers: False for those of a step that is being captured."""
    return type(array) is np.ndarray or not getattr(array, "abstract", False)


def is_grad_enabled() -> bool:
    """Whether operations are being recorded in this thread."""
    return _state.enabled


class set_grad_enabled:
    """Context manager, decorator and function: switch recording on or off in this thread."""

    def __init__(self, mode: bool) -> None:
        self.before = _state.enabled
        self.mode = bool(mode)
        _state.enabled = self.mode

    def __enter__(self) -> None:
        _state.enabled = self.mode

    def __exit__(self, *exc: object) -> None:
        _state.enabled = self.before


class _Switch:
    """`no_grad` and its siblings: `with no_grad():`, `@no_grad()` and `@no_grad` all work."""

    mode = False

    def __new__(cls, fn: Callable[..., Any] | None = None) -> Any:
        self = super().__new__(cls)
        return self(fn) if callable(fn) else self

    def __init__(self, fn: Callable[..., Any] | None = None) -> None:
        self.stack: list[bool] = []

    def __enter__(self) -> None:
        self.stack.append(_state.enabled)
        _state.enabled = self.mode

    def __exit__(self, *exc: object) -> None:
        _state.enabled = self.stack.pop()

    def __call__(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        cls = type(self)

        @functools.wraps(fn)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with cls():
                return fn(*args, **kwargs)

        return wrapped


class no_grad(_Switch):
    """Do not record operations: for evaluation, sampling and updates of parameters."""


class enable_grad(_Switch):
    """Record operations again inside `no_grad`."""

    mode = True


class inference_mode(_Switch):
    """Here the same as `no_grad`."""

    def __new__(cls, mode: Any = None) -> Any:
        return super().__new__(cls, mode if callable(mode) else None)


class observe:
    """Context manager: call `fn(op, inputs, outputs, meta)` after every op in this thread.

    The inputs and outputs are tensors; the trace and the NaN detector are such observers.
    """

    def __init__(self, fn: Callable[..., None]) -> None:
        self.fn = fn

    def __enter__(self) -> None:
        _state.observers = (*_state.observers, self.fn)

    def __exit__(self, *exc: object) -> None:
        _state.observers = tuple(f for f in _state.observers if f is not self.fn)


def current_node(t: TensorBase) -> Node | None:
    """The node of a tensor, derived anew when its memory's history was rewritten through a base."""
    base = t.base
    if base is not None and t._history != base._history:
        if not base.requires_grad:
            t.node, t.requires_grad, t._history = None, False, base._history
            return None
        node: Any = base.node
        array = base.array
        for op, meta in t.view_of:
            outs, ctx = op.forward((array,), meta, [True])
            array = outs[0]
            node = Node(op, ctx, [node if node is not None else base], [True])
        if array.shape != t.array.shape or array.ctypes.data != t.array.ctypes.data:
            raise RuntimeError("this view was taken before its base got another shape or memory")
        t.node, t._history = node, base._history
        t.requires_grad = True
    return t.node


def apply(op: Any, *inputs: Any, **meta: Any) -> Any:
    """Run an op on tensors and record it when any input requires a gradient.

    Returns:
        One tensor, or a tuple when the op has several visible outputs (the first differentiable).
    """
    if _state.capture is not None:
        return _state.capture.apply(op, inputs, meta)
    arrays = [t.array for t in inputs]
    needs = None
    if _state.enabled:
        for t in inputs:
            if t.base is not None and t._history != t.base._history:
                current_node(t)
            if t.requires_grad:
                needs = inputs
        if needs is not None:
            needs = [t.requires_grad for t in inputs]
    outs, ctx = op.forward(arrays, meta, needs)
    y = _tensor_class(outs[0])
    if needs is not None and outs[0].dtype.kind in "fc":
        _record(op, ctx, inputs, needs, y)
    if op.is_view:
        _remember_view(op, inputs[0], y, meta)
    result = y if len(outs) == 1 else (y, *(_tensor_class(o) for o in outs[1:]))
    if _state.observers:
        for fn in _state.observers:
            fn(op, inputs, (y,) if len(outs) == 1 else result, meta)
    return result


def _record(op: Any, ctx: Any, inputs: Sequence[Any], needs: Sequence[bool], y: Any) -> None:
    node = Node(op, ctx, [t.node or t if t.requires_grad else None for t in inputs], needs)
    y.node = node
    y.requires_grad = True
    for i in op.saved_inputs(needs):
        cell = inputs[i].version
        node.saved.append((cell, cell[0], i))
    if op.saves_output(needs):
        node.saved.append((y.version, 0, "its output"))


def _remember_view(op: Any, x: Any, y: Any, meta: dict[str, Any]) -> None:
    if y.array.base is None and y.array is not x.array:
        return  # it owns its memory: a copy
    if (
        y.array is x.array
        or y.array.base is x.array
        or not y.array.size
        or np.may_share_memory(y.array, x.array)
    ):
        y.version = x.version
        y.base = x.base if x.base is not None else x
        y.view_of = (*x.view_of, (op, meta))
        y._history = y.base._history
        node = y.node
        if node is not None and node.saved:  # "its output" must watch the shared counter
            node.saved = [(x.version, x.version[0], n) for _, _, n in node.saved]


# -- the walk back ---------------------------------------------------------------------------


def backward(
    root: Any,
    gradient: Array,
    *,
    retain_graph: bool = False,
    watch: Callable[[Node, Array, Sequence[Array | None]], None] | None = None,
) -> None:
    """Accumulate d(root)/d(leaf) · gradient into `.grad` of every leaf below `root`.

    `watch(node, dy, grads)`, where given, sees every step of the walk.
    """
    if _state.capture is not None:
        _state.capture.backward(root, gradient, retain_graph)
        return
    node = current_node(root)
    if node is None:
        _into_leaf(root, gradient, owned=False)
        return
    pending: dict[Node, Array] = {}
    owned: set[Node] = set()  # whose pending gradient is an array of this walk's own
    heap: list[tuple[int, Node]] = []
    dy = gradient
    enabled, _state.enabled = _state.enabled, False
    before = hush()
    try:
        while True:
            if node.hooks or node.retained is not None:
                dy = _run_hooks(node, dy)
            if node.ctx is None or node.saved:
                _check_usable(node)
            op, ctx, edges = node.op, node.ctx, node.edges
            if type(op) is Movement and op.adding and edges[0] in owned and watch is None:
                op.add_gradient(ctx, dy, pending[edges[0]])
                grads: Sequence[Array | None] = ()
            else:
                grads = op.backward(ctx, dy, node.needs)
            if watch is not None:
                watch(node, dy, grads)
            if not retain_graph:
                node.ctx = None
            for edge, g in zip(edges, grads):
                if edge is None or g is None:
                    continue
                mine = g is not dy and g.base is None
                if type(edge) is not Node:
                    _into_leaf(edge, g, owned=mine)
                elif edge not in pending:
                    pending[edge] = g
                    if mine:
                        owned.add(edge)
                    heappush(heap, (-edge.number, edge))
                elif edge in owned:
                    pending[edge] += g
                else:
                    pending[edge] = pending[edge] + g
                    owned.add(edge)
            if not heap:
                break
            node = heappop(heap)[1]
            dy = pending.pop(node)
    finally:
        restore(before)
        _state.enabled = enabled


def _check_usable(node: Node) -> None:
    if node.ctx is None:
        raise RuntimeError(
            f"Trying to backward through {node.name()} a second time: its saved values were freed. "
            "Pass retain_graph=True to the first backward()."
        )
    for cell, then, what in node.saved:
        if cell[0] != then:
            if isinstance(what, int):
                what = f"input {node.op.inputs[min(what, len(node.op.inputs) - 1)]}"
            raise RuntimeError(
                f"{what} of {node.op.name} was modified by an in-place operation after it was "
                f"saved for the gradient (it is at version {cell[0]}; expected version {then}). "
                "Use an out-of-place operation there, or clone() first."
            )


def _run_hooks(node: Node, dy: Array) -> Array:
    if node.hooks:
        for hook in list(node.hooks):
            changed = hook(wrap(dy))
            if changed is not None:
                dy = changed.array
    if node.retained is not None:
        t = node.retained()
        if t is not None:
            t.grad = wrap(dy.copy()) if t.grad is None else wrap(t.grad.array + dy)
    return dy


def _into_leaf(t: Any, g: Array, owned: bool) -> None:
    if t.hooks:
        for hook in t.hooks:
            changed = hook(wrap(g))
            if changed is not None:
                g, owned = changed.array, False
    if t.grad is None:
        t.grad = wrap(g if owned and g.flags.c_contiguous else np.array(g, order="C"))
    else:
        t.grad.array += g
        t.grad.version[0] += 1
