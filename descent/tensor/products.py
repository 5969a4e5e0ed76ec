"""Products of vectors, matrices and batches of matrices."""

from __future__ import annotations

from typing import Any

from descent.autograd import TensorBase, apply
from descent.ops import products
from descent.tensor.calling import in_place
from descent.tensor.common import axis

__all__ = [
    "ProductMethods", "addbmm", "addmm", "addmv", "addr", "baddbmm", "bmm", "cross", "dot", "ger",
    "inner", "linalg_cross", "linalg_vecdot", "matmul", "mm", "mv", "outer", "trace", "vdot",
]  # fmt: skip


def matmul(input: Any, other: Any) -> Any:
    """Matrix product with PyTorch's rules for 1-D operands and batch axes.

    Raises:
        RuntimeError: for 0-d operands, different dtypes, or sizes that do not fit.
    """
    try:
        a, b = input.array, other.array
    except AttributeError:
        raise TypeError(
            f"matmul needs two tensors, got {type(input).__name__} and {type(other).__name__}"
        ) from None
    if a.dtype != b.dtype:
        raise RuntimeError(
            f"expected m1 and m2 to have the same dtype, but got: {a.dtype} != {b.dtype}"
        )
    if b.ndim == 2 and a.ndim >= 2 and a.shape[-1] == b.shape[0]:
        return apply(products.mm, input, other)
    if not a.ndim or not b.ndim:
        raise RuntimeError(
            f"both arguments to matmul need to be at least 1D, but they are {a.ndim}D and {b.ndim}D"
        )
    k, k2 = a.shape[-1], b.shape[-2 if b.ndim > 1 else 0]
    if k != k2:
        raise RuntimeError(
            f"mat1 and mat2 shapes cannot be multiplied ({_by(a.shape)} and {_by(b.shape)}): the "
            f"last axis of the first is {k}, the "
            f"{'second-to-last' if b.ndim > 1 else 'only'} axis of the second is {k2}"
        )
    _check_batches(a.shape[:-2], b.shape[:-2])
    return apply(products.matmul, input, other)


def _by(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def _check_batches(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    for i in range(1, min(len(a), len(b)) + 1):
        if a[-i] != b[-i] and 1 not in (a[-i], b[-i]):
            raise RuntimeError(
                f"The size of tensor a ({a[-i]}) must match the size of tensor b ({b[-i]}) at "
                f"non-singleton dimension {max(len(a), len(b)) - i}: batch axes {a} and {b}"
            )


def _needs(name: str, *wanted: tuple[Any, int]) -> None:
    """Raise RuntimeError unless every tensor has the stated number of axes."""
    for i, (t, n) in enumerate(wanted):
        if not isinstance(t, TensorBase):
            raise TypeError(f"{name}: argument {i + 1} must be a tensor, not {type(t).__name__}")
        if t.array.ndim != n:
            raise RuntimeError(
                f"{name}: argument {i + 1} must be {n}-D, got shape {list(t.array.shape)}"
            )


def mm(input: Any, mat2: Any) -> Any:
    """Product of two matrices [M, K] and [K, N]."""
    _needs("mm", (input, 2), (mat2, 2))
    return matmul(input, mat2)


def bmm(input: Any, mat2: Any) -> Any:
    """Products of matrices one by one: [B, M, K] and [B, K, N]."""
    _needs("bmm", (input, 3), (mat2, 3))
    if input.array.shape[0] != mat2.array.shape[0]:
        raise RuntimeError(
            f"bmm: batch sizes differ: {list(input.array.shape)} and {list(mat2.array.shape)}"
        )
    return matmul(input, mat2)


def mv(input: Any, vec: Any) -> Any:
    """Matrix [M, K] times vector [K]."""
    _needs("mv", (input, 2), (vec, 1))
    return matmul(input, vec)


def dot(input: Any, tensor: Any) -> Any:
    """Σ_i a_i b_i of two vectors of one length."""
    _needs("dot", (input, 1), (tensor, 1))
    if input.array.shape != tensor.array.shape:
        raise RuntimeError(
            "inconsistent tensor size, expected tensors to have the same number of elements, but "
            f"got {input.array.size} and {tensor.array.size} elements"
        )
    return matmul(input, tensor)


def vdot(input: Any, other: Any) -> Any:
    """`dot` (numbers here are real)."""
    return dot(input, other)


def inner(input: Any, other: Any) -> Any:
    """Σ over the last axes of both; a 0-d operand multiplies."""
    if not input.array.ndim or not other.array.ndim:
        return input * other
    if input.array.shape[-1] != other.array.shape[-1]:
        raise RuntimeError(
            "inner() the last dimension must match on both input tensors but got shapes "
            f"{list(input.array.shape)} and {list(other.array.shape)}"
        )
    if other.array.ndim <= 2:
        return matmul(input, other if other.array.ndim == 1 else other.transpose(0, 1))
    lead, k = other.array.shape[:-1], other.array.shape[-1]
    y = matmul(input, other.reshape(-1, k).transpose(0, 1))
    return y.reshape(*input.array.shape[:-1], *lead)


def outer(input: Any, vec2: Any) -> Any:
    """Every product of an element of one vector with one of the other: [M], [N] → [M, N]."""
    _needs("outer", (input, 1), (vec2, 1))
    return input.reshape(-1, 1) * vec2


ger = outer


def _plus(input: Any, product: Any, beta: Any, alpha: Any) -> Any:
    """beta · input + alpha · product; beta = 0 ignores the input, NaN and all."""
    product = product if alpha == 1 else product * alpha
    if beta == 0:
        return product if product.array.ndim else product + 0
    y = (input if beta == 1 else input * beta) + product
    if y.array.shape != product.array.shape:
        raise RuntimeError(
            f"the added tensor of shape {list(input.array.shape)} does not fit the product's "
            f"shape {list(product.array.shape)}"
        )
    return y


def addmm(input: Any, mat1: Any, mat2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """beta · input + alpha · (mat1 mat2)."""
    return _plus(input, mm(mat1, mat2), beta, alpha)


def addmv(input: Any, mat: Any, vec: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """beta · input + alpha · (mat vec)."""
    return _plus(input, mv(mat, vec), beta, alpha)


def addr(input: Any, vec1: Any, vec2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """beta · input + alpha · outer(vec1, vec2)."""
    return _plus(input, outer(vec1, vec2), beta, alpha)


def addbmm(input: Any, batch1: Any, batch2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """beta · input + alpha · Σ_b batch1_b batch2_b."""
    return _plus(input, bmm(batch1, batch2).sum(0), beta, alpha)


def baddbmm(input: Any, batch1: Any, batch2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """beta · input + alpha · batch1_b batch2_b for every b."""
    return _plus(input, bmm(batch1, batch2), beta, alpha)


def linalg_vecdot(x: Any, y: Any, *, dim: int = -1) -> Any:
    """Σ x y along one axis."""
    return (x * y).sum(dim)


def linalg_cross(input: Any, other: Any, *, dim: int = -1) -> Any:
    """Vector product along an axis of size 3: y_i = a_j b_k − a_k b_j."""
    if input.array.ndim != other.array.ndim:
        raise RuntimeError("linalg.cross: inputs must have the same number of dimensions.")
    d = axis(dim, input.array.ndim)
    if input.array.shape[d] != 3 or other.array.shape[d] != 3:
        raise RuntimeError(
            f"linalg.cross: inputs dimension {dim} must have length 3. Got "
            f"{input.array.shape[d]} and {other.array.shape[d]}"
        )
    from descent.tensor.joining import stack

    shape = tuple(map(max, zip(input.array.shape, other.array.shape)))
    a, b = (x.expand(*shape) for x in (input, other))
    at = lambda x, i: x[(slice(None),) * d + (i,)]  # noqa: E731
    parts = [at(a, j) * at(b, k) - at(a, k) * at(b, j) for j, k in ((1, 2), (2, 0), (0, 1))]
    return stack(parts, d)


def cross(input: Any, other: Any, dim: int | None = None) -> Any:
    """Vector product; `dim` defaults to the first axis of size 3."""
    shape = input.array.shape
    if dim is None and 3 not in shape:
        raise RuntimeError(f"no dimension of size 3 in input of shape {list(shape)}")
    return linalg_cross(input, other, dim=shape.index(3) if dim is None else dim)


def trace(input: Any) -> Any:
    """Σ_i x_ii of a matrix."""
    if input.array.ndim != 2:
        raise RuntimeError(f"trace: expected a matrix, got shape {list(input.array.shape)}")
    return input.diagonal().sum()


class ProductMethods:
    """The methods of `Tensor` that this family gives."""

    __slots__ = ()

    matmul = __matmul__ = matmul
    mm, bmm, mv, dot, vdot, inner, outer, ger = mm, bmm, mv, dot, vdot, inner, outer, ger
    addmm, addmv, addr, addbmm, baddbmm = addmm, addmv, addr, addbmm, baddbmm
    cross, trace = cross, trace
    addmm_, addmv_, addr_, addbmm_, baddbmm_ = map(in_place, (addmm, addmv, addr, addbmm, baddbmm))

    def __rmatmul__(self, other: Any) -> Any:
        return matmul(other, self)
