"""`make bench`: measure, print the tables with versions, write bench/RESULTS.md.

    python -m bench [NAME …] [--quick]

Names are those of the files here. `--quick`: three rounds, compile caches as they are, nothing
written. Peers that are not installed are reported as missing: DESCENT_PEERS names the folder of
their checkouts, DESCENT_PEERS_PYTHON a Python that has jax and tinygrad.
"""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from types import ModuleType

from bench import report, store
from bench.compare import Result
from bench.race import Work, race
from bench.sides.process import clean_environment, peers_folder

HERE = Path(__file__).parent
NAMES = (
    "micrograd", "moons_tensors", "makemore_mlp", "makemore_transformer", "nanogpt_cpu",
    "gpt2_124m", "generate", "generate_start", "lora", "products", "busy", "small_ops", "ladder",
    "adamw", "bpe", "serving", "batching", "updates", "jobs", "batches",
    "ray_chaos",
)  # fmt: skip
CHECKOUTS = ("micrograd", "makemore", "nanoGPT", "llm.c", "minbpe")


def measure(name: str, quick: bool, environment: dict[str, str]) -> Iterator[Result]:
    """Everything a file measures, one after the other: its works raced, or its own `run()` in
    another process."""
    module = importlib.import_module(f"bench.{name}")
    works = _works(module)
    if works:
        rounds = 3 if quick else None
        for work in works:
            yield race(work, rounds=rounds, environment=environment)
        return
    with tempfile.TemporaryDirectory(prefix="descent-bench-") as folder:
        file = Path(folder) / "results.json"
        command = [sys.executable, "-m", "bench.alone", f"bench.{name}", str(file)]
        subprocess.run(command, check=True, env=clean_environment() | environment)
        yield from (result for _, _, result in store.load(file))


def machine() -> str:
    """The processor, as the system names it."""
    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next(
            line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")
        )
    except (OSError, StopIteration):
        pass
    return f"{name}, {os.cpu_count()} cores"


def _on(result: Result) -> str:
    """Machine and versions, those of the checkouts a work uses included."""
    found = [machine(), f"Python {platform.python_version()}"]
    found += [f"{name} {version}" for name, version in sorted(result.versions.items())]
    for name in CHECKOUTS:
        if any(side.startswith(name) for side in result.seconds):
            git = ["git", "-C", str(peers_folder() / name), "rev-parse", "--short", "HEAD"]
            said = subprocess.run(git, capture_output=True, text=True)
            found.append(f"{name} {said.stdout.strip() or 'of unknown version'}")
    return ", ".join(found)


def main() -> None:
    """Measure what was asked for; show each table as soon as it is there."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--quick", action="store_true", help="three rounds, nothing written")
    asked = parser.parse_args()
    unknown = [n for n in asked.names if n not in NAMES]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(NAMES)}")
    names = asked.names or [n for n in NAMES if (HERE / f"{n}.py").exists()]
    entries = []
    with tempfile.TemporaryDirectory(prefix="descent-bench-caches-") as caches:
        for name in names:
            for result in measure(name, asked.quick, {} if asked.quick else _cold(caches)):
                entries.append((date.today().isoformat(), _on(result), result))
                _show(result)
                if not asked.quick:
                    _write(entries)
    print(report.summary([result for _, _, result in entries]))


def _cold(folder: str) -> dict[str, str]:
    """Caches of this run alone: every compiler's first call is a cold one."""
    return {
        "DESCENT_CACHE": f"{folder}/descent",
        "TORCHINDUCTOR_CACHE_DIR": f"{folder}/torch",
        "XDG_CACHE_HOME": f"{folder}/others",
    }


def _show(result: Result) -> None:
    print(f"\n## {result.work}\n\n{report.table(result)}\n")
    for bar in result.bars:
        print("- " + " · ".join(report.bar_line(result, bar)))
    print("".join(f"- {note}\n" for note in result.notes), flush=True)


def _write(entries: list[store.Entry]) -> None:
    file, remarks = HERE / "results.json", HERE / "REMARKS.md"
    merged = store.merge(store.load(file), entries)
    store.save(file, merged)
    told = remarks.read_text(encoding="utf-8") if remarks.exists() else ""
    page = report.document(merged, told, _unmeasured({r.work for _, _, r in merged}))
    (HERE / "RESULTS.md").write_text(page, encoding="utf-8")


def _unmeasured(measured: set[str]) -> list[str]:
    """Files with raced works that have no row, and how many (those with a `run()` name none)."""
    found = []
    for name in NAMES:
        if not (HERE / f"{name}.py").exists():
            found.append(f"{name} (not written)")
            continue
        works = [work.name for work in _works(importlib.import_module(f"bench.{name}"))]
        lacking = sum(work not in measured for work in works)
        if lacking:
            found.append(f"{name} ({lacking} of {len(works)})")
    return found


def _works(module: ModuleType) -> list[Work]:
    return list(getattr(module, "WORKS", None) or [w for w in [getattr(module, "WORK", None)] if w])


if __name__ == "__main__":
    main()
