"""Python that a captured step must not contain, noticed before it happens: printing, clocks, files.

What such a call does would happen once, at capture, and never again. While a capture runs, the
interpreter's profiling hook sees every call of a built-in function; one of these raises
`Unsupported` with its line, before it is executed. So does a kernel given arrays without numbers.
"""

from __future__ import annotations

import builtins
import datetime
import gc
import io
import os
import sys
import time
from typing import Any

from descent.compiler.shadow import Shadow, Unsupported
from descent.compiler.surroundings import is_library
from descent.kernel import Kernel

__all__ = ["Watch"]

_FORBIDDEN = {
    builtins.print, builtins.input, builtins.open, builtins.next, io.open, os.urandom,
    time.time, time.time_ns, time.perf_counter, time.perf_counter_ns, time.monotonic,
    time.monotonic_ns, time.process_time, time.sleep,
}  # fmt: skip
_KERNEL = Kernel.__call__.__code__
_NOW = ("now", "today", "utcnow")
_OURS = ("descent", "numpy", "numba", "importlib", "warnings", "linecache", "")


class Watch:
    """Context manager: no such call inside (in this thread).

    The garbage collector rests meanwhile: what it runs (other people's callbacks, finalisers) is
    not the step's doing.
    """

    def __enter__(self) -> None:
        self.before, self.collecting = sys.getprofile(), gc.isenabled()
        gc.disable()
        sys.setprofile(self._seen)

    def __exit__(self, *exc: object) -> None:
        sys.setprofile(self.before)
        if self.collecting:
            gc.enable()

    def _seen(self, frame: Any, event: str, called: Any) -> None:
        if event != "c_call":
            if event == "call" and frame.f_code is _KERNEL:
                if any(isinstance(a, Shadow) for a in frame.f_locals["args"]):
                    raise Unsupported(
                        f"a kernel on the numbers of a tensor: {frame.f_locals['self']!r}"
                    )
            return
        name = called.__name__
        owner = getattr(called, "__self__", None)
        if name == "write":
            bad = isinstance(owner, io.IOBase)
        elif name in _NOW:
            bad = owner in (datetime.datetime, datetime.date)
        else:
            bad = called in _FORBIDDEN
        if not bad or frame.f_globals.get("__name__", "").split(".", 1)[0] in _OURS:
            return
        if called is builtins.next and is_library(frame.f_globals.get("__name__", "")):
            return
        while frame.f_back is not None and is_library(frame.f_globals.get("__name__", "")):
            frame = frame.f_back
        where = f"{frame.f_code.co_filename.rsplit('/', 1)[-1]}:{frame.f_lineno}"
        raise Unsupported(
            f"{where} calls {name}(): in a compiled step that would happen once, at capture"
        )
