"""What the byte code of a function says without running it."""

from __future__ import annotations

import dis
import types
from collections.abc import Iterator

__all__ = ["asks_for_grad", "codes"]


def codes(code: types.CodeType) -> Iterator[types.CodeType]:
    """A code object and those of the functions defined in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from codes(constant)


def asks_for_grad(fn: types.FunctionType) -> bool:
    """Whether the function asks if some `.grad` is there (`p.grad is None`)."""
    for code in codes(fn.__code__):
        before = ("", None)
        for i in dis.get_instructions(code):
            if before == ("LOAD_ATTR", "grad") and (
                i.opname.startswith(("POP_JUMP", "JUMP_IF")) or i.argval is None
            ):
                return True
            before = (i.opname, i.argval)
    return False
