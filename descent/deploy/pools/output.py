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

__all__ = ["capturing"]

_MAX_LINE = 16_384
_log: ContextVar[Callable[..., None] | None] = ContextVar("descent_output", default=None)


@contextlib.contextmanager
def capturing(log: Callable[..., None] | None) -> Iterator[None]:
    """Prints of the code inside, and of tasks and calls begun there, go to `log`; None: as ever."""
    if log is not None:
        _install()
    token = _log.set(log)
    try:
        yield
    finally:
        _log.reset(token)


def _install() -> None:
    for name in ("stdout", "stderr"):
        if not isinstance(getattr(sys, name), _Writer):
            setattr(sys, name, _Writer(name, getattr(sys, name)))


class _Writer(io.TextIOBase):
    """A text stream that hands lines to whoever the running code belongs to."""

    def __init__(self, name: str, original: Any) -> None:
        self._name = name
        self._original = original
        self._begun: dict[Callable[..., None], str] = {}  # lines without their end yet

    def write(self, text: str) -> int:
        log = _log.get()
        if log is None:
            return self._original.write(text) if self._original is not None else len(text)
        lines = (self._begun.pop(log, "") + text).split("\n")
        if lines[-1]:
            self._begun[log] = lines.pop()[-_MAX_LINE:]
        else:
            lines.pop()
        for line in lines:
            self._hand_over(log, line)
        return len(text)

    def _hand_over(self, log: Callable[..., None], line: str) -> None:
        context = current_context()
        fields = {} if context is None else {"request_id": context.request_id}
        with capturing(None):  # a log that prints must not call itself
            log(line, stream=self._name, **fields)

    def flush(self) -> None:
        if _log.get() is None and self._original is not None:
            self._original.flush()

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return _log.get() is None and self._original is not None and self._original.isatty()

    def fileno(self) -> int:
        return self._original.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return getattr(self._original, "encoding", None) or "utf-8"

    def __getattr__(self, name: str) -> Any:
        return getattr(self._original, name)
