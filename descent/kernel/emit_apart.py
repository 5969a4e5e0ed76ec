"""Kernels that stay apart: compiled once, called by others through a symbol.

A kernel that calls another takes a copy of its code and optimises it again; for a large one that
is most of the time to compile. Here the callee gets an entry of plain addresses and integers,
known to the linker under a name of its own, and the caller a declaration of that name.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from llvmlite import binding, ir
from numba.core import cgutils, types

from descent.caching import source_module
from descent.kernel.emit import compiles_to, flat

__all__ = ["stand_in"]

I64 = ir.IntType(64)
_ARRAYS = {"f": types.float32, "w": types.int32}


def stand_in(kernel: Any) -> Callable[..., Any]:
    """A function to call in the kernel's place; its compiled meaning is the call by symbol."""
    module, name = kernel.py.__module__, kernel.py.__name__
    symbol = f"{module}.{name}".replace(".", "_")
    _enter(kernel, symbol, module, name)
    kinds = kernel.apart

    def function(*args: Any) -> None:
        kernel.py(*args)

    function.__name__ = name

    def define(_, *given):
        def emit(e, *values):
            parts = []
            for i, (kind, value) in enumerate(zip(kinds, values)):
                if kind in _ARRAYS:
                    parts.append(e.builder.ptrtoint(e.element(i, value, I64(0)), I64))
                else:
                    parts.append(e.index(i, value))
            target = ir.FunctionType(ir.VoidType(), [I64] * len(parts))
            e.builder.call(cgutils.get_or_insert_function(e.module, target, symbol), parts)

        if len(given) != len(kinds):
            return None
        for kind, g in zip(kinds, given):
            if not (flat(g, _ARRAYS[kind]) if kind in _ARRAYS else isinstance(g, types.Integer)):
                return None
        return types.void(*given), emit

    names = ["typing", *inspect.signature(kernel.py).parameters]  # Numba wants them one by one
    place = inspect.Parameter.POSITIONAL_OR_KEYWORD
    signature = inspect.Signature([inspect.Parameter(n, place) for n in names])
    define.__signature__ = signature  # pyright: ignore[reportFunctionMemberAccess]
    compiles_to(function)(define)
    return function


def _enter(kernel: Any, symbol: str, module: str, name: str) -> None:
    """Compile the entry and tell the linker where it is."""
    from descent.kernel.compiled import Kernel

    letters = [f"a{i}" for i in range(len(kernel.apart))]
    as_array = {"f": "floats({})", "w": "words({})", "i": "{}"}
    given = ", ".join(as_array[kind].format(a) for a, kind in zip(letters, kernel.apart))
    text = (
        f'"""The entry of {module}.{name}, by addresses."""\n\n'
        f"from {module} import {name} as kernel\n"
        f"from descent.kernel.places import floats, words\n\n"
        f"inside = kernel.inside\n\n\n"
        f"def {symbol}({', '.join(letters)}):\n    inside({given})\n"
    )
    written = source_module("apart", name, text)
    entry = Kernel(getattr(written, symbol))
    binding.add_symbol(symbol, entry.address(*["int64"] * len(letters)))
    kernel.entry = entry
