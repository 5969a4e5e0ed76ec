"""Addresses of a step's kernels; where none is kept yet, two processes compile them.

Numba compiles one function at a time in a process. So a second process begins at the other end of
the list; both keep what they have made in the cache on disk, where the other finds it. Where memory
is short, two other processes do it all.

    python -m descent.kernel.ahead FILE NAME …      compile these functions of a written file
"""

from __future__ import annotations

import contextlib
import gc
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from descent.caching import source_module
from descent.kernel.compiled import Kernel
from descent.threads import n_threads

__all__ = ["addresses"]

MANY = 24  # kernels to compile for which starting a process (about 1 s of work) pays
REORDER = ":reorder"


def addresses(kernels: Sequence[Kernel], *kinds: str, elsewhere: bool = False) -> list[int]:
    """Where the compiled forms of these kernels of one file lie (see `Kernel.address`).

    Args:
        elsewhere: compile in other processes alone and only load here. That takes a little longer,
            but a compiler keeps some 140 MB, which the system then gets back.
    """
    found: list[int] = []
    with _undisturbed(), contextlib.ExitStack() as stack:
        helped = n_threads() < 2 and not elsewhere
        for i, kernel in enumerate(kernels):
            found.append(kernel.address(*kinds))
            if not helped and kernel.was_compiled and len(kernels) - i > MANY:
                rest = kernels[i + 1 :]
                if elsewhere:
                    _made_elsewhere(rest, kinds)
                else:
                    stack.enter_context(_helper(rest, kinds))
                helped = True
    return found


def _made_elsewhere(kernels: Sequence[Kernel], kinds: Sequence[str]) -> None:
    """Wait for processes that compile them, from both ends; what they fail at is made here."""
    with contextlib.ExitStack() as stack:
        ends = (kernels, kernels[::-1])[: n_threads()]
        for process in [stack.enter_context(_helper(end, kinds)) for end in ends]:
            if process is not None:
                process.wait()


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """No garbage collection: a compiler makes millions of objects, nearly all of which stay."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


@contextlib.contextmanager
def _helper(
    kernels: Sequence[Kernel], kinds: Sequence[str]
) -> Iterator[subprocess.Popen[bytes] | None]:
    """A process that compiles these kernels, the last first, until this one is through."""
    names = [k.py.__name__ + REORDER * k.reorder for k in kernels]
    file = kernels[0].py.__code__.co_filename
    command = [sys.executable, "-m", "descent.kernel.ahead", file, ",".join(kinds), *names]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    try:
        process = subprocess.Popen(
            command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
    except OSError:  # no second process here: this one does it all
        yield None
        return
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def main(file: str, kinds: str, *names: str) -> None:
    """What the second process does."""
    path = Path(file)
    name, text = path.stem.rsplit("_", 1)[0], path.read_text(encoding="utf-8")
    module = source_module(path.parent.name, name, text)
    gc.disable()
    for given in reversed(names):
        function = getattr(module, given.removesuffix(REORDER))
        Kernel(function, reorder=given.endswith(REORDER)).address(*kinds.split(","))


if __name__ == "__main__":
    main(*sys.argv[1:])
