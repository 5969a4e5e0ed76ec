"""llm.c's train_gpt2, built with its Makefile, as a side: fed our weights, stopped between steps.

Its checkpoint (magic 20240326, version 3: float32, vocabulary padded to a multiple of 128) and its
token file (magic 20240520, version 1: uint16) are written as its train_gpt2.py and dataloader.h
describe them. The program is held by SIGSTOP while others are timed.
"""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import IO

import numpy as np

from bench.sides.gpt import Shape
from bench.sides.process import peers_folder
from bench.sides.stepping import Data, Run

__all__ = ["train_gpt2"]

_LAYER = ("ln_1", "attn.c_attn", "attn.c_proj", "ln_2", "mlp.c_fc", "mlp.c_proj")
_ORDER = [
    "wte.weight",
    "wpe.weight",
    *(f"h.{{}}.{name}.{kind}" for name in _LAYER for kind in ("weight", "bias")),
    "ln_f.weight",
    "ln_f.bias",
]


def write_checkpoint(file: IO[bytes], shape: Shape, data: Data) -> None:
    """gpt2_124M.bin: 256 int32, then the tensors, each kind for all layers together."""
    padded = -(-shape.vocab // 128) * 128
    header = np.zeros(256, np.int32)
    sizes = [shape.block, shape.vocab, shape.layers, shape.heads, shape.width, padded]
    header[:8] = [20240326, 3, *sizes]
    file.write(header.tobytes())
    for name in _ORDER:
        for i in range(shape.layers if "{}" in name else 1):
            file.write(data[name.format(i)].astype(np.float32).tobytes())
        if name == "wte.weight":
            file.write(bytes(4 * (padded - shape.vocab) * shape.width))


def write_tokens(path: Path, tokens: np.ndarray) -> None:
    """A token file: 256 int32, then uint16."""
    header = np.zeros(256, np.int32)
    header[:3] = [20240520, 1, len(tokens)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(header.tobytes() + tokens.astype(np.uint16).tobytes())


def program() -> Path:
    """llm.c's trainer, built if it is not."""
    folder = peers_folder() / "llm.c"
    found = folder / "train_gpt2"
    if not (folder / "Makefile").exists():
        raise FileNotFoundError(2, "no checkout", str(folder))
    if not found.exists():
        subprocess.run(["make", "train_gpt2", "CC=gcc"], cwd=folder, check=True)
    return found


class _Program:
    """`run(n)`: let the program go on for n steps. It times its steps from its own lines."""

    def __init__(self, home: tempfile.TemporaryDirectory[str]) -> None:
        self._home = home  # the program opens its token file again at each round through it
        screen, inner = pty.openpty()  # a terminal: the program then prints line by line
        self._process = subprocess.Popen(
            [str(program())], cwd=home.name, stdin=subprocess.DEVNULL, stdout=inner, stderr=inner
        )
        os.close(inner)
        self.pid = self._process.pid
        self._lines = os.fdopen(screen, encoding="utf-8", errors="replace")
        self.seconds = 0.0
        self._pause()

    def __call__(self, n: int) -> float:
        loss = float("nan")
        self.seconds = 0.0
        os.kill(self.pid, signal.SIGCONT)
        began = time.perf_counter()
        while n:
            line = self._lines.readline()
            now = time.perf_counter()
            step = re.match(r"step \d+: train loss (\S+)", line)
            if step:  # what was printed before belongs to evaluation, and its time does not count
                loss, n = float(step[1]), n - 1
                self.seconds += now - began
            began = now
        self._pause()
        return loss

    def _pause(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)

    def close(self) -> None:
        """End the program."""
        self._process.kill()


def train_gpt2(shape: Shape, data: Data) -> Run:
    """The program on one batch, over and over (its token file holds no more)."""
    program()
    home = tempfile.TemporaryDirectory(prefix="descent-llmc-")
    folder = Path(home.name)
    with open(folder / "gpt2_124M.bin", "wb") as file:
        write_checkpoint(file, shape, data)
    tokens = np.append(data["x"][0].ravel(), data["y"][0].ravel()[-1])
    for part in ("train", "val"):
        write_tokens(folder / f"dev/data/tinyshakespeare/tiny_shakespeare_{part}.bin", tokens)
    return _Program(home)
