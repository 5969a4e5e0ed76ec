"""GPT-2 124M from its file to the first token, each time in a fresh process: seconds, peak memory.

Files are in the system's cache (a second start, not a cold disk); compiled code of every side is,
too. The time is from starting Python to the first id of a 16-token prompt.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from bench.compare import Bar, Result
from bench.generate import ENGINES, name_of
from bench.gpt2_files import folder
from bench.sides.process import clean_environment, peers_python
from bench.turns import machine_lock

__all__ = ["run"]

ROUNDS = 5
ONCE = """
import sys
import numpy as np
from bench.sides import generating
from bench.sides.child import memory_peak
data = {"folder": np.array(sys.argv[3]), "batch": np.array(1), "new": np.array(1)}
first = getattr(generating, sys.argv[1])(data, sys.argv[2])(1)
print(first, memory_peak(), flush=True)
"""


def run() -> list[Result]:
    """All sides in turn, one round after the other, and one before that is not counted."""
    place, root = str(folder()), Path(__file__).parents[1]
    sides = [("descent", w) for w in ENGINES]
    sides += [(engine, w) for w, engines in ENGINES.items() for engine in engines]
    seconds: dict[str, list[float]] = {}
    ids: dict[str, float] = {}
    memory: dict[str, float] = {}
    absent: dict[str, str] = {}
    for i in range(ROUNDS + 1):
        for engine, width in sides:
            name = name_of(engine, width)
            if name in absent:
                continue
            python = sys.executable if engine == "descent" else peers_python()
            command = [python, "-c", ONCE, engine, width, place]
            with machine_lock():
                began = time.perf_counter()
                try:
                    said = subprocess.run(
                        command, cwd=root, env=clean_environment(), check=True,
                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                    ).stdout.split()  # fmt: skip
                except (OSError, subprocess.CalledProcessError) as error:
                    absent[name] = f"failed: {error}"
                    continue
                took = time.perf_counter() - began
            ids[name], memory[name] = float(said[-2]), float(said[-1])
            if i:
                seconds.setdefault(name, []).append(took)
    bars = [
        Bar(factor, ("transformers float32",), ours=name_of("descent", width), of=of)
        for width in ("float32", "int8")
        for factor, of in ((1 / 0.3, "seconds"), (1 / 0.6, "memory"))
    ]
    medians = {name: median(times) for name, times in seconds.items()}
    work = "GPT-2 124M from its file to the first token"
    return [Result(work, medians, ids, tuple(bars), memory=memory, absent=absent)]
