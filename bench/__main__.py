"""`make bench`: run the benchmarks, print the table with versions, write bench/RESULTS.md."""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bench.compare import table
from bench.steps import run


def _versions() -> str:
    found = [f"Python {platform.python_version()}"]
    for name in ("numpy", "numba", "torch"):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            found.append(f"{name} missing")
    return ", ".join(found)


@contextmanager
def one_busy_core() -> Iterator[None]:
    """Another process that computes without pause: a user's machine is never idle."""
    other = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        other.kill()
        other.wait()


def main() -> None:
    """Run everything, on the machine as it is and beside a busy process."""
    quiet = table(run())
    with one_busy_core():
        busy = table(run())
    text = "\n".join(
        [
            "# Benchmarks",
            "",
            f"{platform.machine()}, {_versions()}, 2 threads; medians of 9, both sides in turn in "
            "one run. Written by `make bench`.",
            "",
            "## Nothing else running",
            "",
            quiet,
            "",
            "## One core kept busy by another process",
            "",
            busy,
            "",
        ]
    )
    print(text)
    Path(__file__).with_name("RESULTS.md").write_text(text, encoding="utf-8")


main()
