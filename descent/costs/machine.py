"""What this machine can do: the two numbers a floor is made of, measured once and kept.

    floor of an op = max(operations / peak, bytes / bandwidth)

peak: the best float32 matrix product of Descent, any shape tried. bandwidth: the best of four NumPy
loops (copy, add, dot, change in place) over arrays of one total size, by one thread and by all;
small sizes stay in a cache and are faster, so an op's bandwidth is that of the size it fits in.
The model is the roofline: Williams, Waterman, Patterson 2009, "Roofline", CACM 52(4).
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

import numpy as np

from descent.caching import cache_folder
from descent.data.files import write_atomically
from descent.ops.products import mm
from descent.threads import n_threads, share

__all__ = ["Bandwidth", "Machine", "measure_machine"]

MB = 1 << 20
# In a core's cache, in the last one, in memory: far beyond the last cache, or a part of every round
# is still found there (here, 32 MB: 93 GB/s over 128 MB, 65 over 512).
SIZES = (MB // 2, 16 * MB, 512 * MB)
BUDGET_S = 0.9  # of looping; filling the memory and warming up come on top


@dataclass(frozen=True)
class Bandwidth:
    """GB/s of a loop over `bytes` of memory in total: one thread's, and all threads' together."""

    bytes: int
    one: float
    all: float

    @property
    def best(self) -> float:
        return max(self.one, self.all)


@dataclass(frozen=True)
class Machine:
    """Measured once; `notes` say what limits the measurement."""

    cpu: str
    threads: int
    gflops: float
    gemm: str  # the product that reached it
    bandwidths: tuple[Bandwidth, ...]  # by rising size
    caches: dict[str, int]
    busy: bool = False  # measured beside other work: the peaks may be too low
    notes: tuple[str, ...] = ()

    def bandwidth(self, n_bytes: float) -> float:
        """Bytes per second for a loop over so many bytes."""
        fits = [b for b in self.bandwidths if n_bytes <= b.bytes]
        return 1e9 * (fits[0] if fits else self.bandwidths[-1]).best

    def floor_s(self, operations: float, n_bytes: float) -> float:
        """The least time for so much arithmetic and so much traffic, in seconds."""
        return max(operations / (1e9 * self.gflops), n_bytes / self.bandwidth(n_bytes))

    def line(self) -> str:
        """The machine in a sentence or two."""
        speeds = ", ".join(f"{b.best:,.0f} GB/s over {_size(b.bytes)}" for b in self.bandwidths)
        busy = ["Measured beside other work: the peaks may be too low"] if self.busy else []
        notes = "".join(f" {note}." for note in [*self.notes, *busy])
        return (
            f"{self.cpu}, {self.threads} thread{'s' * (self.threads > 1)}: float32 products "
            f"{self.gflops:,.0f} GFLOP/s ({self.gemm}); {speeds}.{notes}"
        )

    def to_dict(self) -> dict[str, object]:
        return asdict(self)


def measure_machine(again: bool = False) -> Machine:
    """This machine; measured in one or two seconds at first use, then read from the cache folder.

    A measurement made beside other work is repeated at the next use, and the better figures kept.
    """
    file = cache_folder("machine") / f"{_key()}.json"
    before = None if again else _read(file)
    if before is not None and not before.busy:
        return before
    machine = _measure()
    if before is not None:
        machine = _better(before, machine)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file, json.dumps(machine.to_dict(), indent=1))
    return machine


def _read(file: Path) -> Machine | None:
    """What was measured before; None when nothing was, or it can't be read."""
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
        values["bandwidths"] = tuple(Bandwidth(**b) for b in values["bandwidths"])
        return Machine(**{**values, "notes": tuple(values["notes"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _better(a: Machine, b: Machine) -> Machine:
    """The higher figures of two measurements: a peak is what was reached once."""
    speeds = tuple(
        Bandwidth(x.bytes, max(x.one, y.one), max(x.all, y.all))
        for x, y in zip(a.bandwidths, b.bandwidths)
    )
    best = max(a, b, key=lambda m: m.gflops)
    return replace(best, bandwidths=speeds, busy=b.busy)


def _key() -> str:
    versions = [version(n) for n in ("numpy", "numba")]
    blas = os.environ.get("OPENBLAS_CORETYPE", "")
    source = Path(__file__).read_text(encoding="utf-8")
    facts = (cpu_name(), n_threads(), versions, platform.python_version(), blas, source)
    return sha256(repr(facts).encode()).hexdigest()[:16]


def _measure() -> Machine:
    gflops, gemm = _products(0.4 * BUDGET_S)
    bandwidths = tuple(_bandwidth(size, 0.2 * BUDGET_S) for size in SIZES)
    notes = []
    if core := os.environ.get("OPENBLAS_CORETYPE"):
        notes.append(f"OPENBLAS_CORETYPE={core} chooses NumPy's kernels")
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    busy = load > 0.75 * n_threads()
    caches = _cache_sizes()
    return Machine(cpu_name(), n_threads(), gflops, gemm, bandwidths, caches, busy, tuple(notes))


def _products(seconds: float) -> tuple[float, str]:
    """The fastest of our float32 products over a few shapes, in GFLOP/s, and which it was."""
    rng = np.random.default_rng(0)
    shapes = ((512, 512, 512), (1024, 1024, 1024), (512, 768, 3072))
    best, name = 0.0, ""
    for m, k, n in shapes:
        a = rng.standard_normal((m, k), dtype=np.float32)
        c = rng.standard_normal((k, n), dtype=np.float32)
        rate = 2e-9 * m * k * n / _fastest(partial(mm.forward, (a, c), {}), seconds / len(shapes))
        if rate > best:
            best, name = rate, f"{m}×{k} · {k}×{n}"
    return best, name


def _bandwidth(size: int, seconds: float) -> Bandwidth:
    """One thread over the whole, then every thread over its part."""
    n, memory = n_threads(), np.empty(size // 4, np.float32)
    memory.fill(0)
    one = max(moved / _fastest(run, seconds / 8) for run, moved in _loops(memory))
    if n == 1:
        return Bandwidth(size, 1e-9 * one, 1e-9 * one)
    together = 0.0
    for parts in zip(*map(_loops, np.array_split(memory, n))):
        times = max(1, 16 * MB // size)  # long enough that handing over does not count
        tasks: list[Callable[[], object]] = [partial(_repeat, run, times) for run, _ in parts]
        moved = times * sum(b for _, b in parts)
        together = max(together, moved / _fastest(partial(share, tasks), seconds / 8))
    return Bandwidth(size, 1e-9 * one, 1e-9 * together)


def _loops(memory: np.ndarray) -> list[tuple[Callable[[], object], int]]:
    """Four loops over all of it, with the bytes each moves."""
    x, y, z = memory[: memory.size // 3 * 3].reshape(3, -1)
    u, v = memory[: memory.size // 2 * 2].reshape(2, -1)
    return [
        (partial(np.negative, memory, out=memory), 2 * memory.nbytes),
        (partial(np.copyto, u, v), 2 * u.nbytes),
        (partial(np.add, x, y, out=z), 3 * x.nbytes),
        (partial(np.dot, u, v), 2 * u.nbytes),
    ]


def _repeat(run: Callable[[], object], times: int) -> None:
    for _ in range(times):
        run()


def _fastest(run: Callable[[], object], seconds: float) -> float:
    """The least time of a call, from at least two and as many as fit (the first one warms up)."""
    run()
    best, calls, end = float("inf"), 0, time.perf_counter() + seconds
    while calls < 2 or time.perf_counter() < end:
        began = time.perf_counter()
        run()
        best, calls = min(best, time.perf_counter() - began), calls + 1
    return best


def cpu_name() -> str:
    """The processor's name, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(x.split(":", 1)[1].strip() for x in lines if x.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _cache_sizes() -> dict[str, int]:
    """Bytes of every cache the first core sees (Linux); empty where the system does not tell."""
    found = {}
    for folder in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        try:
            level, kind, size = (
                (folder / n).read_text().strip() for n in ("level", "type", "size")
            )
        except OSError:
            continue
        if kind != "Instruction" and size.endswith("K"):
            found[f"L{level}"] = 1024 * int(size[:-1])
    return found


def _size(n: int) -> str:
    return f"{n // MB} MB" if n >= MB else f"{n // 1024} KB"
