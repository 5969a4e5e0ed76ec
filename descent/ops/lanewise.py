"""A scalar function of float32s as the loop that large arrays take:  y[i] = f(a[i], b[i], …).

    @gelu.numpy
    @in_lanes(gelu32)      # large float32 arrays; gelu32(x) is arithmetic and `vectormath` alone
    def _(x): ...          # all others

The compiler inlines f and runs the loop a vector register at a time, slabs on several threads.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable
from typing import Any

import numpy as np

from descent.kernel import Kernel
from descent.ops.blocks import compiled_when_large

__all__ = ["in_lanes", "loop_of"]


def f(*numbers: Any) -> Any:
    """Stands for the function that `loop_of` puts here."""
    raise NotImplementedError


def each_1(a, y):
    for i in range(a.size):
        y[i] = f(a[i])


def each_2(a, b, y):
    for i in range(a.size):
        y[i] = f(a[i], b[i])


def each_3(a, b, c, y):
    for i in range(a.size):
        y[i] = f(a[i], b[i], c[i])


def loop_of(fn: Callable[..., Any]) -> Kernel:
    """The loop over arrays whose body is `fn`, a function of one to three float32s."""
    template = (each_1, each_2, each_3)[len(inspect.signature(fn).parameters) - 1]
    names = {**template.__globals__, "f": fn}
    # A name of its own: compiled loops are kept on disk by name.
    loop = types.FunctionType(template.__code__, names, f"{template.__name__}_{fn.__name__}")
    loop.__qualname__ = f"{template.__name__}_{fn.__module__.rpartition('.')[2]}_{fn.__name__}"
    loop.__doc__ = fn.__doc__
    return Kernel(loop)


def in_lanes(fn: Callable[..., Any]) -> Callable[..., Callable[..., np.ndarray]]:
    """Decorator for a whole-array form: large float32 arrays go through a loop over `fn`."""
    return compiled_when_large(loop_of(fn))
