"""The same works while another process keeps one core busy: a user's machine is never idle.

Two-thread engines that wait for each other at barriers collapse there; torch runs at its default
number of threads.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bench import makemore_mlp, makemore_transformer
from bench.compare import Bar
from bench.race import Work
from bench.sides.process import Side
from bench.sides.stepping import Data, Run

_SIDES = ("descent", "descent eager", "torch eager", "torch.compile")
_BARS = (Bar(3, ("torch eager",)), Bar(3, ("torch.compile",)))


def _beside(work: Work, steps: int, torch_steps: int) -> Work:
    return replace(
        work,
        name=f"{work.name}, one core busy",
        sides=tuple(side for side in work.sides if side.name in _SIDES),
        steps=steps,
        slow={"torch eager": torch_steps, "torch.compile": torch_steps},
        bars=_BARS,
        busy=True,
    )


def data() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {name: rng.standard_normal((256, 256), dtype=np.float32) for name in "ab"}


def descent_product(data: Data) -> Run:
    import descent

    a, b = (descent.from_numpy(data[name]) for name in "ab")

    def run(n: int) -> float:
        with descent.no_grad():
            for _ in range(n):
                y = a @ b
        return y[0, 1].item()

    return run


def torch_product(data: Data) -> Run:
    import torch

    a, b = (torch.from_numpy(data[name]) for name in "ab")

    def run(n: int) -> float:
        for _ in range(n):
            y = a @ b
        return y[0, 1].item()

    return run


WORKS = (
    _beside(makemore_mlp.WORK, 1000, 100),
    _beside(makemore_transformer.WORK, 20, 3),
    Work(
        "a @ b, 256×256, one core busy",
        data,
        (
            Side("descent", "bench.busy:descent_product"),
            Side("torch eager", "bench.busy:torch_product"),
        ),
        steps=1000,
        check=3,
        slow={"torch eager": 50},
        bars=(Bar(3, ("torch eager",)),),
        busy=True,
    ),
)
