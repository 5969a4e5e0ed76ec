"""Whether the products of `amx` serve here: the unit is there, allowed, and right when tried.

The trial is random products beside those of AVX-512, in a process of its own (where a crash does no
harm), once per processor, source and versions: `amx` was written where there is no such unit. What
fails it is not used, and the log says so; the rung below serves.

    python -m descent.ops.amx_trial      the trial
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import subprocess
import sys
import threading

import numpy as np

from descent.caching import cache_folder
from descent.kernel import compiling, kernel_key
from descent.kernel.amx import SIDE, allowed
from descent.ops import amx, bf16, int8
from descent.ops.tiles import PLAIN, WIDTH

__all__ = ["usable"]

Array = np.ndarray
RIGHT = "right"
SHAPES = ((1, 1, 1), (33, 100, 40), (130, 770, 70), (40, 2100, 33))
log = logging.getLogger("descent.compile")


@functools.cache
def usable() -> bool:
    """Whether to call the products of `amx`; asks the system to let this process use the unit."""
    if not compiling() or WIDTH != 2 * SIDE or not allowed():
        return False
    kept = cache_folder("trials") / f"amx_{kernel_key()}"
    try:
        outcome = kept.read_text(encoding="utf-8")
    except OSError:
        from descent.data.files import write_atomically  # it brings all of `data` along

        outcome = _try()
        with contextlib.suppress(OSError):  # a read-only home: tried again next time
            write_atomically(kept, outcome)
    if outcome != RIGHT:
        log.warning("the matrix unit (AMX) is not used, AVX-512 serves: %s", outcome)
    return outcome == RIGHT


def _try() -> str:
    """`main` in another process: what it printed last."""
    command = [sys.executable, "-m", "descent.ops.amx_trial"]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    try:
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"its trial did not end ({error})"
    lines = (done.stdout + done.stderr).strip().splitlines()
    ended = done.returncode == 0 and lines
    return lines[-1] if ended else f"its trial ended with {done.returncode}, {lines[-1:]}"


def main() -> str:
    """RIGHT, or what differs; in this thread and in another one, which has its own tiles."""
    if not allowed():
        return "the system does not allow it"
    found: list[str] = []
    other = threading.Thread(target=lambda: found.extend(map(compare, SHAPES)))
    other.start()
    other.join()
    found.extend(map(compare, SHAPES))
    wrong = [outcome for outcome in found if outcome != RIGHT]
    if len(found) != 2 * len(SHAPES):
        return "a thread failed"
    return wrong[0] if wrong else RIGHT


def compare(shape: tuple[int, int, int]) -> str:
    """Random products of m × k · k × n, each kind on both rungs: RIGHT, or what differs."""
    m, k, n = shape
    rng = np.random.default_rng(m)
    a, b = (rng.standard_normal(s, np.float32) for s in ((m, k), (k, n)))
    rounding = 1e-6 * (np.abs(a) @ np.abs(b)) + 1e-6
    for kind, product in (("bf16", _bf16), ("bytes", _bytes)):
        difference = np.abs(product(a, b, True) - product(a, b, False))
        if not (difference <= rounding).all():
            return f"{kind}, {m} × {k} · {k} × {n}: off by {difference.max():.3g}"
    return RIGHT


def _bf16(a: Array, b: Array, on_unit: bool) -> Array:
    (m, k), n, count = a.shape, b.shape[1], -(-b.shape[1] // WIDTH)
    panels, y = np.empty(bf16.panels_size(k, n), np.int32), np.empty((m, n), np.float32)
    bf16.pack(b.ravel(), n, 1, k, n, panels, 0, count)
    product = amx.product if on_unit else bf16.product
    product(a.ravel(), k, 1, panels, k, n, y.ravel(), n, 0, m, 0, count, PLAIN, y.ravel())
    return y


def _bytes(a: Array, b: Array, on_unit: bool) -> Array:
    (m, k), n, count = a.shape, b.shape[1], -(-b.shape[1] // WIDTH)
    panels, y = np.empty(int8.panels_size(k, n), np.int32), np.empty((m, n), np.float32)
    scales, offsets = np.empty(count * WIDTH, np.float32), np.empty(count * WIDTH, np.int32)
    int8.pack(b.ravel(), n, 1, k, n, panels, scales, offsets, 0, count, False)
    product = amx.product_of_bytes if on_unit else int8.product
    product(
        a.ravel(), k, 1, panels, scales, offsets, k, n, y.ravel(), n,
        0, m, 0, count, PLAIN, y.ravel(),
    )  # fmt: skip
    return y


if __name__ == "__main__":
    print(main())
