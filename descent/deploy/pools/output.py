"""What a service prints, a line at a time, to its own log.

    print("loaded")  →  log("loaded", stream="stdout", request_id=…)

While there is an `Output`, `sys.stdout` and `sys.stderr` are writers that ask a context variable
whose code is running (it follows into worker threads); what nobody has claimed goes where it always
went. Left out: what C code writes to the file descriptors themselves.
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

_open: set[Output] = set()
claimed: ContextVar[Output | None] = ContextVar("descent_output", default=None)


class Output:
    """Where the prints of one version go. `with output.taken():` claims those of the code inside,
    and of the tasks and calls begun there."""

    def __init__(self, log: Callable[..., None]) -> None:
        self._log = log
        self._begun = {"stdout": "", "stderr": ""}  # lines without their end yet
        _open.add(self)
        for name in self._begun:
            if not isinstance(getattr(sys, name), _Writer):
                setattr(sys, name, _Writer(name, getattr(sys, name)))

    def close(self) -> None:
        """Hand over what has no end; with the last one, all is as before."""
        for name, begun in self._begun.items():
            if begun:
                self.write(name, "\n")
        _open.discard(self)
        for name in self._begun:
            writer = getattr(sys, name)
            if not _open and isinstance(writer, _Writer):
                setattr(sys, name, writer.original)

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
        self.original = original

    def write(self, text: str) -> int:
        output = claimed.get()
        if output is not None:
            output.write(self._name, text)
        elif self.original is not None:
            return self.original.write(text)
        return len(text)

    def flush(self) -> None:
        if claimed.get() is None and self.original is not None:
            self.original.flush()

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return claimed.get() is None and self.original is not None and self.original.isatty()

    def fileno(self) -> int:
        return self.original.fileno()

    @property
    def closed(self) -> bool:  # whoever kept this writer learns that what is behind it has gone
        return getattr(self.original, "closed", False)

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return getattr(self.original, "encoding", None) or "utf-8"

    def __getattr__(self, name: str) -> Any:
        return getattr(self.original, name)
