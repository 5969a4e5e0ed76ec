"""Containers: modules and parameters in order or by name. A container computes nothing itself,
but for `Sequential`, which runs its parts one after the other."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from descent.nn.module import Module
from descent.nn.parameter import Parameter
from descent.tensor import Tensor

__all__ = ["ModuleDict", "ModuleList", "ParameterDict", "ParameterList", "Sequential"]


def _position(index: Any, n: int, name: str) -> int:
    i = operator.index(index)
    if not -n <= i < n:
        raise IndexError(f"index {i} is out of range: this {name} has {n} parts")
    return i % n


class _Listed(Module):
    """Submodules filed under "0", "1", …"""

    def _all(self) -> list[Any]:
        return list(self._modules.values())

    def _refill(self, modules: Iterable[Module]) -> None:
        modules = list(modules)
        self._modules.clear()
        for i, m in enumerate(modules):
            self.add_module(str(i), m)

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._all())

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return self._slice(index)
        return self._all()[_position(index, len(self), type(self).__name__)]

    def _slice(self, index: slice) -> Any:
        raise NotImplementedError

    def __setitem__(self, index: Any, module: Module) -> None:
        i = _position(index, len(self), type(self).__name__)
        setattr(self, list(self._modules)[i], module)

    def __delitem__(self, index: Any) -> None:
        parts = self._all()
        del parts[index if isinstance(index, slice) else operator.index(index)]
        self._refill(parts)

    def append(self, module: Module) -> Any:
        """Add a module at the end. Returns this container."""
        self.add_module(str(len(self)), module)
        return self

    def extend(self, modules: Iterable[Module]) -> Any:
        """Add several at the end. Returns this container."""
        for m in list(modules):
            self.append(m)
        return self

    def insert(self, index: int, module: Module) -> Any:
        """Put a module before position `index`. Returns this container."""
        parts = self._all()
        parts.insert(index, module)
        self._refill(parts)
        return self

    def pop(self, index: int = -1) -> Any:
        """Take a module out."""
        taken = self[index]
        del self[index]
        return taken


class Sequential(_Listed):
    """y = part_n(… part_1(x)). Takes modules, or one dict that names them."""

    def __init__(self, *args: Any) -> None:
        super().__init__()
        if len(args) == 1 and isinstance(args[0], Mapping):
            for name, module in args[0].items():
                self.add_module(name, module)
        else:
            self._refill(args)

    def _slice(self, index: slice) -> Any:
        return type(self)(dict(list(self._modules.items())[index]))

    def __add__(self, other: Any) -> Any:
        if not isinstance(other, Sequential):
            raise ValueError(f"can only add a Sequential to a Sequential, got {type(other)}")
        return Sequential(*self, *other)

    def forward(self, x: Any) -> Any:
        for module in self._modules.values():
            x = module(x)
        return x


class ModuleList(_Listed):
    """A list of modules; the model says how they are called."""

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        self._refill(modules or ())

    def _slice(self, index: slice) -> ModuleList:
        return ModuleList(self._all()[index])

    def __add__(self, other: Iterable[Module]) -> ModuleList:
        return ModuleList([*self, *other])

    __iadd__ = _Listed.extend

    def __repr__(self) -> str:
        """As PyTorch: equal neighbours are printed once, `(0-5): 6 x Block(…)`."""
        runs: list[list[Any]] = []  # [first, last, text]
        for i, m in enumerate(self):
            text = repr(m)
            if runs and runs[-1][2] == text:
                runs[-1][1] = i
            else:
                runs.append([i, i, text])
        if not runs:
            return "ModuleList()"
        lines = [
            f"({a}): {text}" if a == b else f"({a}-{b}): {b - a + 1} x {text}"
            for a, b, text in runs
        ]
        return "ModuleList(\n  " + "\n  ".join(line.replace("\n", "\n  ") for line in lines) + "\n)"


class ModuleDict(Module):
    """Modules by name, in the order of insertion."""

    def __init__(self, modules: Any = None) -> None:
        super().__init__()
        self.update(modules or {})

    def __getitem__(self, key: str) -> Any:
        return self._modules[key]

    def __setitem__(self, key: str, module: Module) -> None:
        self.add_module(key, module)

    def __delitem__(self, key: str) -> None:
        del self._modules[key]

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __contains__(self, key: str) -> bool:
        return key in self._modules

    def keys(self) -> Any:
        """The names."""
        return self._modules.keys()

    def values(self) -> Any:
        """The modules."""
        return self._modules.values()

    def items(self) -> Any:
        """(name, module) pairs."""
        return self._modules.items()

    def pop(self, key: str) -> Any:
        """Take a module out."""
        return self._modules.pop(key)

    def clear(self) -> None:
        """Take all out."""
        self._modules.clear()

    def update(self, modules: Any) -> None:
        """Add or replace modules from a mapping or pairs."""
        for name, m in modules.items() if hasattr(modules, "items") else modules:
            self[name] = m


def _parameter(value: Any) -> Any:
    """A plain tensor becomes a parameter, as in PyTorch."""
    if isinstance(value, Tensor) and not isinstance(value, Parameter):
        return Parameter(value)
    return value


def _described(container: Any, items: Iterable[tuple[str, Any]]) -> str:
    lines = []
    for name, p in items:
        kind = "Parameter" if isinstance(p, Parameter) else "Object"
        size = "x".join(map(str, p.shape)) if isinstance(p, Tensor) else type(p).__name__
        named = f"torch.{p.dtype.name} of size {size}" if isinstance(p, Tensor) else size
        lines.append(f"  ({name}): {kind} containing: [{named}]")
    return f"{type(container).__name__}(" + ("\n" + "\n".join(lines) + "\n" if lines else "") + ")"


class ParameterList(Module):
    """A list of parameters."""

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        super().__init__()
        self._size = 0
        self.extend(values or ())

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Any]:
        return (getattr(self, str(i)) for i in range(self._size))

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return ParameterList(list(self)[index])
        return getattr(self, str(_position(index, self._size, "ParameterList")))

    def __setitem__(self, index: Any, value: Any) -> None:
        setattr(self, str(_position(index, self._size, "ParameterList")), _parameter(value))

    def append(self, value: Any) -> ParameterList:
        """Add one at the end. Returns this list."""
        setattr(self, str(self._size), _parameter(value))
        self._size += 1
        return self

    def extend(self, values: Iterable[Any]) -> ParameterList:
        """Add several at the end. Returns this list."""
        for v in list(values):
            self.append(v)
        return self

    __iadd__ = extend

    def __repr__(self) -> str:
        return _described(self, ((str(i), p) for i, p in enumerate(self)))


class ParameterDict(Module):
    """Parameters by name, in the order of insertion."""

    def __init__(self, parameters: Any = None) -> None:
        super().__init__()
        self._keys: dict[str, None] = {}
        self.update(parameters or {})

    def __getitem__(self, key: str) -> Any:
        if key not in self._keys:
            raise KeyError(key)
        return getattr(self, key)

    def __setitem__(self, key: str, value: Any) -> None:
        setattr(self, key, _parameter(value))
        self._keys[key] = None

    def __delitem__(self, key: str) -> None:
        del self._keys[key]
        delattr(self, key)

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __contains__(self, key: str) -> bool:
        return key in self._keys

    def keys(self) -> Any:
        """The names."""
        return self._keys.keys()

    def values(self) -> Any:
        """The parameters."""
        return [self[k] for k in self._keys]

    def items(self) -> Any:
        """(name, parameter) pairs."""
        return [(k, self[k]) for k in self._keys]

    def pop(self, key: str) -> Any:
        """Take a parameter out."""
        value = self[key]
        del self[key]
        return value

    def update(self, parameters: Any) -> None:
        """Add or replace parameters from a mapping or pairs."""
        pairs = (
            parameters.items() if isinstance(parameters, (Mapping, ParameterDict)) else parameters
        )
        for name, p in pairs:
            self[name] = p

    def __repr__(self) -> str:
        return _described(self, self.items())
