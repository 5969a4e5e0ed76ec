"""What a captured step took for granted, and whether it still holds.

Decided at capture: the shapes, dtypes and other values of the arguments; numbers, strings and flags
that the function sees in its closure and globals; settings and training flags of the modules it
reaches; where its tensors' memory lies; the rule of each optimiser's group.
"""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Any

from descent.autograd import TensorBase, is_grad_enabled

__all__ = ["Guard", "describe", "reachable", "tensors_in"]

_PLAIN = (int, float, bool, str, bytes, type(None))


class Guard:
    """The state of the world at capture, as far as a step depends on it."""

    def __init__(self, fn: Any, args: Any, kwargs: Any) -> None:
        self.arguments = _signature((args, kwargs))
        self.tensors_only = not kwargs and all(isinstance(a, TensorBase) for a in args)
        self.expected = [(a.array.shape, a.array.dtype, a.requires_grad) for a in args
                         ] if self.tensors_only else []  # fmt: skip
        self.grad = is_grad_enabled()
        self.names = [(space, n, _look(space, n)) for space, n in _seen_names(fn)]
        self.tensors, modules, self.optimizers = reachable(fn, args, kwargs)
        self.settings = [
            (m.__dict__, name, value)
            for m in modules
            for name, value in m.__dict__.items()
            if type(value) in (bool, int, float, str)
        ]
        self.rules = [o.rule(g) for o in self.optimizers for g in o.param_groups]
        self.pinned: list[tuple[Any, Any]] = []  # (tensor, its array), set after capture
        self.grads: list[tuple[Any, Any]] = []  # (leaf, its .grad before the step, where it counts)
        self.states: list[tuple[Any, Any, Any]] = []  # (optimiser, parameter, its state)

    def broken(self, args: Any, kwargs: Any) -> str:
        """Empty when everything still holds, else what does not."""
        if self.grad != is_grad_enabled():
            return "gradients were switched " + ("off" if self.grad else "on")
        if not self._same_arguments(args, kwargs):
            now = describe(_signature((args, kwargs)))
            return f"the arguments are now {now}, not {describe(self.arguments)}"
        for space, name, was in self.names:
            now = _look(space, name)
            if now is not was and not (isinstance(now, _PLAIN) and now == was):
                plain = isinstance(now, _PLAIN) and isinstance(was, _PLAIN)
                return f"{name} changed" + (f" from {was!r} to {now!r}" if plain else "")
        for space, name, was in self.settings:
            if space.get(name) != was:
                return f"{name} changed from {was!r} to {space.get(name)!r}"
        return self._memory_moved()

    def _same_arguments(self, args: Any, kwargs: Any) -> bool:
        if not self.tensors_only:
            return _signature((args, kwargs)) == self.arguments
        if kwargs or len(args) != len(self.expected):
            return False
        for t, (shape, dtype, leaf), given in zip(args, self.expected, self.arguments[0]):
            if not isinstance(t, TensorBase) or t.array.shape != shape or t.array.dtype != dtype:
                return False
            if t.requires_grad != leaf or (leaf and given[2] != id(t)):
                return False
        return True

    def _memory_moved(self) -> str:
        for t, array in self.pinned:
            if t.array is not array:
                return "a tensor of the step has other memory now"
        for t, before in self.grads:
            if t.grad is not before:
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
    if isinstance(value, _PLAIN):
        return value
    return (type(value).__name__, id(value))


def describe(signature: Any) -> str:
    """A signature in words."""
    if isinstance(signature, tuple):
        if len(signature) == 3 and isinstance(signature[1], str) and signature[1][:1] in "<|>=":
            return f"{signature[1][1:]}{list(signature[0])}"
        return "(" + ", ".join(describe(s) for s in signature if s != ()) + ")"
    return repr(signature)


def _seen_names(fn: Any) -> list[tuple[Any, str]]:
    """Closure cells and globals the function mentions."""
    fn = getattr(fn, "__func__", fn)
    code = getattr(fn, "__code__", None)
    if code is None:
        return []
    found: list[tuple[Any, str]] = list(zip(fn.__closure__ or (), code.co_freevars))
    names = {n for c in _codes(code) for n in c.co_names}
    return found + [(fn.__globals__, n) for n in sorted(names) if n in fn.__globals__]


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def _look(space: Any, name: str) -> Any:
    if isinstance(space, dict):
        return space.get(name)
    try:
        return space.cell_contents
    except ValueError:
        return None


def tensors_in(value: Any) -> Iterator[Any]:
    """Tensors among nested arguments, in order."""
    if isinstance(value, TensorBase):
        yield value
    elif isinstance(value, (list, tuple)):
        for v in value:
            yield from tensors_in(v)
    elif isinstance(value, dict):
        for v in value.values():
            yield from tensors_in(v)


def reachable(fn: Any, args: Any, kwargs: Any) -> tuple[list[Any], list[Any], list[Any]]:
    """Tensors, modules and optimisers that a function can get at through its closure, globals,
    `self` and arguments."""
    tensors: dict[int, Any] = {}
    modules: dict[int, Any] = {}
    optimizers: dict[int, Any] = {}
    seen: set[int] = set()
    stack: list[tuple[Any, int]] = [(_look(s, n), 0) for s, n in _seen_names(fn)]
    stack += [(getattr(fn, "__self__", None), 0), (fn, 0)]
    stack += [(a, 0) for a in [*args, *kwargs.values()]]
    while stack:
        value, depth = stack.pop()
        if id(value) in seen or isinstance(value, (*_PLAIN, types.ModuleType, type)):
            continue
        seen.add(id(value))
        if isinstance(value, TensorBase):
            tensors[id(value)] = value
            continue
        if depth > 12:
            continue
        if isinstance(value, dict):
            stack += [(v, depth + 1) for v in value.values()]
        elif isinstance(value, (list, tuple, set, frozenset)):
            stack += [(v, depth + 1) for v in value]
        elif isinstance(value, types.FunctionType):
            if not value.__module__.startswith("descent."):
                stack += [(_look(s, n), depth + 1) for s, n in _seen_names(value)]
        elif isinstance(value, types.MethodType):
            stack.append((value.__self__, depth + 1))
        elif hasattr(value, "__dict__"):
            if hasattr(value, "named_parameters") and hasattr(value, "training"):
                modules[id(value)] = value
            if hasattr(value, "param_groups") and hasattr(value, "rule"):
                optimizers[id(value)] = value
            stack += [(v, depth + 1) for v in vars(value).values()]
    return list(tensors.values()), list(modules.values()), list(optimizers.values())
