"""How a plain Python function gets its compiled meaning: Numba types its call, we write the LLVM.

    @compiles_to(lanes.load)
    def _(typing, x, i):                        # argument types; None says "not for these"
        def emit(e, x, i): ...                  # e.builder writes LLVM; x, i are its values
        return lanes_type(x, i), emit           # the call's signature

The function itself is the key: kernels call it by any name, uncompiled code runs it as written.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.errors import TypingError
from numba.core.typing.templates import infer, infer_global, make_intrinsic_template

__all__ = ["Emitter", "compiles_to", "flat", "integers"]


class Emitter(NamedTuple):
    """What an emitting function has at hand."""

    context: Any
    builder: Any
    signature: Any

    def intrinsic(self, name: str, result: ir.Type, *args: Any) -> Any:
        """Call LLVM's function of this full name."""
        kind = ir.FunctionType(result, [a.type for a in args])
        return self.builder.call(cgutils.get_or_insert_function(self.module, kind, name), args)

    @property
    def module(self) -> ir.Module:
        return self.builder.module

    def index(self, k: int, value: Any) -> Any:
        """Argument k, an integer of any width, as an address-sized one."""
        return self.context.cast(self.builder, value, self.signature.args[k], types.intp)

    def element(self, k: int, array: Any, i: Any, kind: ir.Type | None = None) -> Any:
        """The address of element i (address-sized) of argument k, an array; `kind` is what to
        read or write there (one element unless said)."""
        make = self.context.make_array(self.signature.args[k])
        place = self.builder.gep(make(self.context, self.builder, array).data, [i])
        return place if kind is None else self.builder.bitcast(place, kind.as_pointer())


def compiles_to(function: Callable[..., Any], *, literal: bool = False) -> Callable[..., Any]:
    """Decorator: how calls of `function` are typed and emitted (see the module docstring).

    Args:
        literal: the typing function sees the values of integer constants.
    """

    def register(define: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(define)  # Numba reads the parameters from it
        def definition(typing: Any, *args: Any) -> Any:
            found = define(typing, *args)
            if found is None:
                return None
            signature, emit = found

            def generate(context: Any, builder: Any, sig: Any, values: Any) -> Any:
                result = emit(Emitter(context, builder, sig), *values)
                return context.get_dummy_value() if result is None else result

            return signature, generate

        name = function.__name__
        template = make_intrinsic_template(function, definition, name, prefer_literal=literal)
        infer(template)
        infer_global(function, types.Function(template))
        return define

    return register


def flat(x: Any, *dtypes: Any) -> bool:
    """Whether x is a 1-D contiguous array of one of these types; says so where it is another."""
    if not isinstance(x, types.Array):
        return False
    if x.ndim != 1 or x.layout != "C" or x.dtype not in dtypes:
        names = " or ".join(str(d) for d in dtypes)
        raise TypingError(f"needs a 1-D contiguous array of {names}, not {x}")
    return True


def integers(*kinds: Any) -> bool:
    """Whether all are integer types."""
    return all(isinstance(k, types.Integer) for k in kinds)
