"""A side as a child process: it makes its step once, then obeys "so many steps now" over a pipe.

    python -m bench.sides.child bench.makemore_mlp:torch_eager work.npz

One JSON line in, one out: {"steps": 100, "warm": 10} is answered by {"seconds": …, "loss": …}. In
between the process waits in a read, so an idle side takes no processor time of its own. What a
library prints goes to standard error: standard output is the pipe. A side that is a program of its
own times itself (`run.seconds`) and names its process (`run.pid`).
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

__all__ = ["memory_peak", "serve", "versions"]

_LIBRARIES = ("torch", "jax", "tinygrad", "numba", "numpy")


def versions() -> dict[str, str]:
    """What is installed where this side runs, and what it has imported of it."""
    found = {}
    for name in _LIBRARIES:
        if name in sys.modules:
            with suppress(PackageNotFoundError):
                found[name] = version(name)
    return found


def memory_peak(pid: int | str = "self") -> int:
    """Bytes of main memory a process held at most (Linux: VmHWM)."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii") as status:
            return next(1024 * int(line.split()[1]) for line in status if "VmHWM" in line)
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # macOS: bytes


def _steps(run: Callable[[int], float], asked: dict[str, Any]) -> dict[str, Any]:
    if asked.get("warm"):
        run(asked["warm"])
    began = time.perf_counter()
    loss = run(asked["steps"])
    seconds = time.perf_counter() - began
    return {"seconds": getattr(run, "seconds", seconds), "loss": loss}


def _report(run: Callable[[int], float]) -> dict[str, Any]:
    return {
        "memory": memory_peak(getattr(run, "pid", "self")),
        "versions": versions(),
        "notes": getattr(run, "notes", list)(),
    }


def serve(make: Callable[[], Callable[[int], float]], asks: Any, answers: Any) -> None:
    """Answer each line of `asks`; a side that cannot be made says so once and ends."""

    def answer(said: dict[str, Any]) -> None:
        answers.write(json.dumps(said) + "\n")
        answers.flush()

    try:
        run = make()
        answer({"ready": True, "pid": getattr(run, "pid", None)})
        for line in asks:
            asked = json.loads(line)
            if "steps" in asked:
                answer(_steps(run, asked))
            else:
                answer(_report(run))
        getattr(run, "close", int)()
    except ModuleNotFoundError as error:
        answer({"missing": f"{error.name} is not installed"})
    except ImportError as error:
        answer({"missing": str(error).split(" (")[0]})
    except FileNotFoundError as error:
        answer({"missing": f"{error.filename} is not there"})
    except Exception:  # whatever it is: said to the harness, which goes on with the others
        traceback.print_exc()
        answer({"failed": traceback.format_exc(limit=-1).strip().splitlines()[-1]})


def main() -> None:
    """Keep the pipe for answers, then serve the side named on the command line."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    where, data_file = sys.argv[1:3]
    module, _, name = where.partition(":")

    def make() -> Callable[[int], float]:
        with np.load(data_file) as data:
            return getattr(importlib.import_module(module), name)(data)

    serve(make, sys.stdin, answers)


if __name__ == "__main__":
    main()
