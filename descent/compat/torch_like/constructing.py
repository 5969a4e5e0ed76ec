"""`torch.Tensor(…)`, `torch.FloatTensor(…)`: the old constructors, and the names for isinstance.

torch.Tensor(2, 3)       an uninitialised tensor of that shape
torch.Tensor([2, 3])     these numbers in the default dtype
isinstance(x, torch.LongTensor)   x.dtype is int64
"""

from __future__ import annotations

from typing import Any

import numpy as np

from descent import Size, dtypes, empty, tensor
from descent import Tensor as DescentTensor

__all__ = ["TENSOR_TYPES", "Tensor"]


def _constructed(args: tuple[Any, ...], dtype: Any) -> Any:
    if len(args) == 1 and isinstance(args[0], DescentTensor):
        return tensor(args[0], dtype=dtype)
    if (
        len(args) == 1
        and isinstance(args[0], (list, tuple, np.ndarray))
        and type(args[0]) is not Size
    ):
        return tensor(args[0], dtype=dtype)
    if all(isinstance(n, int) for n in args):
        return empty(args or (0,), dtype=dtype)
    if len(args) == 1 and type(args[0]) is Size:
        return empty(args[0], dtype=dtype)
    raise TypeError(
        f"torch.Tensor takes sizes (integers) or data (a list, array or tensor), got {args!r:.60}; "
        "torch.tensor(data) is the usual way"
    )


class _OldName(type):
    """A class that stands for Descent's Tensor: it makes, recognises and looks like one."""

    kind: Any

    def __call__(cls, *args: Any, **options: Any) -> Any:
        return _constructed(args, cls.kind or dtypes.get_default_dtype())

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, DescentTensor) and cls.kind in (None, instance.dtype)

    def __subclasscheck__(cls, subclass: type) -> bool:
        return cls.kind is None and issubclass(subclass, DescentTensor)

    def __getattr__(cls, name: str) -> Any:
        return getattr(DescentTensor, name)

    def __eq__(cls, other: object) -> bool:
        return cls is other or (cls.kind is None and other is DescentTensor)

    def __hash__(cls) -> int:
        return hash(DescentTensor) if cls.kind is None else type.__hash__(cls)


class Tensor(metaclass=_OldName):
    """`torch.Tensor`: the default dtype; every tensor is an instance."""

    kind = None


TENSOR_TYPES: dict[str, Any] = {
    name: _OldName(name, (), {"kind": kind, "__doc__": f"Tensors of {kind.name}."})
    for name, kind in {
        "FloatTensor": dtypes.float32, "DoubleTensor": dtypes.float64,
        "HalfTensor": dtypes.float16, "LongTensor": dtypes.int64, "IntTensor": dtypes.int32,
        "ShortTensor": dtypes.int16, "CharTensor": dtypes.int8, "ByteTensor": dtypes.uint8,
        "BoolTensor": dtypes.bool_,
    }.items()
}  # fmt: skip
