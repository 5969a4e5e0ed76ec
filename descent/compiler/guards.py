"""What a captured step took for granted, and whether it still holds.

Decided at capture: the shapes, dtypes and other values of the arguments; numbers, strings and flags
that the function sees in its closure and globals; settings and training flags of the modules it
reaches; where its tensors' memory lies; the rule of each optimiser's group.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from descent.autograd import TensorBase, is_grad_enabled
from descent.compiler.surroundings import Surroundings, tensors_in

__all__ = ["Guard", "describe", "leaves", "tensors_in"]

_PLAIN = (int, float, bool, str, bytes, type(None))


class Guard:
    """The state of the world at capture, as far as a step depends on it."""

    def __init__(self, fn: Any, args: Any, kwargs: Any) -> None:
        self.arguments = _signature((args, kwargs))
        self.held = [a for a in leaves((args, kwargs)) if not isinstance(a, TensorBase)]
        self.tensors_only = not kwargs and all(isinstance(a, TensorBase) for a in args)
        self.together = _together(args, kwargs)
        self.distinct = len(set(self.together)) == len(self.together)
        self.expected = [(a.array.shape, a.array.dtype, a.requires_grad) for a in args
                         ] if self.tensors_only else []  # fmt: skip
        leaf = any(flag for *_, flag in self.expected)
        self.simple = self.tensors_only and self.distinct and not leaf  # tensors brought anew
        self.grad = is_grad_enabled()
        self.around = Surroundings(fn, args, kwargs)
        self.tensors, self.optimizers = self.around.tensors, self.around.optimizers
        self.rules = [o.rule(g) for o in self.optimizers for g in o.param_groups]
        self.pinned: list[tuple[Any, Any]] = []  # (tensor, its array), set after capture
        self.flags: list[tuple[Any, bool, Any]] = []  # (tensor, requires_grad, hooks)
        self.written: set[int] = set()  # version cells of tensors that the step changes
        self.grads: list[tuple[Any, Any]] = []  # (leaf, its .grad before the step, where it counts)
        self.presence: list[tuple[Any, bool]] = []  # (leaf, has no gradient), where the step asks
        self.states: list[tuple[Any, Any, Any]] = []  # (optimiser, parameter, its state)

    def watch_groups(self, groups: list[dict[str, Any]]) -> None:
        """Settings of optimisers that the step reads itself."""
        self.around.places += [(g, dict(g), "a parameter group") for g in groups]

    def broken(self, args: Any, kwargs: Any) -> str:
        """Empty when everything still holds, else what does not."""
        if self.grad != is_grad_enabled():
            return "gradients were switched " + ("off" if self.grad else "on")
        if not self._same_arguments(args, kwargs):
            now = describe(_signature((args, kwargs)))
            return f"the arguments are now {now}, not {describe(self.arguments)}"
        reason = self.around.changed()
        if reason:
            return reason
        return self._memory_moved()

    def _same_arguments(self, args: Any, kwargs: Any) -> bool:
        if not self.tensors_only:
            known = _signature((args, kwargs)) == self.arguments
            return known and _together(args, kwargs) == self.together
        if kwargs or len(args) != len(self.expected):
            return False
        for t, (shape, dtype, leaf), given in zip(args, self.expected, self.arguments[0]):
            if not isinstance(t, TensorBase) or t.array.shape != shape or t.array.dtype != dtype:
                return False
            if t.requires_grad != leaf or (leaf and given[2] != id(t)):
                return False
        if len({id(t) for t in args}) == len(args):
            return self.distinct
        return _together(args, kwargs) == self.together

    def lasts(self) -> bool:
        """Whether it still holds after a step: not when gradients that were not there are then."""
        return all(g is not None for _, g in self.grads) and not self.presence

    def aliased(self, args: Any, kwargs: Any) -> bool:
        """Whether an argument shares memory with something that the step changes."""
        if not self.written:
            return False
        tensors = args if self.simple else tensors_in((args, kwargs))
        return any(id(t.version) in self.written for t in tensors if not t.requires_grad)

    def _memory_moved(self) -> str:
        for t, array in self.pinned:
            if t.array is not array:
                return "a tensor of the step has other memory now"
        for t, flag, hooks in self.flags:
            if t.requires_grad is not flag or t.node is not None:
                return "a tensor of the step has another history, or requires_grad changed"
            if t.hooks != hooks:
                return "a tensor of the step has other hooks now"
        for t, before in self.grads:
            if t.grad is not before:
                return "a gradient is there that was not, or the other way round"
        for t, absent in self.presence:
            if (t.grad is None) is not absent:
                return "a gradient is there that was not, or the other way round"
        for optimizer, p, state in self.states:
            if optimizer.state.get(p) is not state:
                return "an optimiser was given another state"
        if self.optimizers:
            rules = [o.rule(g) for o in self.optimizers for g in o.param_groups]
            if rules != self.rules:
                return "an optimiser follows another rule now"
        return ""


def _signature(value: Any) -> Any:
    """What of an argument is decided at capture: shapes and dtypes of tensors, other values."""
    if isinstance(value, TensorBase):
        own = id(value) if value.requires_grad else False  # a leaf is known by its identity
        return (value.array.shape, value.array.dtype.str, own)
    if isinstance(value, (tuple, list)):
        return tuple(map(_signature, value))
    if isinstance(value, dict):
        return tuple((k, _signature(v)) for k, v in value.items())
    if isinstance(value, _PLAIN):  # 1, 1.0 and True are equal, but do not compute alike
        return value if isinstance(value, str) else (type(value).__name__, repr(value))
    return (type(value).__name__, id(value))


def describe(signature: Any) -> str:
    """A signature in words."""
    if isinstance(signature, tuple):
        if len(signature) == 2 and all(isinstance(s, str) for s in signature):
            return signature[1]
        if len(signature) == 3 and isinstance(signature[1], str) and signature[1][:1] in "<|>=":
            return f"{signature[1][1:]}{list(signature[0])}"
        return "(" + ", ".join(describe(s) for s in signature if s != ()) + ")"
    return repr(signature)


def _together(args: Any, kwargs: Any) -> tuple[int, ...]:
    """Which of the tensors given are one and the same."""
    first: dict[int, int] = {}
    return tuple(first.setdefault(id(t), i) for i, t in enumerate(tensors_in((args, kwargs))))


def leaves(value: Any) -> Iterator[Any]:
    """What nested arguments consist of, in order."""
    if isinstance(value, (list, tuple)):
        for v in value:
            yield from leaves(v)
    elif isinstance(value, dict):
        for v in value.values():
            yield from leaves(v)
    else:
        yield value
