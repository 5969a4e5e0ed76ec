"""Named pairs that functions with two results return; fields and printing as in PyTorch."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

__all__ = ["pair"]


def pair(name: str, fields: str = "values indices") -> Any:
    """A tuple class `name` with these fields, printed as `torch.return_types.name`."""
    base = namedtuple(name, fields)

    class Pair(base):
        __slots__ = ()

        def __repr__(self) -> str:
            parts = ",\n".join(f"{f}={v!r}" for f, v in zip(self._fields, self))
            return f"torch.return_types.{name}(\n{parts})"

    Pair.__name__ = Pair.__qualname__ = name
    Pair.__doc__ = f"What `{name}` returns: {', '.join(fields.split())}."
    return Pair
