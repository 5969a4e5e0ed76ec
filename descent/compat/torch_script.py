"""Run a PyTorch script with Descent under the name `torch`; `install()` does it in a notebook.

The modules `torch`, `torch.nn`, … exist in this process only and are Descent's own functions and
classes; what Descent lacks is an error that says so. What runs, and what was compared:
docs/torch_scripts.md.
"""

from __future__ import annotations

import builtins
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

__all__ = ["install", "installed", "run_script", "uninstall"]


def install() -> ModuleType:
    """Make `import torch` give Descent in this process; returns that module.

    Raises:
        ImportError: when PyTorch itself has been imported already.
    """
    from descent.compat.torch_like.shadows import Missing, Shadow, built

    there = sys.modules.get("torch")
    if isinstance(there, Shadow):
        return there
    if there is not None:
        raise ImportError(
            "PyTorch is already imported in this process; call "
            "descent.compat.torch_script.install() before anything imports torch"
        )
    sys.modules.update(built())
    sys.meta_path.insert(0, Missing)  # type: ignore[arg-type]
    return sys.modules["torch"]


def uninstall() -> None:
    """Take Descent's `torch` away again; PyTorch, where installed, can be imported after it."""
    from descent.compat.torch_like.shadows import Missing, Shadow

    for name in [n for n, m in sys.modules.items() if isinstance(m, Shadow)]:
        del sys.modules[name]
    if Missing in sys.meta_path:
        sys.meta_path.remove(Missing)  # type: ignore[arg-type]


@contextmanager
def installed() -> Iterator[ModuleType]:
    """`with installed() as torch:`, also where PyTorch is loaded: it is back afterwards."""
    kept = {n: m for n, m in sys.modules.items() if n.partition(".")[0] == "torch"}
    for name in kept:
        del sys.modules[name]
    try:
        yield install()
    finally:
        uninstall()
        sys.modules.update(kept)


def run_script(script: str | Path, args: Sequence[str] = ()) -> None:
    """Run a Python file as `python script args…` would, with Descent as `torch`.

    An exception of the script prints the script's own traceback and exits with status 1; a file
    that can't be read is one sentence and status 1.
    """
    path = Path(script)
    try:
        source = path.read_bytes()
    except OSError as error:
        reason = "is a folder" if path.is_dir() else (error.strerror or str(error)).lower()
        print(f"descent: can't run {path}: {reason}; give a Python file", file=sys.stderr)
        sys.exit(1)
    install()
    sys.argv = [str(script), *args]
    sys.path[0] = str(path.resolve().parent)
    main = ModuleType("__main__")
    main.__dict__.update(__file__=str(script), __builtins__=builtins, __cached__=None)
    sys.modules["__main__"] = main  # dataclasses and pickling look their module up there
    _execute(source, str(script), main.__dict__)


def _execute(source: bytes, name: str, namespace: dict[str, Any]) -> None:
    try:
        exec(compile(source, name, "exec"), namespace)
    except SystemExit:
        raise
    except BaseException as error:
        if isinstance(error, ImportError) and (error.name or "").partition(".")[0] == "torch":
            error.add_note("Descent stands for torch here; what it has: docs/COVERAGE.md")
        trace = error.__traceback__
        trace = trace.tb_next if trace is not None else None  # the frame of this function
        sys.excepthook(type(error), error.with_traceback(trace), trace)
        sys.stdout.flush()
        sys.exit(130 if isinstance(error, KeyboardInterrupt) else 1)
