"""Optimisers' settings while a step is captured: which of them the step itself looks at or changes.

A learning rate that only the optimiser uses may change from call to call: the running step asks for
it. One that the user's code reads is a number in the source, and guarded; one that it sets can't be
part of a step.
"""

from __future__ import annotations

import sys
from typing import Any

from descent.compiler.shadow import Unsupported
from descent.compiler.surroundings import is_library

__all__ = ["Settings", "WatchedGroup"]


class WatchedGroup(dict[str, Any]):
    """A parameter group that remembers which settings code outside this package read."""

    def __init__(self, original: dict[str, Any]) -> None:
        super().__init__(original)
        self.original = original
        self.read = False

    def __getitem__(self, key: str) -> Any:
        self._seen(key)
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        self._seen(key)
        return super().get(key, default)

    def items(self) -> Any:
        self._seen("")
        return super().items()

    def values(self) -> Any:
        self._seen("")
        return super().values()

    def _seen(self, key: str) -> None:
        if key != "params" and not is_library(sys._getframe(2).f_globals.get("__name__", "")):
            self.read = True


class Settings:
    """The groups of some optimisers, watched until `restore`."""

    def __init__(self, optimizers: list[Any]) -> None:
        self.lists = [o.param_groups for o in optimizers]
        for groups in self.lists:
            groups[:] = [WatchedGroup(g) for g in groups]
        self.watched = [g for groups in self.lists for g in groups]

    def restore(self) -> None:
        """The groups themselves again."""
        for groups in self.lists:
            groups[:] = [getattr(g, "original", g) for g in groups]

    def read(self) -> list[dict[str, Any]]:
        """Groups whose settings the step read."""
        return [g.original for g in self.watched if g.read]

    def refuse_changes(self) -> None:
        """Raise Unsupported when the step changed any."""
        groups = [g for found in self.lists for g in found]
        if len(groups) != len(self.watched) or any(
            not isinstance(g, WatchedGroup) or dict(g) != g.original for g in groups
        ):
            raise Unsupported("it changes settings of an optimiser: do that outside the step")
