"""Questions about number types: limits, promotion, casts."""

from __future__ import annotations

from typing import Any

import numpy as np

from descent.autograd import TensorBase
from descent.dtypes import dtype, from_numpy_dtype, get_default_dtype, promote, to_dtype
from descent.tensor.inplace import castable

__all__ = ["can_cast", "finfo", "iinfo", "is_floating_point", "promote_types", "result_type"]


class finfo:
    """The limits of a floating-point dtype: `min`, `max`, `eps`, `tiny`, `resolution`, `bits`."""

    def __init__(self, type: Any = None) -> None:
        kind = get_default_dtype() if type is None else to_dtype(type)
        if not kind.is_floating_point:
            raise TypeError(
                f"finfo() requires a floating point dtype, not {kind.name}: see iinfo()"
            )
        limits = np.finfo(kind.np)
        self.dtype, self.bits = kind.name, limits.bits
        self.min, self.max = float(limits.min), float(limits.max)
        self.eps, self.resolution = float(limits.eps), float(limits.resolution)
        self.tiny = self.smallest_normal = float(limits.tiny)

    def __repr__(self) -> str:
        return f"finfo({', '.join(f'{k}={v:g}' for k, v in vars(self).items() if k != 'dtype')})"


class iinfo:
    """The limits of an integer dtype: `min`, `max`, `bits`."""

    def __init__(self, type: Any) -> None:
        kind = to_dtype(type)
        if kind.np.kind not in "iu":
            raise TypeError(f"iinfo() requires an integer dtype, not {kind.name}: see finfo()")
        limits = np.iinfo(kind.np)
        self.dtype, self.bits = kind.name, limits.bits
        self.min, self.max = int(limits.min), int(limits.max)

    def __repr__(self) -> str:
        return f"iinfo(min={self.min}, max={self.max}, dtype={self.dtype})"


def is_floating_point(input: Any) -> bool:
    """Whether the tensor holds floating-point numbers."""
    return input.array.dtype.kind == "f"


def promote_types(type1: Any, type2: Any) -> dtype:
    """The dtype in which two dtypes meet."""
    a, b = (np.empty(1, to_dtype(t).np) for t in (type1, type2))
    return from_numpy_dtype(promote(a, b))


def result_type(tensor1: Any, tensor2: Any) -> dtype:
    """The dtype of an operation on these two tensors or numbers."""
    a, b = (x.array if isinstance(x, TensorBase) else x for x in (tensor1, tensor2))
    return from_numpy_dtype(promote(a, b))


def can_cast(from_: Any, to: Any) -> bool:
    """Whether results of one dtype may be stored in another: never from floats to integers."""
    return castable(to_dtype(from_).np, to_dtype(to).np)
