"""What a function can see beside its arguments: tensors, modules, optimisers, plain Python state.

The function's closure and globals are followed, by name, through containers, objects and the
functions it mentions. Every dict and list on the way is remembered as it was, so that a capture
can be undone, a step that changes them noticed, and a later change of them guarded against.
Left out: what only built-in or foreign code can see (iterators' positions, files, clocks).
"""

from __future__ import annotations

import argparse
import dis
import functools
import sys
import types
from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np

from descent.autograd import TensorBase
from descent.compiler.codes import codes
from descent.compiler.generators import GLOBAL, STREAMS, set_stream, stream_state

__all__ = ["Surroundings", "is_library", "plain", "tensors_in"]

plain = (int, float, bool, complex, str, bytes, type(None), type(Ellipsis), slice, range)
_LEAVES = (*plain, np.generic, np.dtype)
DEEPEST = 14
SMALL_BYTES = 1 << 14  # NumPy arrays up to this are compared with what they held
LARGEST = 512  # entries up to which a container of plain things is compared one by one


class Surroundings:
    """See the module docstring.

    Attributes:
        names: (closure cell or globals, name, value) of everything the function mentions.
        places: (container, its copy, words for it) of dicts, lists and objects' attributes.
        tensors, modules, optimizers: what is reachable.
    """

    def __init__(self, fn: Any, args: Any = (), kwargs: Any = None) -> None:
        self.names: list[tuple[Any, str, Any]] = []
        self.places: list[tuple[Any, Any, str]] = []
        self.tensors: list[Any] = []
        self.modules: list[Any] = []
        self.optimizers: list[Any] = []
        self.functions: list[types.FunctionType] = []
        self.arrays: list[tuple[str, np.ndarray]] = []  # NumPy arrays mentioned by name
        self.iterators: list[str] = []
        self.classes: list[type] = []
        self.streams: list[Any] = []  # random.Random, np.random.Generator
        self.twice: list[Any] = []  # tensors among the arguments that the function also sees
        self._given: set[int] = set()
        self._mentioned: set[str] = set()
        self._holders: list[tuple[dict[str, Any], set[str], int]] = []  # users' objects
        self._unmentioned: list[tuple[Any, int, str]] = []  # methods nobody has mentioned yet
        self._seen: dict[int, Any] = {}
        self._stack: list[tuple[Any, int, str]] = []
        self._names_seen: set[tuple[int, str]] = set()
        for where, value in (("argument", (args, kwargs or {})), ("", fn)):
            self._stack.append((value, 0, where))
            self._walk()
            if where:
                self._given = {id(t) for t in self.tensors}
        self.places = [  # what the functions mention is known only now
            (p, p.copy() if isinstance(p, _Attributes) else was, where)
            for p, was, where in self.places
        ]
        for c in self.classes:
            self.names += [(c, k, v) for k, v in vars(c).items()
                           if k in self._mentioned and isinstance(v, plain)]  # fmt: skip
        self.drawn = [(g, stream_state(g)) for g in [*GLOBAL, *self.streams]]
        self.bytes = [(n, a, a.tobytes()) for n, a in self.arrays if a.nbytes <= SMALL_BYTES]
        self.states = [(o.state, {p: dict(s) for p, s in o.state.items()}) for o in self.optimizers]
        self.groups = [(g, dict(g)) for o in self.optimizers for g in o.param_groups]
        for o in self.optimizers:
            self.places += [
                (g["params"], list(g["params"]), "a parameter group") for g in o.param_groups
            ]

    # -- looking around ------------------------------------------------------------------------

    def _walk(self) -> None:
        later: list[tuple[Any, int, str]] = []  # objects: once it is known which attributes count
        while self._stack or later or self._released() or self._mentioned_attributes():
            if not self._stack and self._released():
                continue
            if not self._stack:
                self._stack, later = later, []
                self._stack, ready = [], self._stack
                for value, depth, where in ready:
                    self._object(value, depth, where)
                continue
            value, depth, where = self._stack.pop()
            if isinstance(value, (*_LEAVES, types.ModuleType)):
                continue
            if id(value) in self._seen:
                if isinstance(value, TensorBase) and id(value) in self._given:
                    self.twice.append(value)
                continue
            self._seen[id(value)] = value
            if isinstance(value, TensorBase):
                self.tensors.append(value)
            elif depth > DEEPEST:
                continue
            elif isinstance(value, (list, dict, tuple, set, frozenset, deque)):
                self._container(value, depth, where)
            elif isinstance(value, np.ndarray):
                self.arrays.append((where, value))
            elif isinstance(value, STREAMS):
                self.streams.append(value)
            elif hasattr(type(value), "__next__"):
                self.iterators.append(where)
            elif not self._code(value, depth):
                later.append((value, depth, where))

    def _container(self, value: Any, depth: int, where: str) -> None:
        items = value.values() if isinstance(value, dict) else value
        if not isinstance(value, (tuple, frozenset)):
            self._remember(value, where)
        for v in items:
            if not isinstance(v, _LEAVES):
                self._stack.append((v, depth + 1, where))

    def _remember(self, value: Any, where: str) -> None:
        self.places.append((value, value.copy() if len(value) <= LARGEST else len(value), where))

    def _code(self, value: Any, depth: int) -> bool:
        """Follow functions; False when the value is none."""
        if isinstance(value, types.MethodType):
            self._stack += [(value.__self__, depth + 1, ""), (value.__func__, depth, "")]
        elif isinstance(value, functools.partial):
            parts = (value.args, value.keywords, value.func)
            self._stack += [(v, depth + 1, "") for v in parts]
        elif isinstance(value, (property, staticmethod, classmethod)):
            inner = (getattr(value, n, None) for n in ("fget", "__func__"))
            self._stack += [(v, depth, "") for v in inner if v is not None]
        elif isinstance(value, types.FunctionType):
            if not _ours(value):
                self._function(value, depth)
            if (wrapped := getattr(value, "__wrapped__", None)) is not None:
                self._stack.append((wrapped, depth, ""))
        elif isinstance(value, type):
            self._class(value, depth)
        else:
            return isinstance(value, types.BuiltinFunctionType)
        return True

    def _function(self, fn: types.FunctionType, depth: int) -> None:
        self.functions.append(fn)
        self._stack += [(v, depth, "a default") for v in (fn.__defaults__, fn.__kwdefaults__) if v]
        found: list[tuple[Any, str]] = list(zip(fn.__closure__ or (), fn.__code__.co_freevars))
        self._mentioned |= {n for c in codes(fn.__code__) for n in c.co_names}
        names = {i.argval for c in codes(fn.__code__) for i in dis.get_instructions(c)
                 if i.opname.startswith(("LOAD_GLOBAL", "LOAD_NAME", "STORE_GLOBAL"))}  # fmt: skip
        found += [(fn.__globals__, n) for n in sorted(names) if n in fn.__globals__]
        for space, name in found:
            if (id(space), name) in self._names_seen:
                continue
            self._names_seen.add((id(space), name))
            value = look(space, name)
            self.names.append((space, name, value))
            if isinstance(value, types.ModuleType) and not is_library(value.__name__):
                attributes = {k: v for k, v in vars(value).items() if k in self._mentioned}
                for k, v in attributes.items():
                    self.names.append((vars(value), k, v))
                    self._stack.append((v, depth + 1, k))
            else:
                self._stack.append((value, depth + 1, name))

    def _class(self, cls: type, depth: int, built: bool = True) -> None:
        """The functions of a user's class that may be called: those whose names are mentioned."""
        for c in cls.__mro__:
            if c in self.classes or c.__module__ == "builtins" or is_library(c.__module__):
                continue
            self.classes.append(c)
            for name, v in list(vars(c).items()):
                if not isinstance(v, (types.FunctionType, property, staticmethod, classmethod)):
                    continue
                if name in ("__init__", "__new__") and not built:
                    continue
                known = name in self._mentioned or name == "forward" or name[:2] == "__"
                (self._stack if known else self._unmentioned).append((v, depth + 1, name))

    def _released(self) -> bool:
        """Follow methods that have been mentioned since their class was seen."""
        ready = [m for m in self._unmentioned if m[2] in self._mentioned]
        self._unmentioned = [m for m in self._unmentioned if m[2] not in self._mentioned]
        self._stack += ready
        return bool(ready)

    def _object(self, value: Any, depth: int, where: str) -> None:
        module = hasattr(value, "named_parameters") and hasattr(value, "training")
        optimizer = hasattr(value, "param_groups") and hasattr(value, "rule")
        if module:
            self.modules.append(value)
        if optimizer:
            self.optimizers.append(value)
            self._stack += [(g["params"], depth + 1, "") for g in value.param_groups]
            return
        library = is_library(type(value).__module__)
        if library and not module and not type(value).__module__.startswith("descent."):
            if not isinstance(value, (argparse.Namespace, types.SimpleNamespace)):
                return  # locks, loggers, paths
        if type(value).__name__ in ("Generator", "Step") and library:
            self._stack.append((getattr(value, "fn", None), depth, where))
            return
        self._class(type(value), depth, built=False)
        attributes = getattr(value, "__dict__", None)
        if not isinstance(attributes, dict):
            slots = [n for c in type(value).__mro__ for n in getattr(c, "__slots__", ())]
            self._stack += [(getattr(value, n, None), depth + 1, n) for n in slots
                            if isinstance(n, str) and not library]  # fmt: skip
            return
        if module or library:
            self._remember(attributes, type(value).__name__)
        else:
            known = _Attributes(attributes, self._mentioned)
            self.places.append((known, known.copy(), type(value).__name__))
            self._holders.append((attributes, set(), depth))
            return
        for name, v in attributes.items():
            if not isinstance(v, _LEAVES):
                self._stack.append((v, depth + 1, name))

    def _mentioned_attributes(self) -> bool:
        """Follow the attributes of users' objects that are mentioned by now."""
        for attributes, followed, depth in self._holders:
            ready = (attributes.keys() & self._mentioned) - followed
            followed |= ready
            self._stack += [(attributes[n], depth + 1, n) for n in ready]
        return bool(self._stack)

    # -- comparing and undoing -----------------------------------------------------------------

    def changed(self) -> str:
        """What is not as it was, in words; empty when everything is."""
        for space, name, was in self.names:
            now = look(space, name)
            if now is not was and not (
                type(now) in plain and type(now) is type(was) and now == was
            ):
                shown = type(now) in plain and type(was) in plain
                return f"{name} changed" + (f" from {was!r} to {now!r}" if shown else "")
        for place, was, where in self.places:
            if type(was) is int:
                if len(place) != was:
                    return f"{where or 'a container'} has another length"
                continue
            try:
                if place == was:
                    continue
            except Exception:  # tensors or arrays that do not compare: others than before
                pass
            return _difference(place, was, where)
        for name, array, was in self.bytes:
            if array.tobytes() != was:
                return f"the NumPy array {name} changed".replace("  ", " ")
        return ""

    def drew(self) -> bool:
        """Whether a random stream that is not Descent's has moved since."""
        return any(stream_state(g)[1] != was for g, (_, was) in self.drawn)

    def restore(self) -> None:
        """Put everything back as it was (but the contents of very large containers)."""
        for space, name, was in self.names:
            if look(space, name) is not was:
                if isinstance(space, dict):
                    space[name] = was
                elif isinstance(space, type):
                    setattr(space, name, was)
                else:
                    space.cell_contents = was
        for place, was, _ in self.places:
            if type(was) is not int:
                _put_back(place, was)
        for group, was in self.groups:
            _put_back(group, was)
        self.restore_states()
        if self.drew():
            for g, (state, _) in self.drawn:
                set_stream(g, state)

    def restore_states(self) -> None:
        """The optimisers' states as they were."""
        for state, was in self.states:
            for p in [p for p in state if p not in was]:
                del state[p]
            for p, slots in was.items():
                state[p].clear()
                state[p].update(slots)


class _Attributes:
    """The attributes of an object that the functions mention."""

    def __init__(self, attributes: dict[str, Any], mentioned: set[str]) -> None:
        self.attributes, self.mentioned = attributes, mentioned

    def copy(self) -> dict[str, Any]:
        return {k: v for k, v in self.attributes.items() if k in self.mentioned}

    def __len__(self) -> int:
        return len(self.copy())

    def __eq__(self, was: object) -> bool:
        return self.copy() == was

    __hash__ = None  # type: ignore[assignment]


def _put_back(place: Any, was: Any) -> None:
    if isinstance(place, _Attributes):
        place.attributes.update(was)
        for name in place.copy():
            if name not in was:
                del place.attributes[name]
    elif isinstance(place, (dict, set)):
        if len(place) != len(was) or not _same(place, was):
            place.clear()
            place.update(was)
    elif isinstance(place, deque):
        place.clear()
        place.extend(was)
    else:
        place[:] = was


def _same(a: Any, b: Any) -> bool:
    try:
        return bool(a == b)
    except Exception:
        return False


def _difference(place: Any, was: Any, where: str) -> str:
    now = place.copy()
    if isinstance(was, dict):
        for k in [*was, *now]:
            a, b = was.get(k), now.get(k)
            if a is b or (type(a) in plain and type(b) in plain and a == b):
                continue
            name = k if isinstance(k, str) else repr(k)
            if type(a) in plain and type(b) in plain:
                return f"{name} changed from {a!r} to {b!r}"
            return f"{name} of {where or 'a dict'} changed"
    return f"{where or 'a container'} changed"


_STEPS = ("descent.train", "descent.costs")  # where the package itself has steps: as users' are


def _ours(fn: types.FunctionType) -> bool:
    module = fn.__module__ or ""
    return is_library(module) and not module.startswith(_STEPS)


def is_library(module: str) -> bool:
    """Whether code of this module is no user's: the package's, NumPy's or Python's."""
    root = module.split(".", 1)[0]
    return root in ("descent", "numpy", "numba") or root in sys.stdlib_module_names


def look(space: Any, name: str) -> Any:
    """The value of a global or of a closure cell."""
    if isinstance(space, dict):
        return space.get(name)
    if isinstance(space, type):
        return vars(space).get(name)
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
