"""The harness's end of a side: start the child, tell it to step, wait until it is quiet again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.turns import busy_s

__all__ = ["Side", "SideProcess", "clean_environment", "peers_folder", "peers_python"]

_ROOT = Path(__file__).parents[2]


def peers_folder() -> Path:
    """Where peers' checkouts are looked for: DESCENT_PEERS, or `peers` beside this repository."""
    return Path(os.environ.get("DESCENT_PEERS") or _ROOT.parent / "peers").absolute()


def peers_python() -> str:
    """A Python that has jax, tinygrad, …: DESCENT_PEERS_PYTHON, or venv in the peers' folder."""
    python = os.environ.get("DESCENT_PEERS_PYTHON") or peers_folder() / "venv/bin/python"
    return str(python)


@dataclass(frozen=True)
class Side:
    """One implementation: its name in the table and where it is made, "module:function"."""

    name: str
    make: str
    guest: bool = False  # runs in the peers' Python
    environment: dict[str, str] = field(default_factory=dict)


class SideProcess:
    """A running side. `problem` says why there is none; `first_s` is its first call's time."""

    def __init__(self, side: Side, data: Path, environment: dict[str, str]) -> None:
        self.name = side.name
        self.problem: str | None = None
        self.first_s = 0.0
        self._pids: list[int] = []
        self.disturbed = 0  # rounds in which other processes computed, too
        python = peers_python() if side.guest else sys.executable
        command = [python, "-m", "bench.sides.child", side.make, str(data)]
        try:
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=None if os.environ.get("BENCH_VERBOSE") else subprocess.DEVNULL,
                text=True,
                cwd=_ROOT,
                env=clean_environment() | environment | side.environment,
                start_new_session=True,  # so that `close` ends what the side has started, too
            )
        except FileNotFoundError:
            self.problem = f"missing: there is no {python}"
            return
        self._pids = [self._child.pid]
        program = self._answer().get("pid")
        self._pids += [program] if program else []

    def step(self, steps: int, warm: int = 0) -> tuple[float, float]:
        """Do `steps` further steps, after `warm` untimed ones: seconds, and the last loss."""
        answer = self._ask({"steps": steps, "warm": warm})
        return answer.get("seconds", 0.0), answer.get("loss", float("nan"))

    def step_watched(self, steps: int, warm: int = 0) -> tuple[float, float]:
        """The same: seconds, and how much of one core other processes took meanwhile."""
        before, mine, began = busy_s(), self.busy_ns(), time.perf_counter()
        seconds, _ = self.step(steps, warm)
        took = time.perf_counter() - began
        others = busy_s() - before - 1e-9 * (self.busy_ns() - mine)
        return seconds, max(0.0, others - 0.02) / took  # two ticks of the system's clock aside

    def report(self) -> dict[str, Any]:
        """Memory peak in bytes, versions, and what else the side has to say."""
        return self._ask({})

    def rest(self, at_most_s: float = 1.0) -> bool:
        """Wait until the child's threads have gone to sleep (pools spin after work)."""
        if self.problem:
            return True
        end, before = time.perf_counter() + at_most_s, self.busy_ns()
        while time.perf_counter() < end:
            time.sleep(0.01)
            now = self.busy_ns()
            if now - before < 200_000:  # 2 % of one core
                return True
            before = now
        return False

    def close(self) -> None:
        """End the child and all it has started."""
        if hasattr(self, "_child"):
            with suppress(ProcessLookupError):
                os.killpg(self._child.pid, signal.SIGKILL)
            self._child.wait()
            for pipe in (self._child.stdin, self._child.stdout):
                with suppress(BrokenPipeError):
                    pipe.close()  # type: ignore[union-attr]

    def busy_ns(self) -> int:
        """Processor time of all the side's threads so far; 0 where the system does not say."""
        total = 0
        for pid in self._pids:
            for task in Path(f"/proc/{pid}/task").glob("*/schedstat"):
                with suppress(OSError, ValueError, IndexError):  # the thread has just ended
                    total += int(task.read_text().split()[0])
        return total

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        if self.problem:
            return {}
        try:
            self._child.stdin.write(json.dumps(request) + "\n")
            self._child.stdin.flush()
        except BrokenPipeError:
            pass  # the answer, or its absence, says why
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        line = self._child.stdout.readline()
        answer = json.loads(line) if line else {"failed": f"ended, code {self._child.wait()}"}
        for kind in ("missing", "failed"):
            if kind in answer:
                self.problem = f"{kind}: {answer[kind]}"
        return answer


def clean_environment() -> dict[str, str]:
    """The user's, without the settings that slow NumPy's BLAS here; two threads for everybody."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("OPENBLAS_")}
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "DESCENT_THREADS"):
        kept[name] = "2"
    kept["PYTHONWARNINGS"] = "ignore"
    kept |= {"DEV": "CPU", "TRAINING": "1"}  # tinygrad: this device, optimisers allowed
    kept["PATH"] = f"{peers_folder() / 'bin'}{os.pathsep}{kept.get('PATH', '')}"  # its clang
    return kept
