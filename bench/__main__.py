"""`make bench`: run the benchmarks, print the table with versions, write bench/RESULTS.md."""

from __future__ import annotations

import platform
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


def main() -> None:
    """Run everything."""
    text = "\n".join(
        [
            "# Benchmarks",
            "",
            f"{platform.machine()}, {_versions()}, 2 threads; medians of 9, both sides in turn in "
            "one run. Written by `make bench`.",
            "",
            table(run()),
            "",
        ]
    )
    print(text)
    Path(__file__).with_name("RESULTS.md").write_text(text, encoding="utf-8")


main()
