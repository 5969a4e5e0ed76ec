"""Determinants, inverses, equations, factors and norms of matrices (the last two axes)."""

from __future__ import annotations

from math import inf
from typing import Any

import numpy as np

from descent.autograd import apply, wrap
from descent.ops import factors, solving
from descent.tensor.common import axes, cast
from descent.tensor.comparing import where
from descent.tensor.extremes import amax, amin
from descent.tensor.joining import cat
from descent.tensor.measuring import vector_norm
from descent.tensor.products import matmul
from descent.tensor.reducing import sum
from descent.tensor.results import pair
from descent.tensor.scanning import cumprod
from descent.tensor.shaping import expand, movedim

__all__ = [
    "LinAlgError", "cholesky", "det", "inv", "logdet", "matrix_norm", "matrix_power", "norm",
    "slogdet", "solve", "svdvals", "vander",
]  # fmt: skip

_Slogdet = pair("linalg_slogdet", "sign logabsdet")


class LinAlgError(RuntimeError):
    """A matrix for which the result does not exist (singular, not positive-definite)."""


def _matrices(name: str, x: Any, *, square: bool = True) -> tuple[int, ...]:
    shape = x.array.shape
    if len(shape) < 2:
        raise RuntimeError(
            f"{name}: The input tensor A must have at least 2 dimensions, got shape {list(shape)}"
        )
    if square and shape[-1] != shape[-2]:
        raise RuntimeError(
            f"{name}: A must be batches of square matrices, but they are {shape[-2]} by {shape[-1]}"
        )
    if x.array.dtype.kind != "f":
        raise RuntimeError(f"{name}: Expected a floating point tensor, got {x.dtype.name}")
    return shape


def _factored(name: str, why: str, op: Any, *inputs: Any) -> Any:
    try:
        return apply(op, *inputs)
    except np.linalg.LinAlgError:
        raise LinAlgError(f"{name}: {why}") from None


def det(A: Any) -> Any:
    """Determinant."""
    _matrices("linalg.det", A)
    return apply(solving.det, A)


def slogdet(A: Any) -> Any:
    """(sign, logabsdet) of the determinant."""
    _matrices("linalg.slogdet", A)
    logabs, sign = apply(solving.slogdet, A)
    always = wrap(np.ones(sign.array.shape, bool))  # on the tape as in PyTorch, with derivative 0
    return _Slogdet(where(always, sign, logabs), logabs)


def logdet(A: Any) -> Any:
    """Logarithm of the determinant; NaN where that is negative."""
    sign, logabs = slogdet(A)
    return logabs + wrap(np.where(sign.array < 0, np.nan, 0).astype(sign.array.dtype))


def solve(A: Any, B: Any, *, left: bool = True) -> Any:
    """X in A X = B (or X A = B with left=False). B is vectors when it has the shape of A's rows.

    Raises:
        LinAlgError: when a matrix is singular.
    """
    shape = _matrices("linalg.solve", A)
    given = B.array.shape
    if not left:
        return solve(A.mT, B.mT).mT
    vectors = len(given) == 1 or (len(given) == len(shape) - 1 and given == shape[:-1])
    b = B.unsqueeze(-1) if vectors else B
    if b.array.shape[-2] != shape[-1]:
        raise RuntimeError(
            f"linalg.solve: Incompatible shapes of A and B for the equation AX = B "
            f"({list(shape)} and {list(given)})"
        )
    lead = np.broadcast_shapes(shape[:-2], b.array.shape[:-2])
    a, b = expand(A, *lead, *shape[-2:]), expand(b, *lead, *b.array.shape[-2:])
    x = _factored("linalg.solve", "a matrix is singular: it has no solution", solving.solve, a, b)
    return x.squeeze(-1) if vectors else x


def inv(A: Any) -> Any:
    """Inverse.

    Raises:
        LinAlgError: when a matrix is singular.
    """
    shape = _matrices("linalg.inv", A)
    one = expand(wrap(np.eye(shape[-1], dtype=A.array.dtype)), shape)
    return _factored("linalg.inv", "a matrix is singular: it has no inverse", solving.solve, A, one)


def cholesky(A: Any, *, upper: bool = False) -> Any:
    """Lower triangular L with A = L Lᵀ (upper: Lᵀ) for symmetric positive-definite A.

    Raises:
        LinAlgError: when a matrix is not positive-definite.
    """
    _matrices("linalg.cholesky", A)
    why = "the input is not positive-definite"
    y = _factored("linalg.cholesky", why, factors.cholesky, A)
    return y.mT if upper else y


def svdvals(A: Any) -> Any:
    """Singular values, largest first."""
    shape = _matrices("linalg.svdvals", A, square=False)
    return apply(factors.svdvals, A.mT if shape[-2] < shape[-1] else A)


def matrix_power(A: Any, n: int) -> Any:
    """A multiplied with itself n times, by repeated squaring; negative n: of the inverse."""
    shape = _matrices("linalg.matrix_power", A)
    if n < 0:
        return matrix_power(inv(A), -n)
    if n == 0:
        return expand(wrap(np.eye(shape[-1], dtype=A.array.dtype)), shape).clone() + A * 0
    half = matrix_power(A, n // 2) if n > 1 else None
    if half is None:
        return A.clone()
    return matmul(matmul(half, half), A) if n % 2 else matmul(half, half)


def vander(x: Any, N: int | None = None) -> Any:
    """Powers x⁰ … x^(N−1) as a new last axis (N defaults to the length of x)."""
    n = (x.array.shape[-1] if x.array.ndim else 1) if N is None else N
    if n < 1:
        raise RuntimeError(f"linalg.vander: N must be positive, got {n}")
    x = x.unsqueeze(-1) if x.array.ndim else x.reshape(1, 1)
    lead = x.array.shape[:-1]
    factor = cat([wrap(np.ones((*lead, 1), x.array.dtype)), expand(x, *lead, n - 1)], -1)
    return cumprod(factor, -1)


def matrix_norm(
    A: Any, ord: Any = "fro", dim: Any = (-2, -1), keepdim: bool = False, *, dtype: Any = None
) -> Any:
    """Norm of matrices: "fro" √Σ a², "nuc" Σ of singular values, ±2 the largest or smallest one,
    ±1 (±inf) the largest or smallest sum of |a| of a column (row)."""
    if dtype is not None:
        A = cast(A, dtype.np)
    _matrices("linalg.matrix_norm", A, square=False)
    dims = axes(dim, A.array.ndim) or ()
    if len(dims) != 2:
        raise RuntimeError(f"linalg.matrix_norm: dim must be a 2-tuple of axes, got {dim}")
    rows, columns = dims
    if ord == "fro":
        return vector_norm(A, 2, dims, keepdim)
    if ord in ("nuc", 2, -2):
        s = svdvals(movedim(A, dims, (-2, -1)))
        y = sum(s, -1) if ord == "nuc" else (amax if ord == 2 else amin)(s, -1)
    elif ord in (1, -1, inf, -inf):
        added, chosen = (rows, columns) if ord in (1, -1) else (columns, rows)
        y = (amax if ord > 0 else amin)(sum(A.abs(), added, True), chosen, True)
        return y if keepdim else y.squeeze(dims)
    else:
        raise RuntimeError(f"linalg.matrix_norm: Order {ord} not supported.")
    if keepdim:
        for d in sorted(dims):
            y = y.unsqueeze(d)
    return y


def norm(
    A: Any, ord: Any = None, dim: Any = None, keepdim: bool = False, *, dtype: Any = None
) -> Any:
    """`vector_norm` over one axis (or all, without ord), `matrix_norm` over two."""
    if dim is not None:
        matrix = not isinstance(dim, int) and len(dim) == 2
    else:
        matrix = ord is not None and A.array.ndim == 2
        if ord is not None and A.array.ndim not in (1, 2):
            raise RuntimeError(
                "linalg.norm: If dim is not specified but ord is, the input must be 1D or 2D. "
                f"Got {A.array.ndim}D."
            )
    if matrix and ord is not None:
        dims = (-2, -1) if dim is None else dim
        return matrix_norm(A, ord, dims, keepdim, dtype=dtype)
    return vector_norm(A, 2 if ord is None else ord, dim, keepdim, dtype=dtype)


class FactoringMethods:
    """The methods of `Tensor` that this family gives."""

    __slots__ = ()

    det, logdet, slogdet, inverse = det, logdet, slogdet, inv
    matrix_power, cholesky = matrix_power, cholesky
