"""New tensors: from data, and filled with one number."""

from __future__ import annotations

from typing import Any

import numpy as np

from descent.autograd import TensorBase, wrap
from descent.dtypes import bool_ as bool_dtype
from descent.dtypes import from_numpy_dtype, get_default_dtype, int64, to_dtype
from descent.tensor.common import cast
from descent.tensor.shaping import sizes
from descent.tensor.size import device as device_class

__all__ = [
    "CreatingMethods", "array_of", "as_tensor", "asarray", "empty", "empty_like", "empty_permuted",
    "empty_strided", "fill", "filling",
    "from_dlpack", "from_numpy", "frombuffer", "full", "full_like", "is_tensor", "made", "ones",
    "ones_like", "scalar_tensor", "tensor", "zeros", "zeros_like",
]  # fmt: skip


def made(array: np.ndarray, requires_grad: bool = False, device: Any = None) -> Any:
    """The finishing touches of every creation function."""
    if device is not None:
        device_class(device)
    t = wrap(array)
    return t.requires_grad_() if requires_grad else t


def chosen(dtype: Any) -> np.dtype:
    """NumPy's dtype for an optional dtype argument."""
    return (get_default_dtype() if dtype is None else to_dtype(dtype)).np


def tensor(
    data: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Any:
    """A tensor with a copy of `data` (numbers, nested lists, an array, a tensor).

    Python floats become the default dtype, ints int64; arrays and tensors keep their dtype.

    Raises:
        ValueError: for ragged lists; TypeError, RuntimeError: for things that are no numbers.
    """
    if isinstance(data, TensorBase):
        array = data.array.copy()
    elif isinstance(data, (np.ndarray, np.generic)):
        array = np.array(data)
    else:
        array = _from_python(data, exact=dtype is not None)
    if dtype is not None:
        with np.errstate(all="ignore"):
            array = array.astype(to_dtype(dtype).np)
    else:
        from_numpy_dtype(array.dtype)
    return made(array, requires_grad, device)


def _from_python(data: Any, exact: bool = False) -> np.ndarray:
    """Python numbers as an array; floats stay float64 when `exact` (a dtype was asked for)."""
    try:
        array = np.array(data)
    except (RuntimeError, TypeError):  # a tensor inside that requires a gradient
        array = np.array(_numbers(data))
    except ValueError:
        raise ValueError(
            f"expected sequences of one length at every depth, got a ragged list: {data!r:.80}"
        ) from None
    kind = array.dtype.kind
    if kind in "OU" or (kind == "u" and not _first_has_dtype(data)):
        flat = array.ravel().tolist()
        what = next((x for x in flat if not isinstance(x, (int, float))), 0)
        if kind == "u" or isinstance(what, int):
            raise ValueError("Overflow when unpacking long long: an integer does not fit in int64")
        if kind == "U":
            raise TypeError(f"new(): invalid data type 'str': {data!r:.60}")
        if any(isinstance(x, TensorBase) for x in array.ravel()):
            return np.array(_numbers(data))
        raise RuntimeError(f"Could not infer dtype of {type(what).__name__}: {data!r:.60}")
    if not exact and (kind == "f" or not array.size) and not _first_has_dtype(data):
        array = array.astype(get_default_dtype().np)
    return array


def _first_has_dtype(data: Any) -> bool:
    while isinstance(data, (list, tuple)) and data:
        data = data[0]
    return isinstance(data, (TensorBase, np.ndarray)) or (
        isinstance(data, np.generic) and not isinstance(data, float)
    )


def _numbers(data: Any) -> Any:
    if isinstance(data, TensorBase):
        return data.array
    return [_numbers(d) for d in data] if isinstance(data, (list, tuple)) else data


def array_of(*data: Any) -> np.ndarray:
    """What `Tensor(...)` holds: zeros for sizes, else the numbers given, as the default dtype."""
    first = data[0]
    if isinstance(first, (np.ndarray, np.generic)):
        return np.asarray(first)
    if isinstance(first, TensorBase):
        return first.array
    if isinstance(first, int) or (isinstance(first, tuple) and type(first).__name__ == "Size"):
        return np.zeros(sizes(data), get_default_dtype().np)
    return _from_python(first).astype(get_default_dtype().np)


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Any:
    """A tensor that shares memory with the data when it can (tensors, arrays of this dtype)."""
    if isinstance(data, TensorBase):
        return data if dtype is None else cast(data, to_dtype(dtype).np)
    if isinstance(data, np.ndarray):
        t = from_numpy(data)
        return t if dtype is None else t.to(dtype)
    return tensor(data, dtype=dtype, device=device)


def asarray(
    obj: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    copy: bool | None = None,
    requires_grad: bool = False,
) -> Any:
    """`as_tensor` with an explicit `copy`; also takes buffers and DLPack objects."""
    if not isinstance(obj, (TensorBase, np.ndarray)) and hasattr(obj, "__dlpack__"):
        obj = from_dlpack(obj)
    elif isinstance(obj, (bytes, bytearray, memoryview)):
        obj = frombuffer(obj, dtype=dtype or get_default_dtype())
    t = as_tensor(obj, dtype)
    if copy and (t is obj or np.may_share_memory(t.array, getattr(obj, "array", obj))):
        t = t.clone()
    if copy is False and not isinstance(obj, (TensorBase, np.ndarray)):
        raise ValueError("can't alias this object's memory; leave copy out")
    return t.detach().requires_grad_() if requires_grad else t


def from_numpy(ndarray: np.ndarray) -> Any:
    """A tensor that shares the array's memory.

    Raises:
        TypeError: for other things, and for dtypes that tensors do not have.
    """
    if not isinstance(ndarray, np.ndarray):
        raise TypeError(f"expected np.ndarray (got {type(ndarray).__name__})")
    from_numpy_dtype(ndarray.dtype)
    if any(s < 0 for s in ndarray.strides):
        raise ValueError(
            "At least one stride in the given numpy array is negative, and tensors with negative "
            "strides are not supported. Make a copy with array.copy()"
        )
    return wrap(ndarray)


def from_dlpack(ext_tensor: Any) -> Any:
    """A tensor that shares the memory of any object with `__dlpack__`."""
    return wrap(np.from_dlpack(ext_tensor))


def frombuffer(
    buffer: Any,
    *,
    dtype: Any,
    count: int = -1,
    offset: int = 0,
    requires_grad: bool = False,
) -> Any:
    """A vector that shares the memory of a buffer (bytes, bytearray, memoryview, mmap)."""
    kind = to_dtype(dtype).np
    room = memoryview(buffer).nbytes - offset
    if not memoryview(buffer).nbytes:
        raise ValueError("both buffer length (0) and count (-1) must not be 0")
    if room < kind.itemsize or (count > 0 and room < count * kind.itemsize):
        raise ValueError(
            f"the buffer holds {memoryview(buffer).nbytes} bytes: too few for {count} elements of "
            f"{kind} from byte {offset}"
        )
    n = room // kind.itemsize if count < 0 else count
    return made(np.frombuffer(buffer, kind, n, offset), requires_grad)


def is_tensor(obj: Any) -> bool:
    """Whether `obj` is a tensor."""
    return isinstance(obj, TensorBase)


def _filler(name: str, make: Any, doc: str) -> Any:
    def function(
        *size: Any,
        dtype: Any = None,
        layout: Any = None,
        device: Any = None,
        requires_grad: bool = False,
        pin_memory: bool = False,
        memory_format: Any = None,
        **named: Any,
    ) -> Any:
        shape = sizes(size if "size" not in named else (named.pop("size"),))
        if named:
            raise TypeError(f"{name}() got an unexpected keyword argument {next(iter(named))!r}")
        _check_shape(shape)
        return made(make(shape, chosen(dtype)), requires_grad, device)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function


def _check_shape(shape: tuple[int, ...]) -> None:
    for n in shape:
        if n < 0:
            raise RuntimeError(
                f"Trying to create tensor with negative dimension {n}: {list(shape)}"
            )


zeros = _filler("zeros", np.zeros, "Zeros of a shape.")
ones = _filler("ones", np.ones, "Ones of a shape.")
empty = _filler("empty", np.empty, "Uninitialised numbers of a shape.")


def full(
    size: Any,
    fill_value: Any,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Any:
    """One number everywhere; its own type decides the dtype (int → int64) unless one is given."""
    shape = sizes((size,)) if not isinstance(size, int) else (size,)
    _check_shape(shape)
    value = fill_value.array if isinstance(fill_value, TensorBase) else fill_value
    if dtype is None:
        if isinstance(value, bool):
            dtype = bool_dtype
        else:
            dtype = int64 if isinstance(value, int) else get_default_dtype()
    return made(np.full(shape, value, to_dtype(dtype).np), requires_grad, device)


def empty_strided(size: Any, stride: Any, *, dtype: Any = None, **options: Any) -> Any:
    """Uninitialised numbers of a shape with these strides (in elements)."""
    kind = chosen(dtype)
    reach = 1 + sum((n - 1) * s for n, s in zip(size, stride)) if 0 not in tuple(size) else 0
    steps = tuple(s * kind.itemsize for s in stride)
    array = np.lib.stride_tricks.as_strided(np.empty(max(reach, 1), kind), tuple(size), steps)
    return made(array, options.get("requires_grad", False), options.get("device"))


def scalar_tensor(s: Any, *, dtype: Any = None, **options: Any) -> Any:
    """A 0-d tensor of the default dtype."""
    return full(
        (), s, dtype=dtype or get_default_dtype(), requires_grad=options.get("requires_grad", False)
    )


def like(input: Any, dtype: Any) -> np.dtype:
    """The dtype argument of `…_like` functions: the input's unless given."""
    return input.array.dtype if dtype is None else to_dtype(dtype).np


def zeros_like(
    input: Any, *, dtype: Any = None, requires_grad: bool = False, **options: Any
) -> Any:
    """Zeros in the shape (and dtype) of `input`."""
    return made(np.zeros(input.array.shape, like(input, dtype)), requires_grad)


def ones_like(input: Any, *, dtype: Any = None, requires_grad: bool = False, **options: Any) -> Any:
    """Ones in the shape (and dtype) of `input`."""
    return made(np.ones(input.array.shape, like(input, dtype)), requires_grad)


def empty_like(
    input: Any, *, dtype: Any = None, requires_grad: bool = False, **options: Any
) -> Any:
    """Uninitialised numbers in the shape (and dtype) of `input`."""
    return made(np.empty(input.array.shape, like(input, dtype)), requires_grad)


def full_like(
    input: Any, fill_value: Any, *, dtype: Any = None, requires_grad: bool = False, **options: Any
) -> Any:
    """One number in the shape (and dtype) of `input`."""
    value = fill_value.array if isinstance(fill_value, TensorBase) else fill_value
    return made(np.full(input.array.shape, value, like(input, dtype)), requires_grad)


def filling(t: Any, value: Any) -> Any:
    """One number, in the dtype of `t`, as a 0-d tensor.

    Raises:
        RuntimeError: for a tensor with axes.
    """
    if isinstance(value, TensorBase):
        if value.array.ndim:
            raise RuntimeError(
                "fill_ only supports 0-dimension value tensor but got tensor with "
                f"{value.array.ndim} dimensions."
            )
        return value
    return wrap(np.asarray(value, t.array.dtype))


def fill(input: Any, value: Any) -> Any:
    """A copy of `input` with every element set to one number."""
    y = empty_like(input)
    if input.requires_grad:  # part of the history all the same, with gradient 0
        y = input.clone()
    return y.copy_(filling(input, value))


def empty_permuted(size: Any, physical_layout: Any, *, dtype: Any = None, **options: Any) -> Any:
    """Uninitialised numbers of a shape, whose axes lie in memory in the given order."""
    order = tuple(physical_layout)
    block = np.empty(tuple(size[d] for d in order), chosen(dtype))
    return made(block.transpose(np.argsort(order)), options.get("requires_grad", False))


class CreatingMethods:
    """The methods of `Tensor` that this family gives: new tensors of its own dtype."""

    __slots__ = ()

    dtype: Any

    def new_tensor(self, data: Any, *, dtype: Any = None, **options: Any) -> Any:
        """A tensor with a copy of `data`."""
        return tensor(data, dtype=dtype or self.dtype, **options)

    def new_zeros(self, *size: Any, dtype: Any = None, **options: Any) -> Any:
        """Zeros of a shape."""
        return zeros(*size, dtype=dtype or self.dtype, **options)

    def new_ones(self, *size: Any, dtype: Any = None, **options: Any) -> Any:
        """Ones of a shape."""
        return ones(*size, dtype=dtype or self.dtype, **options)

    def new_empty(self, *size: Any, dtype: Any = None, **options: Any) -> Any:
        """Uninitialised numbers of a shape."""
        return empty(*size, dtype=dtype or self.dtype, **options)

    def new_full(self, size: Any, fill_value: Any, *, dtype: Any = None, **options: Any) -> Any:
        """One number everywhere."""
        return full(size, fill_value, dtype=dtype or self.dtype, **options)

    def new_empty_strided(
        self, size: Any, stride: Any, *, dtype: Any = None, **options: Any
    ) -> Any:
        """Uninitialised numbers of a shape with these strides."""
        return empty_strided(size, stride, dtype=dtype or self.dtype, **options)
