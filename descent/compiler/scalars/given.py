"""Arguments of a replayed function: which are numbers that may differ, which are fixed.

    number → a float64    list of numbers or array → a float64 array    anything else → fixed

A recording is good for arguments with the same keys: the same shapes, the same fixed objects.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from descent.compiler.scalars.reading import Argument
from descent.compiler.scalars.tape import Refusal
from descent.scalar import Value

__all__ = ["arguments", "given"]

_NUMBER = ("number", ())


def given(arg: Any) -> tuple[tuple, Any]:
    """(key, the float or array to hand to the loops, or None for a fixed argument)."""
    kind = arg.__class__
    if kind is float or kind is int:
        return _NUMBER, float(arg)
    if kind is np.ndarray and arg.ndim and arg.size and arg.dtype.kind in "fiub":
        array = np.ascontiguousarray(arg, dtype=np.float64)
        return ("array", arg.shape), array if arg.ndim < 3 else array.reshape(len(arg), -1)
    if (kind is list or kind is tuple) and arg:
        array = _from_list(arg)
        if array is not None:
            key = (kind.__name__, array.shape)
            return key, array if array.ndim < 3 else array.reshape(len(arg), -1)
    if isinstance(arg, np.number):
        return _NUMBER, float(arg)
    return ("fixed", kind, arg), None


def _from_list(numbers: Sequence[Any]) -> np.ndarray | None:
    try:
        array = np.array(numbers)
    except ValueError:  # lists of different lengths
        return None
    if array.dtype.kind not in "fiu" or not array.size:
        return None
    return array.astype(np.float64)


def arguments(keys: tuple, args: Sequence[Any]) -> list[Argument | None]:
    """What the recording must know about each argument; None for a fixed one."""
    rows = next((key[1][0] for key in keys if key[0] != "fixed" and key[1]), 0)
    found: list[Argument | None] = []
    for i, (key, arg) in enumerate(zip(keys, args)):
        if key[0] == "fixed":
            if isinstance(arg, Value):
                raise Refusal(
                    f"argument {i} is a Value: hand over numbers and make the Values inside, or "
                    "list it in parameters=…"
                )
            found.append(None)
        else:
            shape = key[1]
            found.append(Argument(f"x{i}", shape, bool(shape) and shape[0] == rows))
    return found
