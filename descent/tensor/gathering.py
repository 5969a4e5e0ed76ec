"""Pick and write elements at places given by index tensors and masks."""

from __future__ import annotations

from typing import Any

import numpy as np

from descent.autograd import TensorBase, apply, capturing, known, wrap
from descent.ops import accumulating, gathers
from descent.tensor.calling import in_place
from descent.tensor.common import as_tensor, axis, cast, watch
from descent.tensor.indexing import getitem
from descent.tensor.shaping import broadcast_tensors, expand, reshape

__all__ = [
    "GatheringMethods", "argwhere", "gather", "index_add", "index_copy", "index_fill",
    "index_put", "index_select", "masked_scatter", "masked_select", "nonzero", "put", "scatter",
    "scatter_add", "take", "take_along_dim", "unravel_index",
]  # fmt: skip


def _checked(name: str, index: Any, n: int, kinds: str = "iu") -> np.ndarray:
    """Positions 0 … n−1 as an array.

    Raises:
        RuntimeError: for another dtype, and (gather, scatter) for a position out of range.
        IndexError: for a position out of range (the others); both name one such position.
    """
    a = index.array
    if a.dtype.kind not in kinds:
        raise RuntimeError(f"{name}(): Expected dtype int32/int64 for index, got {a.dtype}")
    if not known(a):
        capturing().check_range(a, n, 0)
    elif a.size and (int(a.min()) < 0 or int(a.max()) >= n):
        worst = int(a.min()) if int(a.min()) < 0 else int(a.max())
        kind = RuntimeError if name.startswith(("gather", "scatter")) else IndexError
        raise kind(f"{name}(): index {worst} is out of bounds for a dimension of size {n}")
    return a if a.dtype == np.int64 else a.astype(np.int64)


def _lifted(*tensors: Any) -> list[Any]:
    """0-d tensors as vectors of one element."""
    return [reshape(t, 1) if not t.array.ndim else t for t in tensors]


def index_select(input: Any, dim: int, index: Any) -> Any:
    """Slices of an axis in the order of a vector of positions."""
    at = axis(dim, input.array.ndim)
    if index.array.ndim > 1:
        raise IndexError("index_select(): Index is supposed to be a vector")
    if not input.array.ndim:
        _checked("index_select", index, 1)
        return getitem(reshape(input, 1), 0)
    where = _checked("index_select", index, input.array.shape[at]).reshape(-1)
    y = apply(gathers.index_select, input, index=(slice(None),) * at + (where,))
    return watch(y, index)


def gather(input: Any, dim: int, index: Any, *, sparse_grad: bool = False) -> Any:
    """y[i, j] = input[index[i, j], j] for dim 0, and so on for the other axes."""
    at = axis(dim, input.array.ndim)
    if not index.array.size:
        return reshape(getitem(reshape(input, -1), slice(0, 0)), index.array.shape)
    x, i = _lifted(input, index)
    _check_index_shape("gather", x, at, i)
    where = _checked("gather", i, x.array.shape[at])
    y = watch(apply(gathers.gather, x, dim=at, index=where), index)
    return y if index.array.ndim else reshape(y, ())


def _check_index_shape(name: str, x: Any, at: int, index: Any, src: Any = None) -> None:
    given, wanted = x.array.shape, index.array.shape
    if not index.array.size:
        return
    if len(given) != len(wanted):
        raise RuntimeError(
            f"{name}(): Index tensor must have the same number of dimensions as input tensor, "
            f"got {len(wanted)} and {len(given)}"
        )
    if any(n > m for d, (n, m) in enumerate(zip(wanted, given)) if d != at) or (
        src is not None and any(n > m for n, m in zip(wanted, src.array.shape))
    ):
        raise RuntimeError(
            f"{name}(): Expected index {list(wanted)} to be no larger than self {list(given)} "
            f"apart from dimension {at}"
            + (f" and to be no larger size than src {list(src.array.shape)}" if src else "")
        )


def placed(name: str, input: Any, dim: int, index: Any, src: Any) -> tuple[Any, Any, np.ndarray]:
    """Input and source as given, source cropped to the index; flat positions of the index."""
    at = axis(dim, input.array.ndim)
    x, i = _lifted(input, index)
    if not isinstance(src, TensorBase):
        src = wrap(np.full(i.array.shape, src, x.array.dtype))
    (v,) = _lifted(src)
    if v.array.dtype != x.array.dtype:
        raise RuntimeError(
            f"{name}(): Expected self.dtype to be equal to src.dtype, "
            f"got {x.array.dtype} and {v.array.dtype}"
        )
    _check_index_shape(name, x, at, i, v)
    where = _checked(name, i, x.array.shape[at])
    if not where.size:
        return x, None, where
    if v.array.shape != where.shape:
        v = getitem(v, tuple(slice(0, n) for n in where.shape))
    return x, v, gathers.along(x.array.shape, at, where)


def scatter(input: Any, dim: int, index: Any, src: Any = None, **named: Any) -> Any:
    """Copy with y[index[i, j], j] = src[i, j] for dim 0; `src` a tensor or a number."""
    if named.get("reduce") is not None:
        from descent.tensor.scattering import scatter_with

        return scatter_with(input, dim, index, named.get("value", src), named["reduce"])
    x, v, where = placed("scatter", input, dim, index, named.get("value", src))
    if v is None:
        return input.clone()
    y = watch(apply(gathers.scatter, x, v, positions=where), index)
    return reshape(y, input.array.shape)


def scatter_add(input: Any, dim: int, index: Any, src: Any) -> Any:
    """Copy with y[index[i, j], j] += src[i, j] for dim 0."""
    x, v, where = placed("scatter_add", input, dim, index, src)
    if v is None:
        return input.clone()
    return reshape(add_at(x, v, where, index), input.array.shape)


def add_at(x: Any, v: Any, where: np.ndarray, *used: Any) -> Any:
    """x with v added at flat positions."""
    y = apply(accumulating.scatter_add, x, v, wrap(where))
    return watch(y, *used)


def positions_of_rows(name: str, input: Any, dim: int, index: Any) -> np.ndarray:
    """The flat positions of the elements of the slices `index` of an axis."""
    at = axis(dim, input.array.ndim)
    shape = input.array.shape or (1,)
    if index.array.ndim > 1:
        raise IndexError(f"{name}(): Index should have dimension 1 or 0 (got {index.array.ndim})")
    where = _checked(name, index, shape[at]).reshape(-1)
    flat = np.arange(int(np.prod(shape))).reshape(shape)
    return flat.take(where, at)


def index_add(input: Any, dim: int, index: Any, source: Any, *, alpha: Any = 1) -> Any:
    """Copy with slice `index[i]` of an axis increased by alpha · source's slice i."""
    flat = positions_of_rows("index_add", input, dim, index)
    if alpha != 1:
        source = source * alpha
    if source.array.size != flat.size:
        raise RuntimeError(
            f"index_add(): source of shape {list(source.array.shape)} does not match the indexed "
            f"slices of shape {list(flat.shape)}"
        )
    return add_at(input, cast(source, input.array.dtype), flat, index)


def index_copy(input: Any, dim: int, index: Any, source: Any) -> Any:
    """Copy with slice `index[i]` of an axis replaced by source's slice i."""
    flat = positions_of_rows("index_copy", input, dim, index)
    if source.array.size != flat.size:
        raise RuntimeError(
            f"index_copy(): source of shape {list(source.array.shape)} does not match the indexed "
            f"slices of shape {list(flat.shape)}"
        )
    v = reshape(source, flat.shape)
    return watch(apply(gathers.index_copy, input, v, positions=flat), index)


def index_fill(input: Any, dim: int, index: Any, value: Any) -> Any:
    """Copy with the slices `index` of an axis filled with one number."""
    flat = np.unique(positions_of_rows("index_fill", input, dim, index))
    number = cast(as_tensor(value, input.array.dtype), input.array.dtype)
    v = expand(number, flat.shape)
    return watch(apply(gathers.index_fill, input, v, positions=flat), index)


def take(input: Any, index: Any) -> Any:
    """Elements at flat positions (negative ones count from the end)."""
    n, a = input.array.size, index.array
    if a.dtype != np.int64:
        raise RuntimeError(f"take(): Expected a long tensor for index, but got {a.dtype}")
    if a.size and (int(a.min()) < -n or int(a.max()) >= n):
        raise IndexError(f"out of range: tried to access an index outside a tensor of {n} elements")
    return watch(apply(gathers.take, input, index=a), index)


def put(input: Any, index: Any, source: Any, accumulate: bool = False) -> Any:
    """Copy with elements at flat positions replaced by, or increased by, those of source."""
    n, a = input.array.size, index.array
    if a.size != source.array.size:
        raise RuntimeError(
            f"put_(): Expected source and index to have the same number of elements, but got "
            f"{source.array.size} and {a.size}"
        )
    if a.size and (int(a.min()) < -n or int(a.max()) >= n):
        raise IndexError(f"put_(): index out of range for a tensor of {n} elements")
    if not a.size:
        return input.clone()
    where = np.where(a < 0, a + n, a)
    if accumulate:
        return add_at(input, source, where, index)
    v = reshape(source, where.shape)
    return watch(apply(gathers.put_flat, input, v, positions=where), index)


def take_along_dim(input: Any, indices: Any, dim: int | None = None) -> Any:
    """`gather` whose operands broadcast; without `dim`, of the flattened input."""
    if dim is None:
        return gather(reshape(input, -1), 0, reshape(indices, -1))
    at = axis(dim, input.array.ndim)
    x, i = list(input.array.shape), list(indices.array.shape)
    x[at], keep_i, keep_x = 1, i[at], x[at]
    i[at] = 1
    shape = list(np.broadcast_shapes(x, i))
    wide_x = expand(input, *shape[:at], keep_x, *shape[at + 1 :])
    a = indices.array
    from_front = wrap(np.where(a < 0, a + keep_x, a))  # negative positions count from the end
    wide_i = expand(from_front, *shape[:at], keep_i, *shape[at + 1 :])
    return watch(gather(wide_x, at, wide_i), indices)


def index_put(input: Any, indices: Any, values: Any, accumulate: bool = False) -> Any:
    """Copy with input[indices] replaced by, or increased by, values."""
    if not accumulate:
        y = input.clone()
        y[tuple(indices)] = values
        return y
    ids = wrap(np.arange(input.array.size).reshape(input.array.shape))
    where = getitem(ids, tuple(indices)).array
    v = expand(cast(as_tensor(values), input.array.dtype), where.shape)
    return add_at(input, v, where, tuple(indices))


def masked_select(input: Any, mask: Any) -> Any:
    """The elements where the mask is true, as a vector; the two broadcast."""
    if mask.array.dtype != np.bool_:
        raise RuntimeError("masked_select: expected BoolTensor for mask")
    x, m = broadcast_tensors(input, mask)
    y = apply(gathers.masked_select, x, index=(m.array,))
    return watch(y, mask)


def masked_scatter(input: Any, mask: Any, source: Any) -> Any:
    """Copy with the elements where the mask is true taken from source, in order."""
    if mask.array.dtype != np.bool_:
        raise RuntimeError("masked_scatter_ only supports boolean masks")
    x, m = broadcast_tensors(input, mask)
    count = int(m.array.sum())
    if count > source.array.size:
        raise RuntimeError(
            f"masked_scatter: expected self and source to have the same number of elements: the "
            f"mask asks for {count}, source has {source.array.size}"
        )
    v = getitem(reshape(source, -1), slice(0, count))
    y = apply(gathers.put_flat, x, v, positions=np.flatnonzero(m.array))
    return watch(y, mask)


def nonzero(input: Any, *, as_tuple: bool = False) -> Any:
    """The positions of the elements that are not zero: [n, dims], or one vector for each axis."""
    if as_tuple:
        a = input.array if input.array.ndim else input.array.reshape(1)
        return tuple(wrap(i) for i in np.nonzero(a))
    return argwhere(input)


def unravel_index(indices: Any, shape: Any) -> tuple[Any, ...]:
    """Flat positions in an array of this shape as one position for each axis."""
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    try:
        return tuple(wrap(np.asarray(i)) for i in np.unravel_index(indices.array, shape))
    except ValueError as error:
        raise ValueError(f"unravel_index(): {error}") from None


def argwhere(input: Any) -> Any:
    """The positions of the elements that are not zero, one row each."""
    return wrap(np.argwhere(input.array))


class GatheringMethods:
    """The methods of `Tensor` that this family gives."""

    __slots__ = ()

    index_select, gather, take, take_along_dim = index_select, gather, take, take_along_dim
    scatter, scatter_add, index_add, index_copy = scatter, scatter_add, index_add, index_copy
    index_fill, index_put, put = index_fill, index_put, put
    masked_select, masked_scatter, nonzero, argwhere = (
        masked_select, masked_scatter, nonzero, argwhere,
    )  # fmt: skip
    scatter_, scatter_add_, index_add_ = map(in_place, (scatter, scatter_add, index_add))
    index_copy_, index_fill_ = in_place(index_copy), in_place(index_fill)
    index_put_, put_, masked_scatter_ = map(in_place, (index_put, put, masked_scatter))
