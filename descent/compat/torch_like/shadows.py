"""Modules that bear torch's names; a name that Descent lacks is an error that says so."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from descent.compat.torch_like.namespace import MODULES

__all__ = ["Missing", "Shadow", "built"]

LIST = "what is, and how it compares: docs/COVERAGE.md"


class Shadow(ModuleType):
    """A module `torch.…` whose names are looked up in Descent."""

    def __init__(self, name: str, sources: Sequence[Any]) -> None:
        super().__init__(name, f"Descent under the name {name}.")
        self.__path__: list[str] = []
        self.__sources = sources
        self.__all__ = sorted({n for s in sources for n in _names(s) if not n.startswith("_")})

    def __getattr__(self, name: str) -> Any:
        for source in self.__sources:
            if name in _names(source):
                found = source[name] if isinstance(source, dict) else getattr(source, name)
                setattr(self, name, found)
                return found
        raise AttributeError(f"{self.__name__}.{name} is not in Descent; {LIST}")

    def __dir__(self) -> list[str]:
        return sorted({*self.__dict__, *self.__all__})


def _names(source: Any) -> Any:
    return source if isinstance(source, dict) else source.__all__


class Missing:
    """The last finder asked for an absent `torch.X`: says that Descent lacks it."""

    @staticmethod
    def find_spec(fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        parent, _, _ = fullname.rpartition(".")
        if fullname.startswith("torch.") and isinstance(sys.modules.get(parent), Shadow):
            message = f"{fullname} is not in Descent; {LIST}"
            raise ModuleNotFoundError(message, name=fullname)
        return None


def built() -> dict[str, Shadow]:
    """All modules by full name, each an attribute of its parent."""
    modules: dict[str, Shadow] = {}
    for short, sources in MODULES.items():
        full = f"torch.{short}" if short else "torch"
        modules[full] = Shadow(full, sources)
    for full, module in modules.items():
        parent, _, name = full.rpartition(".")
        if parent:
            setattr(modules[parent], name, module)
    return modules
