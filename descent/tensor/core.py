"""`Tensor`: numbers with axes, under PyTorch's names, with a gradient when asked for.

Here stands what a tensor is: its shape and type, its place on the tape, its conversions. What one
can do with it comes family by family from the files beside this one (`pointwise`, `reducing`,
`shaping`, `indexing`, `products`, …); each ends with the list of methods it gives, every one a
function of the same name that applies ops from `descent.ops`.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from descent import autograd
from descent.autograd import TensorBase
from descent.dtypes import dtype, from_numpy_dtype
from descent.tensor import creating, inplace, printing, shaping
from descent.tensor.activating import ActivatingMethods
from descent.tensor.arranging import ArrangingMethods
from descent.tensor.common import cast
from descent.tensor.comparing import ComparingMethods
from descent.tensor.conjugating import ConjugatingMethods
from descent.tensor.converting import ConvertingMethods
from descent.tensor.counting import CountingMethods
from descent.tensor.creating import CreatingMethods
from descent.tensor.differences import DifferenceMethods
from descent.tensor.extremes import ExtremesMethods
from descent.tensor.factoring import FactoringMethods
from descent.tensor.gathering import GatheringMethods
from descent.tensor.indexing import IndexingMethods
from descent.tensor.joining import JoiningMethods
from descent.tensor.measuring import MeasuringMethods
from descent.tensor.pointwise import PointwiseMethods
from descent.tensor.probability import ProbabilityMethods
from descent.tensor.products import ProductMethods
from descent.tensor.quantiles import QuantileMethods
from descent.tensor.randomness import RandomMethods
from descent.tensor.reducing import ReducingMethods
from descent.tensor.rounding import RoundingMethods
from descent.tensor.scanning import ScanningMethods
from descent.tensor.scattering import ScatteringMethods
from descent.tensor.searching import SearchingMethods
from descent.tensor.shaping import ShapingMethods
from descent.tensor.size import Size, device
from descent.tensor.slicing import SlicingMethods
from descent.tensor.sorting import SortingMethods
from descent.tensor.special import SpecialMethods

__all__ = ["Tensor"]


class Tensor(
    PointwiseMethods,
    ComparingMethods,
    RoundingMethods,
    SpecialMethods,
    ActivatingMethods,
    ConjugatingMethods,
    ReducingMethods,
    ExtremesMethods,
    MeasuringMethods,
    ScanningMethods,
    SortingMethods,
    QuantileMethods,
    DifferenceMethods,
    CountingMethods,
    FactoringMethods,
    ShapingMethods,
    ArrangingMethods,
    JoiningMethods,
    IndexingMethods,
    SlicingMethods,
    GatheringMethods,
    ScatteringMethods,
    SearchingMethods,
    CreatingMethods,
    RandomMethods,
    ProductMethods,
    ProbabilityMethods,
    ConvertingMethods,
    TensorBase,
):
    """An n-dimensional array of numbers of one dtype that can record what is done to it.

    Make one with `descent.tensor(data)`. `t.array` is the NumPy array itself. As in PyTorch,
    `Tensor([1, 2])` is of the default dtype and `Tensor(2, 3)` has that shape (zeros, here).
    """

    __slots__ = ()
    __array_priority__ = 1000  # numpy_array * tensor is a tensor

    # -- what it is --------------------------------------------------------------------------

    @property
    def shape(self) -> Size:
        return Size(self.array.shape)

    def size(self, dim: int | None = None) -> Any:
        """The shape, or the size of one axis."""
        return Size(self.array.shape) if dim is None else self.array.shape[dim]

    def dim(self) -> int:
        """The number of axes."""
        return self.array.ndim

    ndimension = dim
    ndim = property(dim)

    def numel(self) -> int:
        """The number of elements."""
        return self.array.size

    nelement = numel

    @property
    def dtype(self) -> dtype:
        return from_numpy_dtype(self.array.dtype)

    @property
    def device(self) -> device:
        return device("cpu")

    is_cuda = False
    is_sparse = False

    @property
    def itemsize(self) -> int:
        return self.array.itemsize

    element_size = lambda self: self.array.itemsize  # noqa: E731

    @property
    def nbytes(self) -> int:
        return self.array.nbytes

    def stride(self, dim: int | None = None) -> Any:
        """How many elements to step over in memory per axis."""
        steps = tuple(s // self.array.itemsize for s in self.array.strides)
        return steps if dim is None else steps[dim]

    def is_contiguous(self) -> bool:
        """Whether the elements lie in memory in row-major order."""
        return self.array.flags.c_contiguous

    def is_floating_point(self) -> bool:
        return self.array.dtype.kind == "f"

    def data_ptr(self) -> int:
        """The address of the first element."""
        return self.array.ctypes.data

    # -- autograd ----------------------------------------------------------------------------

    @property
    def is_leaf(self) -> bool:
        """Whether no recorded operation made it."""
        return autograd.current_node(self) is None

    @property
    def grad_fn(self) -> Any:
        """The node that made it, or None."""
        return autograd.current_node(self)

    @property
    def _version(self) -> int:
        return self.version[0]

    @property
    def data(self) -> Tensor:
        """The same memory without history (and without version checks)."""
        return type(self)._plain(self.array)

    @data.setter
    def data(self, value: Any) -> None:
        self.array = value.array if isinstance(value, TensorBase) else np.asarray(value)

    @staticmethod
    def _plain(array: np.ndarray) -> Tensor:
        return Tensor(array)

    def detach(self) -> Tensor:
        """The same memory without history; in-place changes are still noticed by both."""
        t = Tensor(self.array)
        t.version = self.version
        return t

    def detach_(self) -> Tensor:
        """Forget the history of this very tensor."""
        self.node, self.requires_grad = None, False
        return self

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Ask for a gradient (leaves and floating point only)."""
        if requires_grad and self.array.dtype.kind != "f":
            raise RuntimeError(
                f"only floating point tensors can require gradients; this one is {self.dtype.name}"
            )
        if not requires_grad and self.node is not None:
            raise RuntimeError("only leaf tensors can stop requiring a gradient; use detach()")
        self.requires_grad = requires_grad
        return self

    def retain_grad(self) -> None:
        """Keep `.grad` of a non-leaf when `backward()` passes it."""
        if not self.requires_grad:
            raise RuntimeError("can't retain_grad on a tensor that has requires_grad=False")
        if self.node is not None:
            self.retains_grad = True
            self.node.retained = weakref.ref(self)

    def register_hook(self, hook: Callable[[Tensor], Any]) -> Any:
        """Call `hook(grad)` when the gradient is known; a returned tensor replaces it."""
        if not self.requires_grad:
            raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
        owner = self.node if self.node is not None else self
        owner.hooks = [*(owner.hooks or []), hook]
        return _Handle(owner, hook)

    def backward(
        self,
        gradient: Tensor | None = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
    ) -> None:
        """Accumulate the gradient of this tensor into `.grad` of the leaves it was made from.

        Args:
            gradient: d(objective)/d(this tensor), of the same shape; 1 for a single number.
        """
        if create_graph:
            raise RuntimeError("gradients of gradients are not available: kernels are first-order")
        autograd.current_node(self)
        if not self.requires_grad:
            raise RuntimeError(
                "this tensor does not require grad and has no grad_fn: "
                "nothing it was made from has requires_grad=True"
            )
        if gradient is None:
            if self.array.size != 1:
                raise RuntimeError(
                    "grad can be implicitly created only for scalar outputs; "
                    f"this tensor has shape {tuple(self.shape)}: call .sum() or pass gradient="
                )
            g = np.ones_like(self.array)
        else:
            g = np.asarray(getattr(gradient, "array", gradient), self.array.dtype)
            if g.shape != self.array.shape:
                raise RuntimeError(
                    f"Mismatch in shape: gradient has shape {g.shape} and the tensor has shape "
                    f"{self.array.shape}"
                )
        autograd.backward(self, g, retain_graph=bool(retain_graph))

    # -- as a container -----------------------------------------------------------------------

    def __len__(self) -> Any:
        if not self.array.ndim:
            raise TypeError("len() of a 0-d tensor")
        return self.array.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        if not self.array.ndim:
            raise TypeError("iteration over a 0-d tensor")
        return (self[i] for i in range(self.array.shape[0]))

    def __contains__(self, value: Any) -> Any:
        return bool((self.array == getattr(value, "array", value)).any())

    def __deepcopy__(self, memo: dict[Any, Any]) -> Tensor:
        if self.node is not None:
            raise RuntimeError("only leaf tensors can be deep-copied; detach() or clone() first")
        t = type(self)(self.array.copy())
        t.requires_grad = self.requires_grad
        memo[id(self)] = t
        if self.grad is not None:
            t.grad = type(self.grad)(self.grad.array.copy())
        return t

    __repr__ = printing.to_string

    # -- in place ----------------------------------------------------------------------------

    def copy_(self, src: Any) -> Tensor:
        """Write `src` (broadcast, cast) into this tensor's memory."""
        y = shaping.expand(cast(src, self.array.dtype), self.array.shape)
        return inplace.assign(self, y, fresh=True)

    def zero_(self) -> Tensor:
        return self.fill_(0)

    def fill_(self, value: Any) -> Tensor:
        """Set every element to one number (or to that of a 0-d tensor)."""
        return self.copy_(creating.filling(self, value))


class _Handle:
    """What `register_hook` returns: `remove()` takes the hook away."""

    def __init__(self, owner: Any, hook: Any) -> None:
        self.owner, self.hook = owner, hook

    def remove(self) -> None:
        self.owner.hooks = [h for h in self.owner.hooks or [] if h is not self.hook]


autograd.set_tensor_class(Tensor, creating.array_of)
