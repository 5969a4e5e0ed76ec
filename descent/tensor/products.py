"""Products of tensors."""

from __future__ import annotations

from typing import Any

from descent.autograd import apply
from descent.ops import products
from descent.tensor.common import operands

__all__ = ["ProductMethods", "matmul"]


def matmul(input: Any, other: Any) -> Any:
    """Matrix product with PyTorch's rules for 1-D operands and batch axes."""
    a, b = operands(input, other)
    if not a.array.ndim or not b.array.ndim:
        raise RuntimeError(
            "both arguments to matmul need to be at least 1D, but they are "
            f"{a.array.ndim}D and {b.array.ndim}D"
        )
    k, k2 = a.array.shape[-1], b.array.shape[-2 if b.array.ndim > 1 else 0]
    if k != k2:
        raise RuntimeError(
            f"mat1 and mat2 shapes cannot be multiplied ({'x'.join(map(str, a.array.shape))} and "
            f"{'x'.join(map(str, b.array.shape))}): the last axis of the first is {k}, the "
            f"{'second-to-last' if b.array.ndim > 1 else 'only'} axis of the second is {k2}"
        )
    return apply(products.matmul, a, b)


class ProductMethods:
    """The methods of `Tensor` that this family gives."""

    __slots__ = ()

    matmul = __matmul__ = matmul

    def __rmatmul__(self, other: Any) -> Any:
        return matmul(other, self)
