"""Capture: run a step once on arrays without numbers, and keep what it would compute.

Every op that the step applies to tensors, every in-place change, the walk back from the loss and
every update of an optimiser become nodes of a graph (`descent.compiler.graph`). Python runs as it
always does: shapes, loops over layers and settings are decided now, once; numbers are not there to
be looked at, so a step that needs them (`if loss.item() > 3`) raises `Unsupported`.

While capturing, the tensors the step can reach hold shadows of their memory; afterwards they have
their arrays back, and nothing has been computed.
"""

from __future__ import annotations

import gc
import inspect
import sys
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from descent import autograd
from descent.autograd import TensorBase, current_node
from descent.compiler.codes import asks_for_grad
from descent.compiler.graph import Buffer, Check, UpdateNode, View
from descent.compiler.lowering import Lowerings
from descent.compiler.memory import POISON
from descent.compiler.settings import Settings
from descent.compiler.shadow import Shadow, Unsupported, set_current
from descent.compiler.surroundings import Surroundings, tensors_in
from descent.compiler.walk import Walk
from descent.compiler.watch import Watch
from descent.op import Elementwise, Movement, Op
from descent.random import engine

__all__ = ["Capture"]

Array = np.ndarray
_ONE_AT_A_TIME = threading.RLock()


class Capture(Walk):
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
        self.settings = Settings(around.optimizers)
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
            self.settings.refuse_changes()
            self._settle()
            for b in self.buffers:
                if b.kind == "constant" and b.dtype == np.float32:
                    if (b.array[: 1 << 13].view(np.uint32) == POISON).any():
                        raise Unsupported("it reads the numbers of a tensor behind its back")
            return result
        finally:
            state.capture = engine.observer = None
            self.settings.restore()
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

    def note(self, node: Any) -> None:
        """Add a node, with the user's line it comes from."""
        node.origin = _origin()
        self.nodes.append(node)

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

    # -- optimisers --------------------------------------------------------------------------------

    def optimizer_step(self, optimizer: Any) -> None:
        """An optimiser begins its step."""
        self.optimizers.append(optimizer)

    def update(
        self, optimizer: Any, group: Any, p: Any, rule: Any, arrays: list[Any], state: Any
    ) -> None:
        """One parameter's update."""
        group = getattr(group, "original", group)
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


def _number(t: Any) -> bool:
    """A constant of one element: written into the source as a number."""
    return (
        t.array.ndim == 0
        and not isinstance(t.array, Shadow)
        and t.node is None
        and (t.array.base is None and not t.requires_grad and t.grad is None)
    )


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
