"""From one dtype to another, and from tensors to Python numbers, lists and other libraries."""

from __future__ import annotations

from typing import Any

import numpy as np

from descent.autograd import TensorBase, known, wrap
from descent.dtypes import from_numpy_dtype, to_dtype
from descent.tensor.common import cast
from descent.tensor.size import device, memory_format

__all__ = ["ConvertingMethods"]


def _converter(name: str, doc: str) -> Any:
    target = np.dtype(name)

    def method(self: Any, memory_format: Any = None) -> Any:
        return cast(self, target)

    method.__name__, method.__doc__ = name, doc
    return method


class ConvertingMethods:
    """The methods of `Tensor` that this family gives."""

    __slots__ = ()

    array: np.ndarray
    dtype: Any
    requires_grad: Any

    def item(self) -> Any:
        """The one element as a Python number."""
        if self.array.size != 1:
            raise RuntimeError(
                f"a Tensor with {self.array.size} elements cannot be converted to Scalar"
            )
        return self.array.item()

    def tolist(self) -> Any:
        """Nested Python lists."""
        return self.array.tolist()

    def numpy(self, *, force: Any = False) -> np.ndarray:
        """The array itself, sharing memory.

        Raises:
            RuntimeError: when it requires a gradient (use `.detach().numpy()`).
        """
        if self.requires_grad and not force:
            raise RuntimeError(
                "Can't call numpy() on Tensor that requires grad. "
                "Use tensor.detach().numpy() instead."
            )
        if not known(self.array):
            self.array.numpy()  # type: ignore[attr-defined]  # refuses, and says why
        return self.array

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def __array_wrap__(
        self, array: np.ndarray, context: Any = None, return_scalar: bool = False
    ) -> Any:
        """What a NumPy function makes of a tensor is a tensor: `np.exp(t)`."""
        return wrap(np.asarray(array))

    def __dlpack__(self, *, stream: Any = None, **kwargs: Any) -> Any:
        if self.requires_grad:
            raise BufferError(
                "Can't export tensors that require gradient, use tensor.detach() first"
            )
        return self.array.__dlpack__(**kwargs)

    def __dlpack_device__(self) -> tuple[Any, Any]:
        return self.array.__dlpack_device__()

    def to(self, *args: Any, dtype: Any = None, copy: Any = False, **kwargs: Any) -> Any:
        """Another dtype (or that of another tensor); the only device is the CPU.

        `to(dtype)`, `to(device)`, `to(device, dtype)`, `to(other)`, each with `non_blocking` and
        `copy` after it.
        """
        if len(args) > 1 and args[-1] is True and isinstance(args[-2], bool):
            copy = True
        for a in (*args, kwargs.get("device"), kwargs.get("other")):
            if isinstance(a, TensorBase):
                dtype = from_numpy_dtype(a.array.dtype)
            elif isinstance(a, (str, device)):
                device(a)
            elif a is not None and not isinstance(a, (bool, memory_format)):
                dtype = a
        y: Any = self if dtype is None else cast(self, to_dtype(dtype).np)
        return y.clone() if copy and y is self else y

    def type(self, dtype: Any = None) -> Any:
        """The type's name, or this tensor in another dtype."""
        if dtype is None:
            return f"torch.{_TYPE_NAMES[self.dtype.name]}Tensor"
        if isinstance(dtype, str):
            names = {f"torch.{short}Tensor": name for name, short in _TYPE_NAMES.items()}
            dtype = np.dtype(names[dtype])
        return self.to(dtype)

    def type_as(self, other: Any) -> Any:
        """This tensor in the dtype of another."""
        return self.to(other.dtype)

    float = _converter("float32", "As float32.")
    double = _converter("float64", "As float64.")
    half = _converter("float16", "As float16.")
    long = _converter("int64", "As int64.")
    int = _converter("int32", "As int32.")
    short = _converter("int16", "As int16.")
    char = _converter("int8", "As int8.")
    byte = _converter("uint8", "As uint8.")
    bool = _converter("bool", "As booleans: whether each element is not zero.")

    def cpu(self, memory_format: Any = None) -> Any:
        """Itself: the only device is the CPU."""
        return self

    def __float__(self) -> Any:
        return _float(self.item())

    def __int__(self) -> Any:
        return _int(self.item())

    def __index__(self) -> Any:
        if self.array.dtype.kind not in "iub":
            raise TypeError("only integer tensors of a single element can be converted to an index")
        return _int(self.item())

    def __bool__(self) -> Any:
        if self.array.size != 1:
            raise RuntimeError(
                f"Boolean value of Tensor with {self.array.size} values is ambiguous: "
                "use .any() or .all()"
            )
        return _bool(self.array.item())

    def __format__(self, spec: str) -> str:
        if self.array.ndim or (self.requires_grad and not spec):
            return object.__format__(self, spec)
        return format(self.array.item(), spec)


_float, _int, _bool = float, int, bool
_TYPE_NAMES = {
    "float32": "Float", "float64": "Double", "float16": "Half", "int64": "Long", "int32": "Int",
    "int16": "Short", "int8": "Char", "uint8": "Byte", "bool": "Bool",
}  # fmt: skip
