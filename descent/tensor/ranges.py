"""New tensors whose elements follow a rule: ranges, identities, grids, positions of triangles."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from descent.autograd import TensorBase, wrap
from descent.dtypes import get_default_dtype, to_dtype
from descent.tensor.creating import chosen, made
from descent.tensor.gathering import index_select
from descent.tensor.joining import cat, stack
from descent.tensor.shaping import expand, reshape

__all__ = [
    "arange", "block_diag", "cartesian_prod", "combinations", "eye", "linspace", "logspace",
    "meshgrid", "tril_indices", "triu_indices",
]  # fmt: skip


def _number(x: Any) -> Any:
    return x.array.item() if isinstance(x, TensorBase) else x


def arange(
    start: Any = 0,
    end: Any = None,
    step: Any = 1,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Any:
    """start, start + step, … below end; int64 when all three are integers.

    Raises:
        RuntimeError: for step 0 and for a step away from the end.
    """
    if end is None:
        start, end = 0, start
    start, end, step = _number(start), _number(end), _number(step)
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if (end - start) * step < 0:
        raise RuntimeError(
            f"upper bound and lower bound inconsistent with step sign: {start}, {end}, {step}"
        )
    whole = all(isinstance(v, (int, np.integer)) for v in (start, end, step))
    n = -((start - end) // step) if whole else math.ceil((end - start) / step)
    kind = to_dtype(dtype).np if dtype is not None else np.dtype(np.int64)
    if dtype is None and not whole:
        kind = get_default_dtype().np
    if kind.kind in "iu":
        start, step = int(start), int(step)
        array = np.arange(start, start + n * step, step).astype(kind)[:n]
    else:
        array = (start + step * np.arange(n)).astype(kind)
    return made(array, requires_grad, device)


def linspace(
    start: Any,
    end: Any,
    steps: int,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Any:
    """`steps` numbers at equal distances from start to end, both included."""
    kind = chosen(dtype)
    return made(_spaced(_number(start), _number(end), steps, kind), requires_grad, device)


def _spaced(start: Any, end: Any, steps: int, kind: np.dtype) -> np.ndarray:
    """Each half computed from its own end, so that the sequence is symmetric."""
    if steps < 0:
        raise RuntimeError(f"number of steps must be non-negative, got {steps}")
    if steps == 1:
        return np.array([start]).astype(kind)
    work = kind if kind.kind == "f" else np.dtype(np.float64)
    if kind.kind in "iu":
        start, end = int(start), int(end)
    i = np.arange(steps)
    first, last = work.type(start), work.type(end)
    step = work.type((last - first) / work.type(max(steps - 1, 1)))
    low = first + step * i.astype(work)
    high = last - step * (steps - 1 - i).astype(work)
    return np.where(i < steps // 2, low, high).astype(kind)


def logspace(start: Any, end: Any, steps: int, base: float = 10.0, **options: Any) -> Any:
    """base to the powers of `linspace(start, end, steps)`."""
    kind = chosen(options.pop("dtype", None))
    powers = _spaced(_number(start), _number(end), steps, np.dtype(np.float64))
    return made((base**powers).astype(kind), options.get("requires_grad", False))


def eye(
    n: int,
    m: int | None = None,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Any:
    """Ones on the diagonal of an n × m matrix."""
    if n < 0 or (m is not None and m < 0):
        raise RuntimeError(f"n and m must be greater or equal to 0, got {n}, {m}")
    return made(np.eye(n, m, dtype=chosen(dtype)), requires_grad, device)


def tril_indices(row: int, col: int, offset: int = 0, **options: Any) -> Any:
    """The positions of the lower triangle, [2, n]."""
    return wrap(np.stack(np.tril_indices(row, offset, col)).astype(_index_kind(options)))


def triu_indices(row: int, col: int, offset: int = 0, **options: Any) -> Any:
    """The positions of the upper triangle, [2, n]."""
    return wrap(np.stack(np.triu_indices(row, offset, col)).astype(_index_kind(options)))


def _index_kind(options: dict[str, Any]) -> np.dtype:
    return to_dtype(options.get("dtype") or int).np


def _listed(tensors: tuple[Any, ...]) -> tuple[Any, ...]:
    given = tensors[0] if len(tensors) == 1 and not isinstance(tensors[0], TensorBase) else tensors
    return tuple(given)


def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Any, ...]:
    """Every vector spread over the grid of all of them; `indexing="xy"` exchanges the first two."""
    if indexing not in ("ij", "xy"):
        raise RuntimeError(f"meshgrid: indexing must be 'ij' or 'xy', but received: {indexing!r}")
    given = [reshape(t, -1) for t in _listed(tensors)]
    swap = indexing == "xy" and len(given) > 1
    if swap:
        given[0], given[1] = given[1], given[0]
    shape = tuple(t.array.size for t in given)
    grids = []
    for d, t in enumerate(given):
        grids.append(expand(reshape(t, (1,) * d + (-1,) + (1,) * (len(given) - d - 1)), shape))
    if swap:
        grids[0], grids[1] = grids[1], grids[0]
    return tuple(grids)


def cartesian_prod(*tensors: Any) -> Any:
    """All combinations of one element of each vector, one row each."""
    given = _listed(tensors)
    if len(given) == 1:
        return given[0]
    return stack([reshape(g, -1) for g in meshgrid(*given)], 1)


def combinations(input: Any, r: int = 2, with_replacement: bool = False) -> Any:
    """All choices of r elements of a vector, in order, one row each."""
    if input.array.ndim != 1 or r < 0:
        raise RuntimeError(
            f"combinations: expects a vector and r >= 0, got {input.array.ndim}-D and r = {r}"
        )
    pick = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    rows = np.array(list(pick(range(input.array.size), r)), np.int64).reshape(-1, r)
    if r == 0:
        return wrap(np.empty(0, input.array.dtype))
    return reshape(index_select(input, 0, wrap(rows.reshape(-1))), rows.shape)


def block_diag(*tensors: Any) -> Any:
    """Matrices (vectors as rows) down the diagonal of a large matrix of zeros."""
    blocks = [reshape(t, (1,) * (2 - t.array.ndim) + t.array.shape) for t in _listed(tensors)]
    width = sum(b.array.shape[1] for b in blocks)
    kind = np.result_type(*(b.array.dtype for b in blocks))
    rows, before = [], 0
    for b in blocks:
        n, m = b.array.shape
        left = wrap(np.zeros((n, before), kind))
        right = wrap(np.zeros((n, width - before - m), kind))
        rows.append(cat([left, b, right], 1))
        before += m
    return cat(rows, 0)
