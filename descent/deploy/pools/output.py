"""What a service prints, a line at a time, to its own log.

    print("loaded")  →  log("loaded", stream="stdout", request_id=…)

`sys.stdout` and `sys.stderr` are replaced once by writers that ask a context variable whose code is
running (it follows into worker threads); what nobody has claimed goes where it always went. Left
out: what C code writes to the file descriptors themselves.
"""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

from descent.deploy.service.inflight import current_context

__all__ = ["Output", "claimed"]

_MAX_LINE = 16_384

claimed: ContextVar[Output | None] = ContextVar("descent_output", default=None)


class Output:
    """Where the prints of one version go. `with output.taken():` claims those of the code inside,
    and of the tasks and calls begun there."""

    def __init__(self, log: Callable[..., None]) -> None:
        self._log = log
        self._begun = {"stdout": "", "stderr": ""}  # lines without their end yet
        for name in self._begun:
            if not isinstance(getattr(sys, name), _Writer):
                setattr(sys, name, _Writer(name, getattr(sys, name)))

    @contextlib.contextmanager
    def taken(self) -> Iterator[None]:
        token = claimed.set(self)
        try:
            yield
        finally:
            claimed.reset(token)

    def write(self, name: str, text: str) -> None:
        """Hand over the lines that are whole, keep the rest."""
        *lines, rest = (self._begun[name] + text).split("\n")
        self._begun[name] = rest[-_MAX_LINE:]
        if not lines:
            return
        context = current_context()
        fields = {} if context is None else {"request_id": context.request_id}
        token = claimed.set(None)  # a log that prints must not call itself
        try:
            for line in lines:
                self._log(line, stream=name, **fields)
        finally:
            claimed.reset(token)


class _Writer(io.TextIOBase):
    """A text stream that hands what is written to whoever the running code belongs to."""

    def __init__(self, name: str, original: Any) -> None:
        self._name = name
        self._original = original

    def write(self, text: str) -> int:
        output = claimed.get()
        if output is not None:
            output.write(self._name, text)
        elif self._original is not None:
            return self._original.write(text)
        return len(text)

    def flush(self) -> None:
        if claimed.get() is None and self._original is not None:
            self._original.flush()

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return claimed.get() is None and self._original is not None and self._original.isatty()

    def fileno(self) -> int:
        return self._original.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return getattr(self._original, "encoding", None) or "utf-8"

    def __getattr__(self, name: str) -> Any:
        return getattr(self._original, name)
