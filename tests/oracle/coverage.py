"""Measure a library against every OpInfo and print, or write, what passes, what fails and why.

    python -m tests.oracle.coverage [--ops add,sum] [--jobs 2] [--write] [--suggest] [--namespace torch]

--write     docs/COVERAGE.md          --suggest  ops that pass entirely but are not in the kept list
--namespace torch                     measures PyTorch against itself: everything must pass
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from .measure import Result, measure_op
from .opinfo_db import load
from .report import coverage_page, entirely_passing, table

__all__ = ["PASSING_LIST", "kept_names", "main", "measure_all"]

PASSING_LIST = Path(__file__).with_name("opinfo_passing.txt")
PAGE = Path(__file__).parents[2] / "docs" / "COVERAGE.md"


def kept_names() -> list[str]:
    """The hand-kept list of ops that must pass: one name a line, # starts a comment."""
    lines = PASSING_LIST.read_text(encoding="utf-8").splitlines()
    return [name for line in lines if (name := line.split("#")[0].strip())]


def measure_all(keys: list[str], namespace: str, jobs: int = 1) -> Iterator[Result]:
    """Results of the named ops in order, measured in `jobs` processes."""
    pairs = [(key, namespace) for key in keys]
    if jobs == 1:
        for pair in pairs:
            yield from _measure_key(pair)
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        for results in pool.map(_measure_key, pairs, chunksize=8):
            yield from results


def _measure_key(pair: tuple[str, str]) -> list[Result]:
    key, namespace = pair
    return measure_op(load()[key], namespace_of(namespace))


def namespace_of(name: str):
    """The module, with the submodules a dotted op name may need."""
    for part in ("nn.functional", "linalg", "special"):
        try:
            importlib.import_module(f"{name}.{part}")
        except ModuleNotFoundError as error:
            if not (error.name or "").startswith(f"{name}."):
                raise
    return importlib.import_module(name)


def main(argv: list[str] | None = None) -> int:
    """Command line; exit status 1 when an op of the kept list does not pass."""
    parser = argparse.ArgumentParser(prog="python -m tests.oracle.coverage", description=__doc__)
    parser.add_argument("--ops", help="comma-separated OpInfo names; default: all")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--namespace", default="descent")
    parser.add_argument("--write", action="store_true", help="write docs/COVERAGE.md")
    parser.add_argument("--suggest", action="store_true", help="passing ops not in the kept list")
    options = parser.parse_args(argv)
    keys = options.ops.split(",") if options.ops else list(load())
    unknown = [k for k in keys if k not in load()]
    if unknown:
        parser.error(f"no OpInfo is called {', '.join(unknown)}")
    if options.write and options.ops:
        parser.error("--write describes every op; leave --ops out")
    results = []
    for result in measure_all(keys, options.namespace, options.jobs):
        results.append(result)
        if not result.missing or options.ops:
            print(table([result]), flush=True)
    passing = entirely_passing(results)
    print(f"\n{len(passing)} OpInfos pass every sample, of {len(keys)} measured")
    if options.suggest:
        print("\n".join(sorted(set(passing) - set(kept_names()))))
    if options.write:
        _write(PAGE, coverage_page(results, kept_names()))
    return int(bool({k for k in kept_names() if k in keys} - set(passing)))


def _write(path: Path, text: str) -> None:
    part = path.with_name(path.name + ".part")
    with part.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


if __name__ == "__main__":
    sys.exit(main())
