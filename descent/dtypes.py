"""Number types under PyTorch's names, and its promotion rule.

Promotion (torch docs, "Tensor attributes"): categories bool < integer < floating < complex. An
operand of a higher category decides; within the category, tensors with axes beat 0-d tensors beat
Python numbers. float32 by default; float16 is storage here; bfloat16 and complex are left out.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = [
    "bool_", "dtype", "float16", "float32", "float64", "from_numpy_dtype", "get_default_dtype",
    "int16", "int32", "int64", "int8", "promote", "set_default_dtype", "to_dtype", "uint8",
]  # fmt: skip


class dtype:
    """A number type: `float32`, `int64`, …; `.np` is NumPy's."""

    __slots__ = ("category", "is_complex", "is_floating_point", "itemsize", "name", "np")

    def __init__(self, name: str, np_type: Any) -> None:
        self.name = name
        self.np = np.dtype(np_type)
        self.category = {"b": 0, "i": 1, "u": 1, "f": 2, "c": 3}[self.np.kind]
        self.is_floating_point = self.category == 2
        self.is_complex = self.category == 3
        self.itemsize = self.np.itemsize

    def __repr__(self) -> str:
        return f"torch.{self.name}"  # PyTorch's spelling, so that printed output compares

    def __reduce__(self) -> str:
        return self.name


float16, float32, float64 = (
    dtype("float16", np.float16),
    dtype("float32", np.float32),
    dtype("float64", np.float64),
)
uint8, int8, int16, int32, int64 = (
    dtype("uint8", np.uint8),
    dtype("int8", np.int8),
    dtype("int16", np.int16),
    dtype("int32", np.int32),
    dtype("int64", np.int64),
)
bool_ = dtype("bool", np.bool_)

_by_np = {d.np: d for d in (float16, float32, float64, uint8, int8, int16, int32, int64, bool_)}
_state = {"default": float32}


def from_numpy_dtype(d: Any) -> dtype:
    """Our dtype for a NumPy one.

    Raises:
        TypeError: for one we do not have (complex, strings, …).
    """
    try:
        return _by_np[np.dtype(d)]
    except KeyError:
        known = ", ".join(k.name for k in _by_np.values())
        raise TypeError(f"can't make a tensor of {np.dtype(d)}; the dtypes are {known}") from None


def to_dtype(d: Any) -> dtype:
    """Accept our dtype, a NumPy dtype or Python's float, int, bool."""
    if isinstance(d, dtype):
        return d
    if d is float:
        return _state["default"]
    if d is int:
        return int64
    return bool_ if d is bool else from_numpy_dtype(d)


def get_default_dtype() -> dtype:
    """The dtype of new floating-point tensors made from Python numbers."""
    return _state["default"]


def set_default_dtype(d: Any) -> None:
    """Set the dtype of new floating-point tensors (float32 or float64)."""
    d = to_dtype(d)
    if not d.is_floating_point:
        raise TypeError(f"the default dtype must be floating point, got {d.name}")
    _state["default"] = d


def _scalar_np(x: Any) -> np.dtype:
    if isinstance(x, (bool, np.bool_)):
        return bool_.np
    return int64.np if isinstance(x, (int, np.integer)) else _state["default"].np


def promote(*operands: Any) -> np.dtype:
    """The NumPy dtype in which an op on these arrays and Python numbers is computed."""
    groups: tuple[list[Any], list[Any], list[Any]] = ([], [], [])
    for x in operands:
        if isinstance(x, np.ndarray):
            groups[0 if x.ndim else 1].append(x.dtype)
        else:
            groups[2].append(_scalar_np(x))
    best: np.dtype | None = None
    for group in groups:
        if not group:
            continue
        found = _join(group)
        if best is None or _category(found) > _category(best):
            best = found
    return best if best is not None else _state["default"].np


def _category(d: np.dtype) -> int:
    return {"b": 0, "i": 1, "u": 1, "f": 2}.get(d.kind, 3)


def _join(types: list[np.dtype]) -> np.dtype:
    top = max(map(_category, types))
    same = [t for t in types if _category(t) == top]
    result = same[0]
    for t in same[1:]:
        if t != result:  # NumPy agrees with torch inside a category
            result = np.promote_types(result, t)
    return result
