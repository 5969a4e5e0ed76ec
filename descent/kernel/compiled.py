"""A kernel: one plain Python function over arrays and scalars, used in two forms.

`Kernel.py` is the function as written: it can be stepped in a debugger, run on float64 arrays as
the oracle, or run on object arrays of `Value` to record every multiplication. Calling the kernel
runs the compiled form of the same source. Only this package imports Numba, and it does so on the
first compilation, so that `import descent` stays instant.

Compiled code is kept on disk (`DESCENT_CACHE` or `~/.cache/descent`) under a key made of the
package's kernel sources, the processor and the versions: it survives restarts and is never stale.
Set `DESCENT_COMPILE=0` to run every kernel uncompiled, for instance under a debugger.
"""

from __future__ import annotations

import functools
import inspect
import os
import platform
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

from descent.caching import cache_folder
from descent.kernel.importing import numba_alone

__all__ = ["Kernel", "compiling", "kernel", "kernel_key", "prange", "vectorized"]

prange = range  # the compiler sees Numba's prange under this name; Python sees a plain range


def compiling() -> bool:
    """False when `DESCENT_COMPILE=0`: kernels then run as plain Python."""
    return os.environ.get("DESCENT_COMPILE", "1") != "0"


_OURS = ("descent.ops.", "descent_written_")  # modules whose plain functions kernels may call


def kernel_key() -> str:
    """A name that no other source of kernels, processor or version shares."""
    return Path(_kernel_cache()).name


@functools.cache
def _kernel_cache() -> str:
    """A folder no other source, processor or version shares.

    Numba notices a change in the file of a compiled function, not in a function it calls from
    another file; hence one hash over every kernel source of the package.
    """
    import hashlib

    import numba
    import numpy
    from llvmlite import binding

    digest = hashlib.sha256()
    ours = Path(__file__).parent
    others = [*(ours.parent / "ops").rglob("*.py"), ours.parent / "compiler" / "program.py"]
    for path in sorted([*ours.glob("*.py"), *others]):
        digest.update(path.read_bytes())
    versions = (numba.__version__, numpy.__version__, platform.python_version())
    cpu = (binding.get_host_cpu_name(), binding.get_host_cpu_features().flatten())
    digest.update(repr((versions, cpu)).encode())
    return str(cache_folder("kernels") / digest.hexdigest()[:16])


@functools.cache
def _vocabulary() -> None:
    """Tell Numba what `lanes`, `registers`, `narrow`, `amx`, `atomics` and `places` compile to."""
    from descent.kernel import (
        emit_amx,
        emit_atomics,
        emit_lanes,
        emit_narrow,
        emit_places,
        emit_registers,
    )

    emit_lanes.register()
    emit_narrow.register()
    emit_registers.register()
    emit_amx.register()
    emit_atomics.register()
    emit_places.register()


def _called() -> dict[str, Any]:
    """Options of what only other compiled functions call: no way in, no machine code."""
    from descent.kernel.emit_called import CalledCompiler

    return {
        "no_cpython_wrapper": True, "no_cfunc_wrapper": True, "pipeline_class": CalledCompiler,
    }  # fmt: skip


@functools.cache
def _compiled_helper(fn: Callable[..., Any]) -> Callable[..., Any]:
    numba = numba_alone()
    copy = _with_compiled_globals(fn)
    # Said outright, or a helper inherits its first caller's freedoms. A product may be fused into a
    # sum (one rounding less); inlined, or its caller's loop is scalar.
    said: dict[str, Any] = {"fastmath": {"contract"}, "parallel": False, "error_model": "numpy"}
    return numba.njit(copy, forceinline=True, **said, **_called())


def _with_compiled_globals(fn: Callable[..., Any], **extra: Any) -> Callable[..., Any]:
    """The same code object with kernels and helper functions of the ops among its globals replaced
    by their compiled forms (plain helpers, so that uncompiled code can call them on `Value`s)."""
    _vocabulary()
    names = dict(fn.__globals__)
    for name in fn.__code__.co_names:
        value = names.get(name)
        if isinstance(value, Kernel):
            names[name] = value.called if value.apart is None else value.stand_in
        elif isinstance(value, types.FunctionType) and value.__module__.startswith(_OURS):
            names[name] = _compiled_helper(value)
    names.update(extra)
    copy = types.FunctionType(fn.__code__, names, fn.__name__, fn.__defaults__, fn.__closure__)
    copy.__kwdefaults__ = fn.__kwdefaults__
    copy.__module__ = fn.__module__
    copy.__qualname__ = fn.__qualname__
    return copy


def _in_our_cache(make: Callable[[bool], Any]) -> Any:
    """Run `make(cache)` with Numba's cache pointed at ours, leaving the user's setting alone."""
    from numba import config as numba_config

    config: Any = numba_config  # its settings are made at run time

    before = config.CACHE_DIR
    try:
        config.CACHE_DIR = _kernel_cache()
        os.makedirs(config.CACHE_DIR, exist_ok=True)
        return make(True)
    except OSError:  # a read-only home: compile without keeping the result
        return make(False)
    finally:
        config.CACHE_DIR = before


class Kernel:
    """A function with a compiled form; see the module docstring.

    Attributes:
        py: the function as written.
        parallel: whether `prange` loops are divided over threads in the compiled form.
        reorder: whether sums may be added up in another order (vector lanes) and products fused
            into sums; NaN and infinity keep their meaning.
        was_compiled: whether the last `address` had to compile, not just load.
        apart: for a large kernel that many others call: the kinds of its arguments, "f" for a
            flat float32 array, "w" for one of int32, "i" for an integer. It is compiled once, and
            the others call it where it lies instead of taking a copy into their own compilation.
    """

    def __init__(
        self,
        fn: Callable[..., Any],
        *,
        parallel: bool = False,
        reorder: bool = False,
        apart: str | None = None,
    ) -> None:
        self.py = fn
        self.parallel = parallel
        self.reorder = reorder
        self.apart = apart
        self.was_compiled = False
        functools.update_wrapper(self, fn)

    @functools.cached_property
    def compiled(self) -> Callable[..., Any]:
        """The Numba dispatcher (made on first use; compiles per argument types)."""
        if self.apart is not None:  # Python's calls too: a thin wrapper around the one compilation
            return self._by_symbol()
        return self._jit(True, parallel=self.parallel, nogil=True)

    @functools.cached_property
    def called(self) -> Callable[..., Any]:
        """The dispatcher that other compiled functions get: they take a copy of its code."""
        if self.parallel:
            return self.compiled
        return self._jit(False, **_called())

    def _jit(self, keep: bool, **options: Any) -> Any:
        numba = numba_alone()
        fn = _with_compiled_globals(self.py, prange=numba.prange)
        flags: Any = {"reassoc", "contract", "nsz"} if self.reorder else False
        # "numpy": x / 0 is inf, as in the other forms, not an exception
        options |= {"fastmath": flags, "error_model": "numpy"}
        if not keep:
            return numba.njit(fn, **options)
        return _in_our_cache(lambda cache: numba.njit(fn, cache=cache, **options))

    @functools.cached_property
    def inside(self) -> Kernel:
        """The same kernel, to be copied into its caller."""
        return Kernel(self.py, parallel=self.parallel, reorder=self.reorder)

    @functools.cached_property
    def stand_in(self) -> Callable[..., Any]:
        """What other kernels call in place of one that stays apart."""
        from descent.kernel.emit_apart import stand_in

        return stand_in(self)

    def _by_symbol(self) -> Callable[..., Any]:
        from descent.caching import source_module

        letters = ", ".join(f"a{i}" for i in range(len(self.apart or "")))
        module, name = self.py.__module__, self.py.__name__
        text = (
            f'"""{module}.{name}, for calls from Python."""\n\n'
            f"from {module} import {name} as kernel\n\n\n"
            f"def {name}({letters}):\n    kernel({letters})\n"
        )
        written = source_module("apart", f"python_{name}", text)
        return Kernel(getattr(written, name)).compiled

    def address(self, *types: str) -> int:
        """Where the compiled form for these (Numba) scalar types lies, for calls from C or by
        `places.invoke`."""
        numba = numba_alone()
        compiled = self._jit(True, nogil=True, no_cpython_wrapper=True)
        compiled.compile(tuple(getattr(numba.types, t) for t in types))
        found = next(iter(compiled.overloads.values()))
        self._addressed = compiled  # the code lives as long as this
        self.was_compiled = bool(compiled.stats.cache_misses)
        return found.library.get_pointer_to_function(found.fndesc.llvm_cfunc_wrapper_name)

    def __call__(self, *args: Any) -> Any:
        return self.compiled(*args) if compiling() else self.py(*args)

    def source(self) -> str:
        """The text of the function, decorators included."""
        return inspect.getsource(self.py)

    def __repr__(self) -> str:
        return f"<kernel {self.py.__name__}{inspect.signature(self.py)}>"


def kernel(fn: Callable[..., Any] | None = None, **options: Any) -> Any:
    """Decorator: make `fn` a `Kernel` (with its options)."""
    return Kernel(fn, **options) if fn is not None else lambda f: Kernel(f, **options)


def vectorized(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a scalar function to one that broadcasts over arrays, as a NumPy ufunc does."""
    numba = numba_alone()
    return _in_our_cache(lambda cache: numba.vectorize(cache=cache)(_with_compiled_globals(fn)))
