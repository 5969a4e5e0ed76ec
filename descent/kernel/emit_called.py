"""Functions that only other compiled functions call: no machine code of their own.

Numba optimises and translates every function it meets, and again every function that holds a copy
of it. Here a called function stays LLVM code; who calls it takes the copy, and the whole is
optimised once.
"""

from __future__ import annotations

from typing import Any

from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler

__all__ = ["CalledCompiler"]


class _NoPlace:
    """Stands for where code lies: there is none, so no environment is to be told to it."""

    def set_env(self, name: str, env: Any) -> None:
        pass


class _Copied(JITCodeLibrary):
    """LLVM code to be linked into others."""

    def _optimize_final_module(self) -> None:
        pass

    def _finalize_final_module(self) -> None:
        self._finalized = True

    def get_pointer_to_function(self, name: str) -> int:
        return 0

    @property
    def codegen(self) -> Any:
        return _NoPlace()


class CalledCompiler(Compiler):
    """Numba's compiler, with such a library."""

    def __init__(self, typingctx: Any, targetctx: Any, library: Any, *rest: Any) -> None:
        library = library or _Copied(targetctx.codegen(), "called")
        super().__init__(typingctx, targetctx, library, *rest)
