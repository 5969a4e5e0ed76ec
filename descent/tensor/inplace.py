"""In-place changes: write the result of an op into a tensor's memory, and keep the tape true.

A leaf that requires a gradient may not be changed while recording (its old value would be lost to
the optimiser). A change through a view rewrites the history of the memory's owner: the owner's new
node copies its old gradient except where the view lies, which goes to the written value; every
other view re-derives its node from the owner when it is next used.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from descent.autograd import Node, TensorBase, apply, capturing, current_node, is_grad_enabled
from descent.tensor.common import operands

__all__ = ["assign", "rewrite", "update"]


class _CopyThrough:
    """Backward of writing a value through a chain of views into a base."""

    name, inputs = "copy_slices", ("base", "value")

    def backward(self, ctx: Any, dy: np.ndarray, needs: Any) -> list[np.ndarray | None]:
        if not ctx:
            return [None, dy]
        views, order = ctx
        # The base's order of axes in memory, so that its views are views here too.
        kept = dy.transpose(order).copy().transpose(np.argsort(order))
        window = kept
        for op, meta in views:
            window = op.forward((window,), meta)[0][0]
        if window.size and not np.may_share_memory(window, kept):
            raise RuntimeError("an in-place change through a view can't be differentiated: clone()")
        value = window.copy()
        window[...] = 0
        return [kept if needs[0] else None, value if needs[1] else None]


_copy_through = _CopyThrough()


def _refuse_leaf(t: TensorBase, what: str) -> None:
    if t.requires_grad and t.node is None:
        raise RuntimeError(
            f"{what} that requires grad is being used in an in-place operation. "
            "Do it inside `with no_grad():`, or on a clone()."
        )


def _recording(t: TensorBase, y: TensorBase) -> bool:
    if not is_grad_enabled():
        return False
    if t.base is None:
        return t.requires_grad or y.requires_grad
    current_node(t)
    return t.requires_grad or y.requires_grad or t.base.requires_grad


def check_writable(t: TensorBase) -> None:
    """Refuse to write where several elements share one place in memory, or none may be written."""
    if not t.array.flags.writeable:
        raise RuntimeError(
            "unsupported operation: more than one element of the written-to tensor refers to a "
            "single memory location, or its memory is read-only. Please clone() the tensor first"
        )


def assign(t: Any, y: Any, *, fresh: bool = False) -> Any:
    """Write tensor `y` (of `t`'s shape) into `t`'s memory, with its history. Returns `t`.

    Args:
        fresh: `y` does not come from `t`'s old value, whose gradient is then zero.
    """
    check_writable(t)
    if y.array.dtype != t.array.dtype and not castable(y.array.dtype, t.array.dtype):
        raise RuntimeError(
            f"result type {y.array.dtype} can't be cast to the desired output type {t.array.dtype}"
        )
    if _recording(t, y):
        if t.base is None:
            _refuse_leaf(t, "a leaf tensor")
            _rewrite(t, y, fresh)
        else:
            _rewrite_owner(t, y)
    target = t.array if capturing() is None else capturing().shadow(t)
    np.copyto(target, y.array, casting="unsafe")
    t.version[0] += 1
    return t


def castable(source: np.dtype, target: np.dtype) -> bool:
    """Whether a result may be stored in another dtype: never from floats to integers to bool."""
    order = "biuf"
    return order.index(source.kind) <= order.index(target.kind) or {source.kind, target.kind} == {
        "i", "u"
    }  # fmt: skip


def _rewrite(t: Any, y: Any, fresh: bool) -> None:
    edge = y.node if y.node is not None else (y if y.requires_grad else None)
    old = t.node if fresh else None
    if edge is None and old is None:
        t.node, t.requires_grad = None, False
    elif y.node is not None and not fresh:  # y was made for this and is known to nobody else
        t.node, t.requires_grad = y.node, True
    else:
        ctx = ((), range(t.array.ndim)) if old is not None else ()
        t.node = Node(_copy_through, ctx, [old, edge], [old is not None, edge is not None])
        t.requires_grad = True
    t._history += 1


def _rewrite_owner(t: Any, y: Any) -> None:
    base = t.base
    _refuse_leaf(base, "a view of a leaf tensor")
    old = base.node
    new = y.node if y.node is not None else (y if y.requires_grad else None)
    order = np.argsort([-s for s in base.array.strides], kind="stable")
    ctx = (t.view_of, order)
    base.node = Node(_copy_through, ctx, [old, new], [old is not None, new is not None])
    base.requires_grad = True
    base._history += 1


def update(t: Any, op: Any, *others: Any, **meta: Any) -> Any:
    """`t = op(t, *others)` in `t`'s own memory (`add_`, `mul_`, …). Returns `t`."""
    shadow = type(t)(t.array)
    if is_grad_enabled():
        current_node(t)
        needs = [t.requires_grad, *(getattr(o, "requires_grad", False) for o in others)]
        if t.requires_grad:
            if t.base is None:
                _refuse_leaf(t, "a leaf tensor")
            shadow.node, shadow.requires_grad = t.node, True
        if any(needs) and 0 in op.saved_inputs(needs):
            shadow.array = t.array.copy()  # the op's gradient reads the value before the change
    args = operands(shadow, *others) if others else [shadow]
    y = apply(op, *args, **meta)
    if y.array.shape != t.array.shape:
        raise RuntimeError(
            f"output with shape {list(t.array.shape)} doesn't match the broadcast shape "
            f"{list(y.array.shape)}"
        )
    return assign(t, y)


def rewrite(t: Any, function: Any, *args: Any, **kwargs: Any) -> Any:
    """`t = function(t, ...)` in `t`'s own memory, for a function made of several ops."""
    shadow = type(t)(t.array)
    if is_grad_enabled():
        current_node(t)
        if t.requires_grad:
            if t.base is None:
                _refuse_leaf(t, "a leaf tensor")
            shadow.node, shadow.requires_grad = t.node, True
        if t.requires_grad or any(getattr(a, "requires_grad", False) for a in args):
            shadow.array = t.array.copy()  # gradients may read the value before the change
    y = function(shadow, *args, **kwargs)
    if y.array.shape != t.array.shape:
        raise RuntimeError(
            f"output with shape {list(t.array.shape)} doesn't match the broadcast shape "
            f"{list(y.array.shape)}"
        )
    return assign(t, y)
