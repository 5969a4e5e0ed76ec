"""New tensors of random numbers, and random numbers into existing ones: PyTorch's streams.

The numbers come from `descent.random`; here they get shapes, dtypes and tensors around them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from descent import random
from descent.autograd import TensorBase, apply, wrap
from descent.dtypes import to_dtype
from descent.tensor import inplace
from descent.tensor.creating import chosen, like, made
from descent.tensor.shaping import sizes

__all__ = [
    "RandomMethods", "bernoulli", "get_rng_state", "multinomial", "normal", "rand", "rand_like",
    "randint", "randint_like", "randn", "randn_like", "randperm", "set_rng_state",
]  # fmt: skip


def _sampler(name: str, draw: Any, doc: str) -> Any:
    def function(
        *size: Any,
        generator: Any = None,
        dtype: Any = None,
        layout: Any = None,
        device: Any = None,
        requires_grad: bool = False,
        pin_memory: bool = False,
        **named: Any,
    ) -> Any:
        shape = sizes(size if "size" not in named else (named.pop("size"),))
        if named:
            raise TypeError(f"{name}() got an unexpected keyword argument {next(iter(named))!r}")
        return made(draw(shape, chosen(dtype), generator), requires_grad, device)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function


rand = _sampler("rand", random.rand, "Uniform numbers on [0, 1).")
randn = _sampler("randn", random.randn, "Normal numbers with mean 0 and variance 1.")


def rand_like(input: Any, *, dtype: Any = None, generator: Any = None, **options: Any) -> Any:
    """Uniform numbers on [0, 1) in the shape of `input`."""
    array = random.rand(input.array.shape, like(input, dtype), generator)
    return made(array, options.get("requires_grad", False))


def randn_like(input: Any, *, dtype: Any = None, generator: Any = None, **options: Any) -> Any:
    """Normal numbers in the shape of `input`."""
    array = random.randn(input.array.shape, like(input, dtype), generator)
    return made(array, options.get("requires_grad", False))


def randint(*args: Any, dtype: Any = None, generator: Any = None, **options: Any) -> Any:
    """Integers low ≤ i < high: `randint(high, size)` or `randint(low, high, size)`."""
    low, high, size = _bounds(args, options, ("low", "high", "size"))
    array = random.randint(low, high, size, to_dtype(dtype or int).np, generator)
    return made(array, options.get("requires_grad", False), options.get("device"))


def randint_like(input: Any, *args: Any, dtype: Any = None, **options: Any) -> Any:
    """Integers low ≤ i < high in the shape of `input`."""
    low, high, size = _bounds((*args, input.array.shape), options, ("low", "high", "size"))
    array = random.randint(low, high, size, like(input, dtype), options.get("generator"))
    return made(array, options.get("requires_grad", False))


def _bounds(args: tuple[Any, ...], options: dict[str, Any], names: Any) -> tuple[int, int, Any]:
    """low, high and size from positions and keywords; low may be left out."""
    if len(args) == 3 and not options and type(args[2]) is tuple:
        return int(args[0]), int(args[1]), sizes((args[2],))
    given = {n: options.pop(n) for n in names if n in options}
    free = [n for n in names if n not in given]
    if len(args) < len(free) and "low" in free:
        free.remove("low")
    if len(args) != len(free):
        raise TypeError(f"expected low (optional), high and size, got {args} and {given}")
    given.update(zip(free, args))
    low, high = given.get("low", 0), given["high"]
    return (
        int(low),
        int(high),
        sizes((given["size"],)) if not isinstance(given["size"], int) else (given["size"],),
    )


def randperm(n: int, *, generator: Any = None, dtype: Any = None, **options: Any) -> Any:
    """0 … n−1 in a random order."""
    array = random.randperm(n, to_dtype(dtype or int).np, generator)
    return made(array, options.get("requires_grad", False), options.get("device"))


class _Draw:
    """A random draw as an op: a constant as far as gradients are concerned."""

    inputs, outputs, visible, is_view = ("x",), ("y",), 1, False

    def __init__(self, name: str, doc: str) -> None:
        self.name, self.doc = name, doc

    def saved_inputs(self, needs: Any) -> list[int]:
        return []

    def saves_output(self, needs: Any) -> bool:
        return False

    def forward(self, arrays: Any, meta: dict[str, Any], needs: Any = None) -> Any:
        return (meta["drawn"],), [(a.shape, a.dtype) for a in arrays]

    def backward(self, ctx: Any, dy: np.ndarray, needs: Any) -> list[np.ndarray]:
        return [np.zeros(*c) for c in ctx]

    def explain(self, arrays: Any, index: Any, meta: dict[str, Any], output: int = 0) -> Any:
        from descent.scalar import Value

        return Value(float(meta["drawn"][tuple(index)]), label=self.name)

    def source(self) -> str:
        return self.doc


_bernoulli = _Draw("bernoulli", "1 with probability x, else 0; the gradient is 0.")
_normal = _Draw("normal", "mean + std · n, n ~ N(0, 1); the gradient is 0.")


def bernoulli(input: Any, p: float | None = None, *, generator: Any = None) -> Any:
    """1 with the probability that stands in `input` (or with p everywhere), else 0."""
    if p is None:
        drawn = random.bernoulli(input.array, generator=generator)
    else:
        drawn = random.bernoulli(p, input.array.shape, input.array.dtype, generator)
    return apply(_bernoulli, input, drawn=drawn)


def normal(
    mean: Any,
    std: Any = 1.0,
    size: Any = None,
    *,
    generator: Any = None,
    dtype: Any = None,
    **options: Any,
) -> Any:
    """Normal numbers; mean and std are numbers (then with a size) or tensors."""
    tensors = [v for v in (mean, std) if isinstance(v, TensorBase)]
    if not tensors:
        if size is None:
            raise TypeError("normal() with two numbers needs a size")
        drawn = random.normal(mean, std, sizes((size,)), chosen(dtype), generator)
        return made(drawn, options.get("requires_grad", False), options.get("device"))
    kind = np.result_type(*(t.array.dtype for t in tensors))
    m, s = (np.asarray(v.array if isinstance(v, TensorBase) else v, kind) for v in (mean, std))
    if (s < 0).any():
        raise RuntimeError("normal expects all elements of std >= 0.0")
    shape = np.broadcast_shapes(m.shape, s.shape)
    drawn = random.randn(shape, kind, generator) * s + m
    return apply(_normal, *tensors, drawn=np.asarray(drawn, kind))


def multinomial(
    input: Any, num_samples: int, replacement: bool = False, *, generator: Any = None
) -> Any:
    """Category numbers drawn with the (not necessarily normalised) weights of each row."""
    return wrap(random.multinomial(input.array, num_samples, replacement, generator))


def get_rng_state() -> Any:
    """The state of the default generator, bytes in PyTorch's layout."""
    return wrap(random.get_rng_state())


def set_rng_state(new_state: Any) -> None:
    """Continue the default generator from such a state."""
    random.set_rng_state(getattr(new_state, "array", new_state))


def _filled(t: Any, drawn: np.ndarray) -> Any:
    return inplace.assign(t, wrap(drawn), fresh=True)


class RandomMethods:
    """The methods of `Tensor` that this family gives."""

    __slots__ = ()

    array: np.ndarray
    bernoulli, multinomial = bernoulli, multinomial

    def normal_(self, mean: float = 0.0, std: float = 1.0, *, generator: Any = None) -> Any:
        """Normal numbers into this tensor's memory."""
        a = self.array
        return _filled(self, random.normal(mean, std, a.shape, a.dtype, generator))

    def uniform_(
        self, a: float = 0.0, b: float = 1.0, *, generator: Any = None, **ends: Any
    ) -> Any:
        """Uniform numbers on [from, to) into this tensor's memory."""
        low, high = ends.get("from", a), ends.get("to", b)
        x = self.array
        return _filled(self, random.uniform(x.shape, low, high, x.dtype, generator))

    def bernoulli_(self, p: Any = 0.5, *, generator: Any = None) -> Any:
        """1 with probability p (a number or a tensor), else 0, into this tensor's memory."""
        a = self.array
        given = p.array if isinstance(p, TensorBase) else p
        return _filled(self, random.bernoulli(given, a.shape, a.dtype, generator))

    def exponential_(self, lambd: float = 1.0, *, generator: Any = None) -> Any:
        """Exponential numbers with this rate into this tensor's memory."""
        a = self.array
        return _filled(self, random.exponential(a.shape, lambd, a.dtype, generator))

    def log_normal_(self, mean: float = 1.0, std: float = 2.0, *, generator: Any = None) -> Any:
        """exp of normal numbers into this tensor's memory."""
        a = self.array
        return _filled(self, random.log_normal(a.shape, mean, std, a.dtype, generator))

    def geometric_(self, p: float, *, generator: Any = None) -> Any:
        """The number of trials until the first success into this tensor's memory."""
        return _filled(self, random.geometric(self.array.shape, p, self.array.dtype, generator))

    def cauchy_(self, median: float = 0.0, sigma: float = 1.0, *, generator: Any = None) -> Any:
        """Cauchy numbers into this tensor's memory."""
        a = self.array
        return _filled(self, random.cauchy(a.shape, median, sigma, a.dtype, generator))

    def random_(self, *bounds: int, generator: Any = None, **named: Any) -> Any:
        """Integers from ≤ i < to into this tensor's memory; without bounds, all the dtype holds."""
        a = self.array
        if not bounds and not named:
            return _filled(self, _whole_range(a.shape, a.dtype, generator))
        low, high = named.get("from", 0), named.get("to")
        if bounds:
            low, high = bounds if len(bounds) == 2 else (low, bounds[0])
        if high is None:
            high = _span(a.dtype)
        return _filled(self, random.randint(low, high, a.shape, a.dtype, generator))


def _whole_range(shape: tuple[int, ...], kind: np.dtype, generator: Any) -> np.ndarray:
    """Integers from 0 to the largest that the dtype represents exactly, by one word or two each."""
    source, n = generator or random.default_generator, int(np.prod(shape, dtype=int))
    words = source.random64(n) if kind.itemsize == 8 else source.random32(n)
    return (words % words.dtype.type(_span(kind))).astype(kind).reshape(shape)


def _span(kind: np.dtype) -> int:
    """How many integers from 0 on a dtype represents exactly."""
    if kind.kind == "b":
        return 2
    return (1 << np.finfo(kind).nmant + 1 if kind.kind == "f" else int(np.iinfo(kind).max)) + 1
